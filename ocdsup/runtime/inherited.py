"""Sockets that systemd opened or kept for us (sd_listen_fds(3)): matched by what they are bound to, never by order or name.

Users get duplicates. The original of a socket unit's stays open as long as the daemon does, as it does in systemd: a port that
a reload takes away and gives back could not be bound a second time. What nobody uses is `unclaimed`'s affair.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field

FIRST = 3  # SD_LISTEN_FDS_START
LISTENER = "ocdsup.listen."
"""How the names of listeners begin that the previous daemon put into the store; every other one is a socket unit's."""


def descriptors(environment: MutableMapping[str, str], pid: int) -> tuple[tuple[int, str], ...]:
    """Descriptors that were passed to this very process, with their names; the variables are used up, children see none.

    A LISTEN_PID of another process means that they were meant for it (sd_listen_fds(3)).
    """
    values = [environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    ours, count, names = values[0] == str(pid), values[1], values[2].split(":")
    if not ours or not count.isdecimal():
        return ()
    found = tuple((FIRST + at, names[at] if at < len(names) else "") for at in range(int(count)))
    for number, _ in found:
        os.set_inheritable(number, False)
    return found


@dataclass(slots=True)
class Passed:
    """One listening socket: `unit` when systemd itself listens on it, `stored` is its name in the store, if it is there."""

    sock: socket.socket
    address: str
    unit: bool = False
    stored: str = ""
    _given: list[int] = field(default_factory=list)

    def duplicate(self) -> socket.socket:
        """A descriptor for somebody who listens on it."""
        made = self.sock.dup()
        self._given.append(made.fileno())
        return made

    @property
    def used(self) -> tuple[int, ...]:
        """The descriptors of those who listen on it. A number that was closed may belong to something else by now."""
        self._given = [number for number in self._given if _same(number, self.sock)]
        return tuple(self._given)


def _same(number: int, sock: socket.socket) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.fstat(sock.fileno()))
    except OSError:
        return False


class Inherited:
    """Listening sockets by their address. What is no listening stream socket is not ours to use and is closed."""

    def __init__(self, passed: Iterable[tuple[int, str]] = ()) -> None:
        self._all: dict[str, Passed] = {}
        for number, name in passed:
            self._add(number, name)

    def _add(self, number: int, name: str) -> None:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            os.close(number)
            return
        sock = socket.socket(fileno=number)
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.close()
            return
        sock.setblocking(False)
        bound = sock.getsockname()
        address = str(bound) if sock.family == socket.AF_UNIX else _tcp(*bound[:2])
        if address in self._all:  # from the socket unit and from the store: one and the same
            sock.close()
        one = self._all.setdefault(address, Passed(sock, address))
        if name.startswith(LISTENER):
            one.stored = name
        else:
            one.unit = True

    def tcp(self, address: str, port: int) -> socket.socket | None:
        """A duplicate of the listener on this address and port, if there is one."""
        return self._duplicate(_tcp(address, port))

    def unix(self, path: str) -> socket.socket | None:
        """A duplicate of the listener on this path, if there is one."""
        return self._duplicate(path)

    def _duplicate(self, address: str) -> socket.socket | None:
        one = self._all.get(address)
        return one.duplicate() if one is not None else None

    def all(self) -> tuple[Passed, ...]:
        """Every listener that was passed and is kept open."""
        return tuple(self._all.values())

    def let_go(self, one: Passed) -> None:
        """Close an original; its duplicates live on."""
        del self._all[one.address]
        one.sock.close()

    def close(self) -> None:
        """Let go of all originals; duplicates live on."""
        for one in self.all():
            self.let_go(one)


def _tcp(address: str, port: int) -> str:
    plain = str(ipaddress.ip_address(address.partition("%")[0]))
    return f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"
