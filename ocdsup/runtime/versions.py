"""Which OpenOCD is installed: `--version` is asked once for each program file, and again when the file changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal

from ocdsup.errors import BackendError
from ocdsup.openocd.dialect import Version, parse_version
from ocdsup.runtime.launcher import not_runnable

TIMEOUT_S = 5.0
_INSTALL = "install OpenOCD 0.10 or newer, or set openocd.binary to its path"
_Key = tuple[str, int, int]


class Versions:
    """Answers by path, size and time of change of the program."""

    def __init__(self) -> None:
        self._known: dict[_Key, Version] = {}

    def known(self, binary: str) -> Version | None:
        """The version, if it was asked before and the program is still the same file."""
        try:
            return self._known.get(_key(binary))
        except BackendError:
            return None

    async def ask(self, binary: str) -> Version:
        """The version. Raises BackendError when the program is missing, silent, not OpenOCD, or too old."""
        key = _key(binary)
        if key not in self._known:
            self._known[key] = parse_version(await _output(key[0]))
        return self._known[key]


def _key(binary: str) -> _Key:
    path = shutil.which(binary)
    if path is None:
        raise not_runnable(binary, _INSTALL)
    try:
        status = os.stat(path)
    except OSError as error:
        raise BackendError(f"start {binary}", error.strerror or "", _INSTALL) from error
    return path, status.st_size, status.st_mtime_ns


async def _output(path: str) -> str:
    try:
        child = await asyncio.create_subprocess_exec(
            path,
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # so that the programs which a wrapper starts end with it
        )
    except OSError as error:
        raise BackendError(f"start {path}", error.strerror or "", _INSTALL) from error
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await child.communicate()
    except TimeoutError:
        raise BackendError(f"ask {path} for its version", f"no answer within {TIMEOUT_S:g} s", _INSTALL) from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return output.decode("utf-8", "replace")
