"""Sockets that systemd opened for us (sd_listen_fds(3)): matched by what they are bound to, never by their order or name.

The originals stay open as long as the daemon does, as they do in systemd: a port that a reload takes away and gives back could
not be bound a second time. Users get duplicates.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping

FIRST = 3  # SD_LISTEN_FDS_START


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


class Inherited:
    """Listening sockets by their address. What is no listening stream socket is not ours to use and is closed."""

    def __init__(self, passed: Iterable[tuple[int, str]] = ()) -> None:
        self._tcp: dict[tuple[str, int], socket.socket] = {}
        self._unix: dict[str, socket.socket] = {}
        self._used: set[str] = set()
        self._names: dict[str, str] = {}
        for number, name in passed:
            self._add(number, name)

    def _add(self, number: int, given_name: str) -> None:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            os.close(number)
            return
        sock = socket.socket(fileno=number)
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.close()
            return
        sock.setblocking(False)
        name = sock.getsockname()
        if sock.family == socket.AF_UNIX:
            former = self._unix.pop(str(name), None)
            self._unix[str(name)] = sock
            self._names[str(name)] = given_name
        else:
            key = (_normal(name[0]), name[1])
            former = self._tcp.pop(key, None)
            self._tcp[key] = sock
            self._names[f"{key[0]}:{key[1]}"] = given_name
        if former is not None:  # from the socket unit and from the store
            former.close()

    def tcp(self, address: str, port: int) -> socket.socket | None:
        """A duplicate of the listener on this address and port, if there is one."""
        return self._duplicate(self._tcp.get((_normal(address), port)), f"{address}:{port}")

    def unix(self, path: str) -> socket.socket | None:
        """A duplicate of the listener on this path, if there is one."""
        return self._duplicate(self._unix.get(path), path)

    def _duplicate(self, sock: socket.socket | None, name: str) -> socket.socket | None:
        if sock is None:
            return None
        self._used.add(name)
        return sock.dup()

    def unused(self) -> tuple[str, ...]:
        """What nobody has asked for: whoever connects there waits in vain."""
        names = [f"{address}:{port}" for address, port in self._tcp] + list(self._unix)
        return tuple(name for name in names if name not in self._used)

    def name(self, unused: str) -> str:
        """The name under which one of `unused` was passed."""
        return self._names[unused]

    def close(self) -> None:
        """Let go of the originals; duplicates live on."""
        for sock in (*self._tcp.values(), *self._unix.values()):
            sock.close()
        self._tcp.clear()
        self._unix.clear()


def _normal(address: str) -> str:
    return str(ipaddress.ip_address(address.partition("%")[0]))
