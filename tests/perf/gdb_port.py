"""`gdb_port.py (bench|cache) PORT`: a bench's GDB port in front of a server on PORT, as a process of its own.

With `cache` it answers what cannot have changed. Prints its own port, then obeys lines on stdin: `storm PROGRAM` reads and
classifies the output of PROGRAM, `calm` ends it and prints how many lines there were.
"""

# ruff: noqa: T201  (its parent reads it)

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from ocdsup.openocd.catalogue import load_builtin
from ocdsup.openocd.classify import Classifier
from ocdsup.openocd.lines import LineSplitter
from ocdsup.rsp.policy import Policy
from ocdsup.runtime.gdb_port import GdbPort, Served
from ocdsup.runtime.launcher import Process
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.loop import StreamLoop
from ocdsup.runtime.tasks import Tasks


class Silent:
    """A log that costs nothing."""

    def __getattr__(self, _level: str) -> Any:
        return lambda *_args, **_fields: None


class Storm:
    """A log at full speed in the same event loop."""

    def __init__(self, lively: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lively = lively
        self._process: Process | None = None
        self._catalogue = load_builtin()

    def obey(self, words: list[str]) -> None:
        """Begin or end it."""
        if words[0] == "storm":
            self._splitter = LineSplitter(self._catalogue.needles)
            self._classifier = Classifier(self._catalogue)
            self._process = Process(words[1:], dict(os.environ), self._take, self._over, self._lively)
        elif self._process is not None:
            self._process.signal(signal.SIGKILL)

    def _take(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._classifier.feed(line, self._loop.time())

    def _over(self, _status: str) -> None:
        print(self._splitter.debug_lines, flush=True)


async def _answer(_words: str) -> str:
    return ""


def _report(task: str, error: BaseException) -> None:
    print(f"gdb_port: {task}: {error!r}", file=sys.stderr)


async def main(kind: str, upstream: int) -> None:
    """Serve until the end of stdin."""
    policy = Policy(cache=kind == "cache")
    tasks, over = Tasks(_report), asyncio.Event()
    port = GdbPort(bind_all(("127.0.0.1",), 0), policy, _answer, lambda: None, tasks, Silent())
    port.backend_up(Served("127.0.0.1", upstream, 0, 1))
    storm = Storm(lambda: port.lively)
    print(port.port, flush=True)

    def obey() -> None:
        words = os.read(0, 4096).decode().split()
        if words:
            storm.obey(words)
        else:
            over.set()

    asyncio.get_running_loop().add_reader(0, obey)
    await over.wait()
    port.close()
    await tasks.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=StreamLoop) as runner:  # as `ocdsup run`
        runner.run(main(sys.argv[1], int(sys.argv[2])))
