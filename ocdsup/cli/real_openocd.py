"""The real OpenOCD behind the drop-in: where it is, how to become it, and the configuration files it would read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from ocdsup.dropin.commands import only_defines
from ocdsup.dropin.ending import DEFAULT_FILE, DEPTH, FileText, sourced
from ocdsup.errors import BackendError
from ocdsup.openocd.dialect import Version, parse_version

OVERRIDE = "OCDSUP_OPENOCD"  # the path of the real one, for whoever wants to say it
BECAME = "OCDSUP_DROPIN"  # set for what we become: meeting it again means that we became ourselves
SCRIPTS = tuple(f"{prefix}/share/openocd/{part}" for prefix in ("/usr/local", "/usr") for part in ("site", "scripts"))
BESIDE = ("share/openocd/site", "share/openocd/scripts", "openocd/scripts", "scripts")  # of a binary in its own bin/
SMALL = 65536  # bytes: OpenOCD itself is larger, a wrapper script is not
VERSION_S = 5.0
OWN_FOLDERS = ("interface", "target")  # folders that only OpenOCD's own scripts have side by side
LARGEST = 1 << 20  # bytes of a configuration file


def find() -> str:
    """Return the path of the caller's real OpenOCD: not us, and no script that leads back to us. Raises BackendError.

    Never one that the daemon names: who takes the daemon's socket would have its callers start what he likes.
    """
    if told := os.environ.get(OVERRIDE):
        return told
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder or ".") / "openocd"
        if path.is_file() and os.access(path, os.X_OK) and not _is_us(path):
            return str(path)
    raise BackendError("find the real OpenOCD", "there is none in PATH besides this drop-in", f"install it, or set {OVERRIDE}")


def another(binary: str, program: str) -> bool:
    """Whether a bench's `openocd.binary` is another program than the one that was found here."""
    return os.path.isabs(binary) and os.path.realpath(binary) != os.path.realpath(program)


def version(program: str) -> Version:
    """Return which version a program is. Raises BackendError."""
    try:
        asked = [program, "--version"]
        done = subprocess.run(  # an argv list, of the caller's own program
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=VERSION_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or f"no answer within {VERSION_S:g} s"
        raise BackendError(f"ask {program} for its version", why, f"set {OVERRIDE} to the path of an OpenOCD") from error
    return parse_version((done.stdout + done.stderr).decode(errors="replace"))


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
    """Configuration files as OpenOCD finds them: the current folder, `-s`, OPENOCD_SCRIPTS, the user's, its own scripts.

    The order is that of options.c (add_default_dirs) and configuration.c (find_file), 0.10 … 0.12.
    """

    def __init__(self, search: Iterable[str]) -> None:
        told = os.environ.get("OPENOCD_SCRIPTS", "").split(os.pathsep)
        home = os.environ.get("HOME")
        users = [f"{home}/.config/openocd", f"{home}/.openocd"] if home else []
        self._folders = [Path(folder) for folder in (".", *search, *filter(None, told), *users, *_beside(), *SCRIPTS)]

    def path(self, name: str) -> Path | None:
        """Return where a file is, None if nowhere."""
        return next((path for folder in self._folders if _is_there(path := folder / name)), None)

    def texts(self, names: Iterable[str], known: frozenset[Path]) -> dict[str, FileText]:
        """Return files and all they source, as far as they are found, by the names used; a bench's OpenOCD reads `known`."""
        found: dict[str, FileText] = {}
        todo = [(name, 0) for name in names]
        while todo:
            name, depth = todo.pop()
            path = self.path(name)
            if name in found or path is None or depth > DEPTH:
                continue
            text = _read(path)
            proven = path.resolve() in known or any(_is_openocds_own(folder, path) for folder in self._folders)
            found[name] = FileText(text, proven)
            todo += [(inner, depth + 1) for inner in sourced(text or "")]
        return found

    def paths(self, names: Iterable[str]) -> frozenset[Path]:
        """Return where files are, as far as they are found."""
        return frozenset(path.resolve() for path in map(self.path, names) if path is not None)

    def names(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of files and of all they source."""
        found: set[str] = set()
        todo = [(name, 0) for name in names]
        while todo:
            name, depth = todo.pop()
            if name in found or depth > DEPTH:
                continue
            found.add(name)
            todo += [(inner, depth + 1) for inner in sourced(self._text(name))]
        return frozenset(found)

    def scripts(self, names: Iterable[str]) -> list[str]:
        """Return the paths of files that set nothing up but define commands (Cortex-Debug's openocd-helpers.tcl)."""
        paths = [(name, self.path(name)) for name in names]
        return [str(path.resolve()) for _, path in paths if path is not None and _only_defines(path)]

    def unread(self, names: Iterable[str], known: frozenset[str]) -> list[tuple[str, str]]:
        """Return the files that a supervised bench does not read although they were asked for, each with the reason.

        `known` are the names of the bench's own files, which were read long ago.
        """
        return [(name, why) for name in names if name not in known and (why := self._why_unread(name))]

    def _why_unread(self, name: str) -> str:
        path = self.path(name)
        if path is None:
            return "" if name == DEFAULT_FILE else "it is not found"
        return "" if _only_defines(path) else "it sets OpenOCD up"

    def _text(self, name: str) -> str:
        path = self.path(name)
        return (_read(path) or "") if path is not None else ""


def _beside() -> list[str]:
    try:
        home = Path(find()).resolve().parent.parent
    except BackendError:
        return []
    return [f"{home}/{part}" for part in BESIDE]


def _read(path: Path) -> str | None:
    """The text of a file; None when it cannot be read, or not twice, or is too large for a configuration."""
    if not path.is_file():
        return None  # a pipe, as of a shell's `<(…)`, which OpenOCD finds empty itself (0.12)
    try:
        with path.open(errors="replace") as file:
            text = file.read(LARGEST + 1)
    except OSError:
        return None
    return text if len(text) <= LARGEST else None


def _only_defines(path: Path) -> bool:
    text = _read(path)
    return text is not None and only_defines(text)


def _is_there(path: Path) -> bool:
    return os.path.exists(path) and not os.path.isdir(path)  # a folder that may not be entered is none


def _is_openocds_own(folder: Path, path: Path) -> bool:
    return path.is_relative_to(folder) and folder != Path() and all(os.path.isdir(folder / part) for part in OWN_FOLDERS)
