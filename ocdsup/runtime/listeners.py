"""The stable listeners: opened before the first OpenOCD, on every address of `bind` with one and the same port number.

Both loopback families, because clients try `::1` first: who holds [::1]:3333 gets the session, though 127.0.0.1:3333 is ours.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence

BACKLOG = 64
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
# accept(2) hands out errors of the connection that was about to be accepted; they say nothing about the listener.
_OF_ONE_CONNECTION = frozenset(
    {
        *(errno.ENETDOWN, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH),
        *(errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EPERM),
    }
)
_SHORT_OF_FDS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_TRIES_FOR_FREE_PORT = 20
_PAUSE_S = 1.0

Accept = Callable[[socket.socket], None]
# A listening socket on this address and port that somebody opened for us, if there is one.
Given = Callable[[str, int], socket.socket | None]


class PortTakenError(OSError):
    """An address of the port belongs to somebody else; `address` and `port` say which."""

    def __init__(self, address: str, port: int, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror)
        self.address = address
        self.port = port


def _bind(address: str, port: int) -> socket.socket | None:
    """A listening socket, or None when this PC does not have the address family at all."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in _NO_FAMILY:
            return None
        raise
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if _no_such_loopback(address, error):
            return None
        raise PortTakenError(address, port, error) from error
    return sock


def _no_such_loopback(address: str, error: OSError) -> bool:
    """Whether IPv6 is switched off here. Any other address this PC lacks is a mistake in `bind`, not to be passed over."""
    return error.errno in _NO_FAMILY or (error.errno == errno.EADDRNOTAVAIL and address == "::1")


def _nobody(_address: str, _port: int) -> socket.socket | None:
    return None


def _bind_all(addresses: Sequence[str], port: int, given: Given = _nobody) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            sock = given(address, port) or _bind(address, port)
            if sock is not None:
                sockets.append(sock)
                port = sock.getsockname()[1]
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise PortTakenError(", ".join(addresses), port, OSError(errno.EADDRNOTAVAIL, "no such address on this PC"))
    return sockets


def bind_all(addresses: Sequence[str], port: int, given: Given = _nobody) -> list[socket.socket]:
    """Listening sockets on every address with the same port; port 0 takes one that is free on all of them.

    What `given` has is taken as it is; the rest is opened here.

    Raises PortTakenError; then no socket stays open.
    """
    for _ in range(_TRIES_FOR_FREE_PORT if port == 0 else 0):
        try:
            return _bind_all(addresses, 0)
        except PortTakenError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _bind_all(addresses, port, given)


class Listener:
    """Accepts on a set of listening sockets until it is closed."""

    def __init__(self, sockets: Sequence[socket.socket], accept: Accept) -> None:
        self._sockets: tuple[socket.socket, ...] = tuple(sockets)
        self._accept = accept
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.port: int = self._sockets[0].getsockname()[1] if self._sockets[0].family != socket.AF_UNIX else 0
        self._listen()

    def _listen(self) -> None:
        self._timer = None
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._take, sock)

    def _take(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno in _OF_ONE_CONNECTION:
                return
            if error.errno not in _SHORT_OF_FDS:
                raise
            self._rest()
            return
        self._accept(sock)

    def _rest(self) -> None:
        """Out of descriptors: a pending connection would wake us for ever, so look again in a second."""
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
        self._timer = self._loop.call_later(_PAUSE_S, self._listen)

    def close(self) -> None:
        """Stop listening; connections that were accepted live on."""
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets = ()
