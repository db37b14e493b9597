"""Our own connection to OpenOCD's Tcl port: one question at a time in order, and its notifications on a second one.

The heartbeat is a bare 0x1A, which OpenOCD (0.10 … master) answers with 0x1A without a line in its log.
"""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from ocdsup.openocd.command import notify
from ocdsup.runtime import wire
from ocdsup.runtime.wire import Wire

END = b"\x1a"
LONGEST = 1024 * 1024  # bytes of one answer; what we ask ourselves is answered in a few hundred

_GIVEN_UP = "the connection was given up while it was opened"


class _Link(ABC):
    """A connection that may be given up while it is opened."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._given_up = False

    async def open(self, port: int, host: str = "127.0.0.1") -> None:
        """Connect. Raises OSError, also when it was closed meanwhile."""
        sock = await wire.connect(host, port)
        if self._given_up:
            sock.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, _GIVEN_UP)
        self._wire = Wire(sock, self._bytes, self._closed)

    @abstractmethod
    def _bytes(self, data: bytes) -> None:
        """OpenOCD has said this."""

    @abstractmethod
    def _closed(self, reason: str) -> None:
        """OpenOCD has ended the connection."""

    def close(self) -> None:
        """Give up the connection."""
        self._given_up = True
        if self._wire is not None:
            self._wire.abort()


class TclLink(_Link):
    """Questions and answers over one Tcl connection. `ask` may be called before the last answer came."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._answer = bytearray()

    @property
    def is_open(self) -> bool:
        """Whether questions can be asked."""
        return self._wire is not None and self._wire.is_open

    def ask(self, command: bytes = b"") -> asyncio.Future[bytes]:
        """Send a command; its raw answer is the future's result, ConnectionError if the link breaks before."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self._wire is None or not self._wire.is_open:
            return _failed(future, "the Tcl connection to OpenOCD is closed")
        self._waiting.append(future)
        self._wire.send(command + END)
        return future

    def _bytes(self, data: bytes) -> None:
        self._answer += data
        if END in data:
            *answers, self._answer = self._answer.split(END)
            for answer in answers:
                self._settle(bytes(answer))
        if len(self._answer) > LONGEST:
            self.close()

    def _settle(self, answer: bytes) -> None:
        future = self._waiting.popleft() if self._waiting else None
        if future is not None and not future.done():  # done: the asker has lost patience, and the answer is still its own
            future.set_result(answer)

    def _closed(self, reason: str) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                _failed(future, f"the Tcl connection to OpenOCD has ended: {reason}")

    def close(self) -> None:
        """Give up the connection and every unanswered question."""
        super().close()
        self._closed("given up")


def _failed(future: asyncio.Future[bytes], why: str) -> asyncio.Future[bytes]:
    future.set_exception(ConnectionResetError(why))
    future.exception()  # nobody may be waiting for a heartbeat any more: not worth a warning
    return future


class TclEvents(_Link):
    """The second connection: frames that OpenOCD sends unasked when notifications are on (0.9 and newer).

    No frame is told any more once it was closed.
    """

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self._on_frame = on_frame
        self._rest = bytearray()

    async def open(self, port: int, host: str = "127.0.0.1") -> None:
        """Connect and switch the notifications on. Raises OSError, also when it was closed meanwhile."""
        await super().open(port, host)
        assert self._wire is not None
        self._wire.send(notify().encode() + END)

    def _bytes(self, data: bytes) -> None:
        self._rest += data
        *frames, rest = self._rest.split(END)
        self._rest = bytearray(rest[-LONGEST:])
        for frame in frames:
            if frame and not self._given_up:
                self._on_frame(bytes(frame))

    def _closed(self, _reason: str) -> None:
        """Nobody waits for an answer here."""
