"""One non-blocking TCP or Unix stream on the event loop, for every port of the daemon.

Own sockets instead of asyncio streams: asyncio asks recv() for 256 KiB at a time, which glibc serves with mmap and munmap per
read and costs 2.5 times the CPU in a stepping debug session (measured; 64 KiB does not).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
from collections.abc import Callable

from ocdsup.runtime.loop import StreamLoop

READ = 64 * 1024
LINGER_S = 10.0  # a closed stream whose peer does not take the rest for so long is dropped
_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes of the send queue that never left, because the peer's window is full
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
    is called after `close`. `on_drained()` is called when everything written was handed to the kernel. With `on_eof` a peer
    that only stops sending (a half-close) is told apart from the end of the stream: it may still read.
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
        self._recv: Callable[[int], bytes] = sock.recv
        self._send = sock.send
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self._on_closed = on_closed
        self._on_drained = on_drained
        self._on_eof = on_eof
        self._out = bytearray()
        self._closing = False
        self._half_closing = False
        self._open = True
        self._reading = True
        self._ended_by_peer = False
        self._linger: asyncio.TimerHandle | None = None
        self._quick: Callable[[], None] | None = None
        self.number = self._fd
        self.clear = True  # what is written now goes to the kernel at once
        self._listen()

    def _listen(self) -> None:
        if isinstance(self._loop, StreamLoop):
            self._loop.add_stream(self._fd, self.readable)
            self._hasten(self._loop)
        else:
            self._loop.add_reader(self._fd, self._quick or self.readable)

    def _hasten(self, loop: StreamLoop) -> None:
        loop.hasten(self._fd, self._quick or self.readable)

    def read_fast(self, quick: Callable[[], None] | None) -> None:
        """Have this called instead of `readable`: it reads `number`, and gives what it does not deal with to `take`."""
        self._quick = quick
        if self.is_open and self._reading:
            if isinstance(self._loop, StreamLoop):
                self._hasten(self._loop)
            else:
                self._listen()

    @property
    def is_open(self) -> bool:
        """Whether the stream may still be written to."""
        return self._open and not self._closing

    @property
    def backlog(self) -> int:
        """Bytes written but not yet taken by the kernel: how slow the peer reads."""
        return len(self._out)

    @property
    def unsent(self) -> bytes:
        """Those bytes."""
        return bytes(self._out)

    def send(self, data: bytes) -> int:
        """Write; what the kernel does not take at once follows when it can. Returns the backlog, in bytes."""
        if self._closing or not self._open or not data:
            return 0
        if not self._out:
            try:
                sent = self._send(data)
            except OSError:  # also "try again": told apart where it matters
                sent = self._push(data)
            if sent == len(data):
                return 0
            data = data[sent:]
            self.clear = False
            self._loop.add_writer(self._fd, self._writable)
        self._out += data
        return len(self._out)

    def _push(self, data: bytes | bytearray) -> int:
        """Hand to the kernel what it takes, in bytes. A broken stream takes everything and is reported later."""
        try:
            return self._send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._loop.call_soon(self._broken, error.strerror or "write failed")
            return len(data)

    def _writable(self) -> None:
        del self._out[: self._push(self._out)]
        if self._out:
            return
        self._loop.remove_writer(self._fd)
        self.clear = self.is_open
        if self._closing:
            self._finish()
        elif self._half_closing:
            self.half_close()
        elif self._on_drained is not None:
            self._on_drained()

    def pause(self) -> None:
        """Stop reading: the other side of a bridge is slow, and the kernel should push back."""
        if self._open and self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self.is_open and not self._reading and not self._ended_by_peer:
            self._reading = True
            self._listen()

    def half_close(self) -> None:
        """Send no more, after what is still to be written; the peer may go on."""
        self._half_closing = True
        if self._open and not self._out:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def read_by(self, recv: Callable[[int], bytes]) -> None:
        """From now on read with this instead of the socket's own `recv`."""
        self._recv = recv

    def readable(self) -> None:
        """Read, once."""
        try:
            data = self._recv(READ)
        except OSError as error:
            self.unreadable(error)
            return
        self.take(data)

    def take(self, data: bytes) -> None:
        """Act upon what was read; nothing is the end."""
        if not data:
            self._eof()
            return
        try:
            self._on_bytes(data)
        except Exception as error:  # noqa: BLE001  # a mistake of ours about these bytes
            self.spoilt(error)

    def unreadable(self, error: OSError) -> None:
        """Act upon what a read ended with."""
        if not isinstance(error, BlockingIOError | InterruptedError):
            self._ended(error.strerror or "read failed")

    def spoilt(self, error: Exception) -> None:
        """End the stream over bytes that could not be dealt with: nobody waits for ever for their answer."""
        self._loop.call_exception_handler({"message": "bytes that could not be dealt with", "exception": error})
        self._ended("a fault of ocdsup's own")

    def _eof(self) -> None:
        """The peer sends no more. It may still read: what is on its way to it is written first."""
        self._ended_by_peer = True
        if self._on_eof is not None:
            self.pause()
            self._on_eof()
            return
        self.close()
        self._on_closed("closed by peer")

    def _broken(self, reason: str) -> None:
        """Writing failed. The last words of a peer that reset the stream are still there to be read."""
        while self._open and self._reading:
            try:
                data = self._recv(READ)
            except OSError:
                break
            if not data:
                break
            self._on_bytes(data)
        self._ended(reason)

    def _ended(self, reason: str) -> None:
        if not self._open:
            return
        silent = self._closing
        self._drop()
        if not silent:
            self._on_closed(reason)

    def close(self) -> None:
        """Write what is left and close. A peer that reads gets every byte; nothing is called back any more."""
        if not self._open or self._closing:
            return
        self._closing, self.clear = True, False
        self.pause()
        self._linger = self._loop.call_later(LINGER_S, self._drop)
        if not self._out:
            self._finish()

    def _finish(self) -> None:
        """The kernel has everything. Closing with unread input, or before more input, makes it reset the stream and throw away
        what a peer with a full window has not got yet; so input is discarded, and such a peer is waited for.
        """
        if self._discard() or not self._unsent():
            self._drop()
            return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._loop.add_reader(self._fd, self._until_peer_ends)

    def _until_peer_ends(self) -> None:
        if self._discard():
            self._drop()

    def _discard(self) -> bool:
        """Throw away what the peer sent, at most 1 MiB a turn; return whether it sends no more."""
        for _ in range(16):
            try:
                if not self._sock.recv(READ):
                    return True  # nothing can come any more: the kernel delivers the rest without us
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                return True
        return False

    def _unsent(self) -> int:
        if self._sock.family == socket.AF_UNIX:
            return 0  # its bytes are in the peer's queue as soon as they are sent
        answer = fcntl.ioctl(self._fd, _SIOCOUTQNSD, bytes(4))
        return int(struct.unpack("i", answer)[0])

    def leave(self) -> bool:
        """Let go of the stream without a word to the peer: somebody else holds it too. With a backlog it stays: False."""
        if not self.is_open or self._out:
            return False
        self._open = self.clear = False
        self._loop.remove_reader(self._fd)
        self._sock.close()
        return True

    def abort(self) -> None:
        """Close now, whatever is left."""
        if self._open:
            self._drop()

    def _drop(self) -> None:
        self._open = self.clear = False
        if self._linger is not None:
            self._linger.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()


async def connect(host: str, port: int) -> socket.socket:
    """A connected non-blocking socket to a backend: a name, an IPv4 or an IPv6 address. Raises OSError, the last address's."""
    refused = OSError(f"{host} has no address")
    for family, address in await _addresses(host, port):
        try:
            return await _connect(family, address, port)
        except OSError as error:
            refused = error
    raise refused


async def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """What to try, in order. A server may be at one address of a name only: gdbserver takes the first of `localhost`."""
    if ":" in host or host == "localhost" or host.replace(".", "").isdigit():
        both = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
        return both if host == "localhost" else [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, str(address[0])) for family, _, _, _, address in found]


async def _connect(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        tune(sock)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:  # also a cancelled dial must not leave its socket open; raised again
        sock.close()
        raise
    return sock
