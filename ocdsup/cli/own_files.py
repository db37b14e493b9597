"""The files of an installation on disk: put in their place, recognised, taken away; what is not ours is not touched.

A link at the place is never followed. `systemctl mask` makes one to /dev/null (systemctl(1)), and who writes through that takes
the device away from the whole PC. So a file is made beside its place and renamed onto it (rename(2) replaces a link itself),
and a link that is there is named and left to whom it belongs.

The last line that `install` writes holds a sum over the others. A file whose sum is wrong was changed since, or is not ours: it
stays as NAME.bak, which none of the readers of these folders reads. The line also says how many directories were made for the
file, so that they can go with it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocdsup.errors import OcdsupError

FILE_MODE, FOLDER_MODE = 0o644, 0o755  # whatever the umask: the service's user reads them
_MARK = re.compile(rb"^\S+ Written by `ocdsup install` \(directories made: (\d{1,2})\): ([0-9a-f]{64})\n\Z", re.MULTILINE)


def marked(path: Path, text: str, made: int = 0) -> str:
    """The text with its last line; in a manual page a comment begins with .\\"."""
    text = text if text.endswith("\n") else f"{text}\n"
    comment = '.\\"' if path.suffix == ".1" else "#"
    return f"{text}{comment} Written by `ocdsup install` (directories made: {made}): {_sum(text.encode())}\n"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def changed(path: Path) -> bool:
    """Whether a file is there that is not as `install` wrote it. Raises OcdsupError when it may not be read."""
    content = _content(path)
    mark = _MARK.search(content) if content is not None else None
    return content is not None and (mark is None or mark[2].decode() != _sum(content[: mark.start()]))


def _made(path: Path) -> int:
    mark = _MARK.search(_content(path) or b"")
    return int(mark[1]) if mark else 0


def _content(path: Path) -> bytes | None:
    with _saying(f"look at {path}"):
        return path.read_bytes() if path.is_file() else None


def backup(path: Path) -> Path:
    """The first free name that a changed file could have beside its place."""
    names = (path.with_name(f"{path.name}.bak{number or ''}") for number in itertools.count())
    return next(name for name in names if not os.path.lexists(name))


def check(path: Path, systemctl: str = "systemctl") -> None:
    """Raise OcdsupError when what is at the place is no file that could be replaced; `systemctl` is how the hint calls it."""
    with _saying(f"look at {path}"):
        mode = path.lstat().st_mode if os.path.lexists(path) else stat.S_IFREG
    if stat.S_ISLNK(mode):
        to = os.readlink(path)
        if os.path.realpath(path) == os.devnull:
            hint = f"`{systemctl} unmask {path.name}` takes the mask away; then install again"
            raise OcdsupError(f"write {path}", f"it is masked: a link to {to}", hint)
        hint = f"remove the link; what you change of a unit belongs into a drop-in (`{systemctl} edit ocdsup`)"
        raise OcdsupError(f"write {path}", f"it is a link to {to}, which is not ours to change", hint)
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "what is no regular file"
        raise OcdsupError(f"write {path}", f"{what} is in its place", "move it away, then install again")


def put(path: Path, text: str, folders: int = FOLDER_MODE, *, mark: bool = True) -> Path | None:
    """Write the file whole or not at all, with its mark; return where a changed one that was there is now.

    `folders` is the mode of directories that have to be made. Raises OcdsupError.
    """
    check(path)
    with _saying(f"write {path}"):
        made = _made(path) + make_folders(path.parent, folders)
        kept = _kept(path) if mark and changed(path) else None
        _replace(path, (marked(path, text, made) if mark else text).encode())
    return kept


def make_folders(folder: Path, mode: int) -> int:
    """Make what is missing on the way to a directory, with this mode whatever the umask; return how many."""
    missing = list(itertools.takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    for one in reversed(missing):
        one.mkdir()
        one.chmod(mode)
    return len(missing)


def _kept(path: Path) -> Path:
    """A second name for the file, so that there is one in its place all the time."""
    aside = backup(path)
    os.link(path, aside)
    return aside


def _replace(path: Path, content: bytes) -> None:
    number, beside = tempfile.mkstemp(prefix=".ocdsup.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
            os.fchmod(number, FILE_MODE)
            stream.flush()
            os.fsync(number)
        os.replace(beside, path)
    except BaseException:  # also Ctrl-C must not leave the unfinished file beside its place; raised again
        os.unlink(beside)
        raise


def take_away(path: Path) -> str | None:
    """Remove the file and say what was done; None when nothing is there. Raises OcdsupError."""
    with _saying(f"remove {path}"):
        if path.is_symlink():
            return f"left     {path}: a link to {os.readlink(path)}, which `install` did not make"
        if not path.exists():
            return None
        if changed(path):
            aside = backup(path)
            os.rename(path, aside)
            return f"renamed  {path}: it was changed since `install` wrote it and is now {aside}"
        folders = path.parents[: _made(path)]
        path.unlink()
        for folder in itertools.takewhile(lambda one: not any(one.iterdir()), folders):
            folder.rmdir()
    return f"removed  {path}"


@contextmanager
def _saying(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "run it as root" if isinstance(error, PermissionError) else "see `--dry-run`"
        raise OcdsupError(what, error.strerror or str(error), hint) from None
