"""Plays a `Book` on the real GDB: the same lines, as many in flight, and after the same silence the same impatience."""

from __future__ import annotations

import queue
import re
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ocdsup.demo.gdb import find_gdb
from tests.sessions.ide_books import FOREVER, Book

_RESULT = re.compile(r"^(\d+)\^(\w+)(.*)$")
_SILENCE = 0.5  # seconds: PlatformIO goes on when GDB has said nothing for so long


@dataclass(slots=True)
class Said:
    """A line that was sent, and what came of it; `took` in seconds."""

    line: str
    at: float
    kind: str = ""
    rest: str = ""
    took: float = 0.0


class Player:
    """One GDB that an IDE drives. `log` keeps every line it printed."""

    def __init__(self, book: Book, elf: Path, port: int, folder: Path) -> None:
        self.book = book
        self.log: list[str] = []
        self._stops: queue.Queue[str] = queue.Queue()
        self._news: queue.Queue[str] = queue.Queue()  # one item per line of output; the last one is empty
        self._said: dict[int, Said] = {}
        self._words = {"elf": str(elf), "port": str(port), "script": str(folder / f"{book.ide}.gdb"), "thread": "1"}
        if book.script:
            Path(self._words["script"]).write_text("\n".join(self.fill(line) for line in book.script) + "\n")
        argv = [find_gdb(), *(self.fill(word) for word in book.argv)]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """GDB's own PID."""
        return self._process.pid

    def fill(self, line: str, **more: str) -> str:
        """A line of the book with its braces filled in."""
        return line.format(**self._words | more)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.rstrip("\n")
            self.log.append(text)
            if text.startswith("*stopped") and "reason=" in text:
                self._stops.put(text)
            elif (match := _RESULT.match(text)) and (said := self._said.get(int(match[1]))):
                said.kind, said.rest, said.took = match[2], match[3], monotonic() - said.at
            self._news.put(text)
        self._news.put("")

    def write(self, line: str) -> Said:
        """Send one line without waiting."""
        assert self._process.stdin is not None
        token = len(self._said) + 1
        said = self._said[token] = Said(line, monotonic())
        with suppress(BrokenPipeError):  # GDB has ended: then no answer comes either
            self._process.stdin.write(f"{token}{line}\n")
            self._process.stdin.flush()
        return said

    def await_answer(self, said: Said, within: float) -> bool:
        """Wait for a line's result; False when the IDE's patience, in seconds, or GDB has ended before."""
        deadline = said.at + within
        while not said.kind:
            if (left := deadline - monotonic()) <= 0 or self._process.poll() is not None:
                return False
            with suppress(queue.Empty):
                self._news.get(timeout=min(left, 0.1))
        return said.took <= within

    def play(self, lines: tuple[str, ...], **more: str) -> list[Said]:
        """Send lines, never more than the IDE does at once, and wait for every answer."""
        asked: list[Said] = []
        for line in lines:
            if len(asked) >= self.book.in_flight:
                self._answered(asked[-self.book.in_flight])
            asked.append(self.write(self.fill(line, **more)))
        for said in asked:
            self._answered(said)
        return asked

    def _answered(self, said: Said) -> None:
        assert self.await_answer(said, FOREVER), f"{said.line} was not answered: {self.tail()}"

    def start(self) -> str:
        """Open the session up to the stop in `main`; returns that stop."""
        if self.book.ready:
            self._until_ready()
        self.good(self.play(self.book.start))
        return self.stop()

    def _until_ready(self) -> None:
        deadline = monotonic() + FOREVER
        while not any(self.book.ready in line for line in self.log):
            with suppress(queue.Empty):
                self._news.get(timeout=0.1)
            assert monotonic() < deadline, self.tail()
            assert self._process.poll() is None, self.tail()
        with suppress(queue.Empty):
            while True:
                self._news.get(timeout=_SILENCE)

    def good(self, asked: list[Said]) -> list[Said]:
        """Check that none of them failed."""
        bad = [f"{said.line}: {said.kind}{said.rest}" for said in asked if said.kind == "error"]
        assert not bad, f"{bad} {self.tail()}"
        return asked

    def stop(self, within: float = FOREVER) -> str:
        """The next stop that has a reason; its thread is the one that is spoken of from now on."""
        try:
            stop = self._stops.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no stop within {within:g} s: {self.tail()}") from None
        found = re.search(r'thread-id="(\d+)"', stop)
        self._words["thread"] = found[1] if found else "1"
        return stop

    def leave(self) -> list[Said]:
        """Say goodbye as the IDE does; a GDB that has not ended in time is killed. Returns what was said."""
        said: list[Said] = []
        skip = 0
        for step in self.book.goodbye:
            if skip:
                skip -= 1
                continue
            said.append(self.write(self.fill(step.line)))
            skip = step.skip if self.await_answer(said[-1], step.within) and said[-1].kind != "error" else 0
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self.book.goodbye[-1].within)
        self.close()
        return said

    def close(self) -> None:
        """End GDB at once."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def tail(self, lines: int = 12) -> str:
        """The end of the log."""
        return " | ".join(self.log[-lines:])


def answer(asked: list[Said], part: str) -> str:
    """What the first line that contains `part` was answered."""
    return next(said.rest for said in asked if part in said.line)
