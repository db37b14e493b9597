"""Who may write the configuration file? Its `-c` lines are Tcl, and OpenOCD's Tcl has `exec`: the file is code.

Refused, because anybody else's write access is a shell as the daemon's user:
a file owned by neither root nor the daemon's user, and a file that everybody may write.
Only warned about: a file its group may write. Debian and Ubuntu give every user a group of their own; with umask 002
every file in a home directory is group-writable; refusing those would refuse most people's first file.
"""

import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with the owner and mode of a file: an `error` refuses it, a `warning` is shown; or neither."""

    error: str = ""
    warning: str = ""
    hint: str = ""


def judge(owner: int, mode: int, uid: int, file: str) -> Verdict:
    """Judge a file by its owner and mode (`st_uid`, `st_mode`); pipes and terminals have no writers to judge."""
    if not stat.S_ISREG(mode):
        return Verdict()
    if owner not in {0, uid}:
        text = f"the file belongs to user {owner}, who could run commands as user {uid} through it"
        return Verdict(error=text, hint=f"make it root's or your own: chown {uid} {file}")
    if mode & stat.S_IWOTH:
        text = "everybody may write the file, and its `commands` run as the daemon's user"
        return Verdict(error=text, hint=f"chmod o-w {file}")
    if mode & stat.S_IWGRP:
        return Verdict(
            warning="the file's group may write it; its `commands` run as the daemon's user", hint=f"chmod g-w {file}"
        )
    return Verdict()
