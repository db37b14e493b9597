"""The real OpenOCD behind the drop-in: where it is, how to become it, and the configuration files it would read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from ocdsup.dropin.commands import only_defines
from ocdsup.errors import BackendError

OVERRIDE = "OCDSUP_OPENOCD"  # the path of the real one, for whoever wants to say it
BECAME = "OCDSUP_DROPIN"  # set for what we become: meeting it again means that we became ourselves
SCRIPTS = ("/usr/local/share/openocd/scripts", "/usr/share/openocd/scripts")
SMALL = 65536  # bytes: OpenOCD itself is larger, a wrapper script is not
DEPTH = 8  # files that source files that source files
_SOURCED = re.compile(r"^\s*(?:source|script)\s+\[?\s*(?:find\s+)?([^\]\s]+)", re.MULTILINE)


def find(binary: str = "openocd") -> str:
    """Return the path of the real OpenOCD: not us, and no script that leads back to us. Raises BackendError."""
    if told := os.environ.get(OVERRIDE):
        return told
    if os.path.isabs(binary) and not _is_us(Path(binary)):
        return binary
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder or ".") / os.path.basename(binary)
        if path.is_file() and os.access(path, os.X_OK) and not _is_us(path):
            return str(path)
    raise BackendError("find the real OpenOCD", "there is none in PATH besides this drop-in", f"install it, or set {OVERRIDE}")


def _is_us(path: Path) -> bool:
    try:
        if os.path.samefile(path, sys.argv[0]):
            return True
    except OSError:
        pass
    try:
        return path.stat().st_size <= SMALL and b"ocdsup" in path.read_bytes()
    except OSError:
        return False


def become(argv: Sequence[str]) -> NoReturn:
    """Become the real OpenOCD with these arguments: same process, same descriptors. Raises BackendError."""
    if BECAME in os.environ:
        hint = f"set {OVERRIDE} to the path of the real one"
        raise BackendError("find the real OpenOCD", "what was found leads back to this drop-in", hint)
    path = find()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(path, ["openocd", *argv], {**os.environ, BECAME: "1"})  # noqa: S606  # an argv list, never a shell
    except OSError as error:
        raise BackendError(f"start {path}", error.strerror or "", "install OpenOCD") from error


class Files:
    """Configuration files as OpenOCD finds them: the current folder, `-s`, OPENOCD_SCRIPTS, its own scripts."""

    def __init__(self, search: Iterable[str]) -> None:
        own = os.environ.get("OPENOCD_SCRIPTS", "").split(os.pathsep)
        self._folders = [Path(folder) for folder in (".", *search, *filter(None, own), *SCRIPTS)]

    def path(self, name: str) -> Path | None:
        """Return where a file is, None if nowhere."""
        return next((path for folder in self._folders if (path := folder / name).is_file()), None)

    def names(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of files and of all they source."""
        found: set[str] = set()
        todo = [(name, 0) for name in names]
        while todo:
            name, depth = todo.pop()
            if name in found or depth > DEPTH:
                continue
            found.add(name)
            todo += [(inner, depth + 1) for inner in _SOURCED.findall(self._text(name))]
        return frozenset(found)

    def scripts(self, names: Iterable[str]) -> list[str]:
        """Return the paths of files that set nothing up but define commands (Cortex-Debug's openocd-helpers.tcl)."""
        paths = [(name, self.path(name)) for name in names]
        return [str(path.resolve()) for name, path in paths if path is not None and only_defines(self._text(name))]

    def unread(self, names: Iterable[str], known: frozenset[str]) -> list[tuple[str, str]]:
        """Return the files that a supervised bench does not read although they were asked for, each with the reason.

        `known` are the names of the bench's own files, which were read long ago.
        """
        return [(name, why) for name in names if name not in known and (why := self._why_unread(name))]

    def _why_unread(self, name: str) -> str:
        if self.path(name) is None:
            return "it is not found"
        return "" if only_defines(self._text(name)) else "it sets OpenOCD up"

    def _text(self, name: str) -> str:
        path = self.path(name)
        try:
            return path.read_text(errors="replace")[: 1 << 20] if path is not None else ""
        except OSError:
            return ""
