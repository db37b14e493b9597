"""The drop-in's own listeners, and the bridges from them, or from the pipe, to a bench's ports.

A client that sends `shutdown`, or GDB's `monitor shutdown`, means the OpenOCD it has started, which is the drop-in.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocdsup.dropin.farewell import Farewell
from ocdsup.errors import OcdsupError

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a service; `target` finds the bench's port behind it, which may be another one after a restart."""

    service: str
    sock: socket.socket
    target: Callable[[], int | None]


def bind(port: int) -> list[socket.socket]:
    """Listen on both loopback families, as the stable ports do. Raises OSError when the number is taken on either."""
    first = socket.create_server(("127.0.0.1", port))
    number = first.getsockname()[1]
    try:
        return [first, socket.create_server(("::1", number), family=socket.AF_INET6)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            first.close()
            raise
        return [first]  # a machine without IPv6


async def bridge(
    listener: Listener,
    over: Callable[[], object],
    parted: Callable[[], object],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Carry one client's connection to the bench and back; `over` is called when it ends OpenOCD, `parted` when it goes."""
    try:
        port = await asyncio.to_thread(listener.target)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port or 0)
    except (OSError, OcdsupError):  # the bench, or the daemon, is away
        writer.close()
        return
    upwards = asyncio.ensure_future(_pump(reader, up_writer, Farewell(listener.service)))
    downwards = asyncio.ensure_future(_pump(up_reader, writer, None))
    upwards.add_done_callback(lambda done: _is_over(done, downwards, over))
    with contextlib.suppress(asyncio.CancelledError):
        await downwards
    upwards.cancel()
    for end in (writer, up_writer):
        end.close()
    parted()


def _is_over(upwards: asyncio.Future[bool], downwards: asyncio.Future[bool], over: Callable[[], object]) -> None:
    if not upwards.cancelled() and upwards.exception() is None and upwards.result():
        downwards.cancel()
        over()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, farewell: Farewell | None) -> bool:
    """Carry one direction; the end of what is sent is passed on as such, because the other side may still have answers.

    Returns whether it stopped because the client said farewell.
    """
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            if farewell is not None and farewell.hears(data):
                return True
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    return False


class Pipe:
    """GDB on stdin and stdout. Blocking, with a thread for each direction: both are one socket of GDB's, dup'ed, and an
    asyncio write pipe takes what GDB sends on it for the end of the pipe.
    """

    def __init__(self, port: int) -> None:
        self._up = socket.create_connection(("127.0.0.1", port))
        self._up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = False  # by GDB: it closed the pipe, or ended OpenOCD
        self.told = False  # to end, by `monitor shutdown`

    def run(self) -> None:
        """Return when either side has closed."""
        threading.Thread(target=self._from_gdb, daemon=True).start()
        with self._up, contextlib.suppress(OSError):
            while data := self._up.recv(CHUNK):
                while data:
                    data = data[os.write(1, data) :]

    def _from_gdb(self) -> None:
        farewell = Farewell("gdb")
        with contextlib.suppress(OSError):
            while data := os.read(0, CHUNK):
                if farewell.hears(data):
                    self.told = True
                    break
                self._up.sendall(data)
            self.ended = True
            self._up.shutdown(socket.SHUT_RDWR if self.told else socket.SHUT_WR)
