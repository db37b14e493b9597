"""A small GDB/MI client: starts the real GDB, sends commands, waits for results and stops.

Record syntax: GDB manual, chapter 27 "GDB/MI Output Syntax".
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic

from ocdsup.errors import OcdsupError

CANDIDATES = ("gdb-multiarch", "arm-none-eabi-gdb")
_RESULT = re.compile(r"^(\d+)\^(done|running|connected|error|exit)(.*)$")


class GdbError(OcdsupError):
    """GDB answered with an error, or not at all within the time."""


def find_gdb() -> str:
    """Path of a GDB that knows ARM. Raises OcdsupError."""
    for name in CANDIDATES:
        if found := shutil.which(name):
            return found
    raise OcdsupError("find a GDB for ARM", f"none of {', '.join(CANDIDATES)} is installed", "apt install gdb-multiarch")


class Gdb:
    """One GDB process on one ELF file. `log` keeps every line it printed."""

    def __init__(self, elf: Path) -> None:
        self.log: list[str] = []
        self._token = 0
        self._stops: queue.Queue[str] = queue.Queue()
        self._results: queue.Queue[tuple[int, str, str]] = queue.Queue()
        self._process = subprocess.Popen(
            [find_gdb(), "--interpreter=mi3", "--nx", "--quiet", str(elf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.command("-gdb-set mi-async on")
        self.command("-gdb-set confirm off")

    @property
    def pid(self) -> int:
        """GDB's own PID."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.rstrip("\n")
            self.log.append(text)
            if text.startswith("*stopped"):
                self._stops.put(text)
            elif match := _RESULT.match(text):
                self._results.put((int(match[1]), match[2], match[3]))

    def command(self, text: str, timeout_s: float = 20.0) -> str:
        """Send one MI command and return the rest of its result record. Raises GdbError."""
        self.send(text)
        return self.result(text, timeout_s)

    def send(self, text: str) -> None:
        """Send one MI command without waiting for its result. Raises GdbError."""
        assert self._process.stdin is not None
        self._token += 1
        try:
            self._process.stdin.write(f"{self._token}{text}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise GdbError(f"send {text} to GDB", "it has ended") from error

    def result(self, text: str, timeout_s: float = 20.0) -> str:
        """The rest of the result record of the command that was sent last. Raises GdbError."""
        deadline = monotonic() + timeout_s
        while True:
            try:
                token, kind, rest = self._results.get(timeout=max(0.01, deadline - monotonic()))
            except queue.Empty:
                raise GdbError(f"run {text} in GDB", f"no answer within {timeout_s:g} s", self.last()) from None
            if token != self._token:
                continue  # the late answer to a command that was given up
            if kind == "error":
                raise GdbError(f"run {text} in GDB", rest.removeprefix(",msg="))
            return rest

    def wait_stop(self, timeout_s: float = 20.0, *, attach: bool = False) -> str:
        """The next `*stopped` record that names a reason; the one of an `attach` does not. Raises GdbError."""
        deadline = monotonic() + timeout_s
        while True:
            try:
                stop = self._stops.get(timeout=max(0.01, deadline - monotonic()))
            except queue.Empty:
                raise GdbError("see the program stop", f"it ran on for {timeout_s:g} s", self.last()) from None
            if attach or "reason=" in stop:
                return stop

    def no_stop_waiting(self) -> bool:
        """Whether no stop was reported that nobody asked for."""
        return self._stops.empty()

    def last(self, lines: int = 3) -> str:
        """The end of the log, for an error text."""
        return " | ".join(self.log[-lines:])

    def close(self) -> None:
        """End GDB, politely first."""
        try:
            if self._process.poll() is None and self._process.stdin is not None:
                self._process.stdin.write("-gdb-exit\n")
                self._process.stdin.close()
                self._process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        finally:
            self._process.wait()
            self._reader.join(timeout=5)
            with suppress(OSError):  # a GDB that was killed does not take what was still to be written
                if self._process.stdin is not None:
                    self._process.stdin.close()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def __enter__(self) -> Gdb:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
