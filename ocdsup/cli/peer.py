"""Whose daemon is it that listens on a control socket, and is its word to be taken?

Root and the caller himself are trusted. Another user is, as the service's `ocdsup` in /run/ocdsup, when nobody but root, the
caller and that very user could have put a socket there. Not so in a folder that others may write to (/tmp, a control folder
with mode 0777), where anybody can put his own in the daemon's place.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ocdsup.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check(path: str, peer: int, caller: int, look: Callable[[str], os.stat_result] = os.lstat) -> None:
    """Raise ControlError unless the daemon of the user `peer`, which listens on `path`, is to be believed by `caller`.

    All are numeric user ids; `peer` is what SO_PEERCRED says, who called listen(2) (unix(7)): with socket activation root.
    """
    trusted = {0, peer, caller}
    for folder in _folders(path):
        if why := _open_to_others(folder, trusted, look):
            hint = f"if {_name(peer)} is to run it, let `control:` name a folder that only that user and root may change"
            raise ControlError("denied", f"trust the daemon at {path}", f"it runs as {_name(peer)}, and {why}", hint)


def _folders(path: str) -> Iterator[str]:
    """Every folder on the way to a socket, as it is written and with all links resolved."""
    written = os.path.dirname(os.path.abspath(path))
    for way in dict.fromkeys((written, os.path.realpath(written))):
        yield from map(str, (Path(way), *Path(way).parents))


def _open_to_others(folder: str, trusted: set[int], look: Callable[[str], os.stat_result]) -> str:
    """Why users other than the trusted ones can change what is in a folder; nothing if they cannot."""
    try:
        seen = look(folder)
    except OSError as error:
        return f"{folder} cannot be looked at ({error.strerror})"
    if seen.st_uid not in trusted:
        return f"{folder} belongs to {_name(seen.st_uid)}"
    if not stat.S_ISLNK(seen.st_mode) and seen.st_mode & _OTHERS_WRITE:
        return f"others than its owner may write to {folder}"
    return ""


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user with id {uid}"
