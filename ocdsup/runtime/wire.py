"""One non-blocking TCP or Unix stream on the event loop, for every port of the daemon.

Own sockets instead of asyncio streams: asyncio asks recv() for 256 KiB at a time, which glibc serves with mmap and munmap per
read and costs 2.5 times the CPU in a stepping debug session (measured; 64 KiB does not).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

READ = 64 * 1024
_KEEPALIVE = (
    (socket.SO_KEEPALIVE, 1, socket.SOL_SOCKET),
    (socket.TCP_KEEPIDLE, 15, socket.IPPROTO_TCP),
    (socket.TCP_KEEPINTVL, 5, socket.IPPROTO_TCP),
    (socket.TCP_KEEPCNT, 3, socket.IPPROTO_TCP),
    (socket.TCP_USER_TIMEOUT, 30_000, socket.IPPROTO_TCP),  # milliseconds: a vanished client is cut, not kept for hours
    (socket.TCP_NODELAY, 1, socket.IPPROTO_TCP),  # without it a split packet waits 44 ms for a delayed acknowledgement
)


def tune(sock: socket.socket) -> None:
    """Make a TCP socket prompt, and sensitive to a peer that vanished."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return
    for option, value, level in _KEEPALIVE:
        sock.setsockopt(level, option, value)


class Wire:
    """A connected stream: bytes in by callback, bytes out buffered, closed exactly once.

    `on_bytes(data)` is called for every read, `on_closed(reason)` once when the peer or the network ended the stream; neither
    is called after `close`. `on_drained()` is called when everything written was handed to the kernel. With `on_eof` a peer that
    only stops sending (a half-close) is told apart from the end of the stream: it may still read.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_bytes: Callable[[bytes], None],
        on_closed: Callable[[str], None],
        on_drained: Callable[[], None] | None = None,
        on_eof: Callable[[], None] | None = None,
    ) -> None:
        tune(sock)
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self._on_closed = on_closed
        self._on_drained = on_drained
        self._on_eof = on_eof
        self._out = bytearray()
        self._closing = False
        self._open = True
        self._reading = True
        self._loop.add_reader(self._fd, self._readable)

    @property
    def is_open(self) -> bool:
        """Whether the stream may still be written to."""
        return self._open and not self._closing

    @property
    def backlog(self) -> int:
        """Bytes written but not yet taken by the kernel: how slow the peer reads."""
        return len(self._out)

    def send(self, data: bytes) -> None:
        """Write; what the kernel does not take at once follows when it can."""
        if not self.is_open or not data:
            return
        if not self._out:
            data = self._push(data)
            if not data:
                return
            self._loop.add_writer(self._fd, self._writable)
        self._out += data

    def _push(self, data: bytes | bytearray) -> bytes:
        """Hand to the kernel what it takes; the rest comes back. A broken stream takes everything and is reported later."""
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._loop.call_soon(self._ended, error.strerror or "write failed")
            return b""
        return bytes(data[sent:]) if sent < len(data) else b""

    def _writable(self) -> None:
        rest = self._push(self._out)
        self._out = bytearray(rest)
        if self._out or not self._open:
            return
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._drop()
        elif self._on_drained is not None:
            self._on_drained()

    def pause(self) -> None:
        """Stop reading: the other side of a bridge is slow, and the kernel should push back."""
        if self._open and self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._open and not self._reading:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._ended(error.strerror or "read failed")
            return
        if data:
            self._on_bytes(data)
        elif self._on_eof is not None:
            self.pause()
            self._on_eof()
        else:
            self._ended("closed by peer")

    def _ended(self, reason: str) -> None:
        if not self._open:
            return
        silent = self._closing
        self._drop()
        if not silent:
            self._on_closed(reason)

    def close(self) -> None:
        """Write what is left and close. The peer gets every byte; nothing is called back any more."""
        if not self._open or self._closing:
            return
        self._closing = True
        self.pause()
        if not self._out:
            self._drop()

    def abort(self) -> None:
        """Close now, whatever is left."""
        if self._open:
            self._drop()

    def _drop(self) -> None:
        self._open = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()


async def connect(host: str, port: int) -> socket.socket:
    """A connected non-blocking socket to a port of our own backend. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        tune(sock)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock
