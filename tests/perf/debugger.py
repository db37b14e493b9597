"""A real GDB that does what it is told as often as it is told, and answers with the seconds it took (`gdb_drive.py`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.perf.common import HERE


class Driven:
    """One GDB on a program: `init` are the commands before it is ready, `commands` what it can be told by name."""

    def __init__(self, program: Path, init: Sequence[str], commands: Mapping[str, str]) -> None:
        argv = [shutil.which("gdb-multiarch") or "gdb", "-nx", "-q", "-batch", "-x", str(HERE / "gdb_drive.py"), str(program)]
        env = {**os.environ, "PERF_INIT": json.dumps(list(init)), "PERF_COMMANDS": json.dumps(dict(commands))}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"@"):
                return line[1:].decode().strip()
        raise RuntimeError("GDB has ended")

    def seconds(self, command: str, count: int) -> float:
        """Seconds one command takes, as the mean of `count`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command} {count}\n".encode())
        self._process.stdin.flush()
        return float(self._answer()) / count

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
