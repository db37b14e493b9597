"""A daemon that is there and says nothing: who it is, what it does, and what its user can do about it."""

from __future__ import annotations

import os
import struct
from _socket import SO_PEERCRED, SOL_SOCKET

from ocdsup.errors import ControlError

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator

_MANAGER = 1  # PID of the service manager, which holds the sockets that it activates, and answers none of them
_LISTENS = "00010000"  # __SO_ACCEPTCON (include/linux/net.h)
_STATES = {  # the letters of proc(5), what they mean here, and what to do about it; the others are a fault of ours
    "T": ("is stopped by a signal", "`kill -CONT {pid}` lets it go on"),
    "t": ("is stopped by a debugger", "let the debugger go on"),
    "D": ("is stuck in the kernel", "look for a disk or a probe that hangs with `dmesg`"),
}
_HANGS = ("hangs", "end it with `kill -9 {pid}` and start it again, which systemd does by itself")


def error(path: str, stream: socket | None, waited: float) -> ControlError:
    """Return what there is to say of the daemon behind the socket at `path`, which was silent for `waited` seconds."""
    found = list(_holders(path)) or _listener(stream)
    pid, name, state = found[0] if found else (0, "", "")
    does, step = _STATES.get(state, _HANGS)
    who = f"PID {pid} ({name}) has this socket, {does} and" if pid else "the daemon, of which nothing else can be seen,"
    hint = step.format(pid=pid) if pid else "`sudo ss -xlp` tells its PID; end it and start it again"
    return ControlError("silent", f"get an answer from the daemon at {path}", f"{who} gave no answer for {waited:.1f} s", hint)


def _listener(stream: socket | None) -> list[tuple[int, str, str]]:
    """Return who began to listen (unix(7), SO_PEERCRED): not always who listens now, but anybody may ask."""
    if stream is None:
        return []
    pid, _uid, _gid = struct.unpack("3i", stream.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))
    return [(pid, *seen)] if pid > _MANAGER and (seen := _look(pid)) else []


def _holders(path: str) -> Iterator[tuple[int, str, str]]:
    """Yield who has the socket open, as far as this user may see it."""
    inode = _inode(path)
    for entry in os.listdir("/proc") if inode else ():
        if entry.isdigit() and int(entry) != _MANAGER and inode in _sockets(entry) and (seen := _look(int(entry))):
            yield (int(entry), *seen)


def _inode(path: str) -> str:
    """Return the number of the socket that listens at `path`, from /proc/net/unix (proc(5)); empty when it is not there."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as table:
            rows = [row.rstrip("\n").split(maxsplit=7) for row in table]
    except OSError:
        return ""
    return next((row[6] for row in rows if row[7:] == [path] and row[3] == _LISTENS), "")


def _sockets(pid: str) -> Iterator[str]:
    """Yield the numbers of the sockets that a process has open; none without the right to look."""
    try:
        files = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for file in files:
        try:
            name = os.readlink(f"/proc/{pid}/fd/{file}")
        except OSError:
            continue
        if name.startswith("socket:["):
            yield name[len("socket:[") : -1]


def _look(pid: int) -> tuple[str, str] | None:
    """Return the name of a process and the letter of its state, None when it is gone; the name may hold brackets."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            head, _, tail = file.read().rpartition(") ")
    except OSError:
        return None
    return head.partition("(")[2], tail[:1]
