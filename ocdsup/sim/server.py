"""The edge of the simulated probes: TCP for OpenOCD, a unix socket for faults, and the clock."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ocdsup.sim import control, protocol
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.client import control_path
from ocdsup.sim.probe import DEFAULT_SERIAL, Probe
from ocdsup.sim.protocol import Request

HOST = "127.0.0.1"  # OpenOCD 0.12 connects to this address only
PORT = 7184  # the port of ST's own stlink-server


def make_probe(serial: str = DEFAULT_SERIAL, board: str = "stm32f407", image: bytes | None = None) -> Probe:
    """Return a probe with a board of BOARDS; call it inside a running event loop. Raises KeyError."""
    return Probe(serial, BOARDS[board], asyncio.get_running_loop().time(), image)


class SimServer:
    """Serves simulated probes until left: ``async with SimServer([probe], port=0) as sim: sim.port``."""

    def __init__(self, probes: Sequence[Probe] | None = None, port: int = PORT, control: str | Path | None = None) -> None:
        self.probes = list(probes) if probes is not None else []
        self.port = port
        self._control = Path(control) if control is not None else None
        self._clients: set[_Client] = set()
        self._left = asyncio.Event()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._handles = 0

    async def __aenter__(self) -> Self:
        """Open both sockets; raises OSError when one is taken."""
        self._loop = asyncio.get_running_loop()
        if not self.probes:
            self.probes = [make_probe()]
        self._tcp = await self._loop.create_server(lambda: _Link(self), HOST, self.port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._unix = await self._open_control()
        except OSError:
            self._tcp.close()
            raise
        for probe in self.probes:
            self.pace(probe)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything; clients see their connection end."""
        await stop_accepting(self._tcp, self._unix)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.control_path.unlink(missing_ok=True)
        for client in list(self._clients):
            client.drop()
        while self._clients:  # a loop that ends before would leave their sockets open
            self._left.clear()
            await self._left.wait()

    @property
    def control_path(self) -> Path:
        """Where the control socket is."""
        return self._control if self._control is not None else control_path(self.port)

    async def _open_control(self) -> asyncio.Server:
        path = self.control_path
        _remove_stale(path)
        before = os.umask(0o177)  # the socket is born with mode 0600, never wider
        try:
            return await self._loop.create_unix_server(lambda: _Control(self), path)
        finally:
            os.umask(before)

    def now(self) -> float:
        """Return the time all simulated things live by."""
        return self._loop.time()

    def new_handle(self) -> int:
        """Return a connect id that was never given out before."""
        self._handles += 1
        return self._handles

    def listed(self) -> list[Probe]:
        """Return the probes on the USB."""
        return [probe for probe in self.probes if probe.present]

    def pace(self, probe: Probe) -> None:
        """See to it that the board gets its next slice of time when it needs it."""
        delay = probe.wake_in()
        timer = self._timers.get(id(probe))
        if delay is None:
            return
        due = self._loop.time() + delay
        if timer is None or due < timer.when() - 0.002:
            if timer is not None:
                timer.cancel()
            self._timers[id(probe)] = self._loop.call_at(due, self._slice, probe)

    def _slice(self, probe: Probe) -> None:
        del self._timers[id(probe)]
        probe.advance(self.now())
        self.pace(probe)

    def changed(self) -> None:
        """Look again at everything a control request may have changed."""
        for client in list(self._clients):
            client.work()
        for probe in self.probes:
            self.pace(probe)

    def joined(self, client: _Client) -> None:
        """Remember a connection."""
        self._clients.add(client)

    def left(self, client: _Client) -> None:
        """Forget a connection."""
        self._clients.discard(client)
        self._left.set()


async def stop_accepting(*servers: asyncio.Server) -> None:
    """Close listeners, but not between accepting a connection and making its protocol: asyncio would lose the socket.

    CPython 3.11, base_events.py, Server._attach: the task that `_accept_connection` begins fails on a closed server.
    """
    for server in servers:
        for sock in server.sockets:
            server.get_loop().remove_reader(sock.fileno())
    for _ in range(2):  # the task's own turn, and that of `connection_made`
        await asyncio.sleep(0)
    for server in servers:
        server.close()


class _Client(asyncio.Protocol):
    """One connection, which the server knows while it lasts."""

    def __init__(self, server: SimServer) -> None:
        self._server = server
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.joined(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.left(self)

    def drop(self) -> None:
        """End the connection without ado."""
        self._transport.abort()

    def work(self) -> None:
        """Do what could not be done before; a client that waits for nothing has nothing to do."""


class _Link(_Client):
    """One client of the stlink-server protocol."""

    def __init__(self, server: SimServer) -> None:
        super().__init__(server)
        self._framer = protocol.Framer()
        self._waiting: deque[Request] = deque()
        self._open: dict[int, Probe] = {}
        self._full = False

    def connection_lost(self, error: Exception | None) -> None:
        self._waiting.clear()
        for handle, probe in self._open.items():
            if probe.handle == handle:
                probe.close(self._server.now())
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting += self._framer.feed(data)
        except protocol.JunkError:
            self.drop()
        self.work()

    def pause_writing(self) -> None:
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._transport.resume_reading()
        self.work()

    def drop(self) -> None:
        """End the connection without ado."""
        self._waiting.clear()
        super().drop()

    def work(self) -> None:
        """Answer what can be answered now; a hung probe and a client that does not read hold it up."""
        while self._waiting and not self._full and not self._held_up(self._waiting[0]):
            request = self._waiting.popleft()
            self._transport.write(_ANSWERS[request.operation](self, request))

    def _held_up(self, request: Request) -> bool:
        probe = self._open.get(request.handle) if request.operation == protocol.USB else None
        return probe is not None and probe.hung and probe.handle == request.handle

    # ---- answers ----

    def _version(self, _request: Request) -> bytes:
        return protocol.version_reply()

    def _refresh(self, _request: Request) -> bytes:
        return protocol.word(protocol.OK)

    def _count(self, _request: Request) -> bytes:
        return protocol.word(len(self._server.listed()))

    def _info(self, request: Request) -> bytes:
        listed = self._server.listed()
        if request.handle >= len(listed):
            return protocol.failure(request, protocol.BAD_PARAMETER)
        probe = listed[request.handle]
        device = self._server.probes.index(probe) + 1
        return protocol.info_reply(device, probe.serial, probe.vid, probe.pid, probe.handle is not None)

    def _open_device(self, request: Request) -> bytes:
        probes, handle = self._server.probes, self._server.new_handle()
        known = 1 <= request.handle <= len(probes)
        if not known or not probes[request.handle - 1].open(handle, self._server.now()):
            return protocol.failure(request, protocol.OPEN_ERROR)
        self._open[handle] = probes[request.handle - 1]
        return protocol.word(protocol.OK) + protocol.word(handle)

    def _close_device(self, request: Request) -> bytes:
        probe = self._open.pop(request.handle, None)
        if probe is None or probe.handle != request.handle:
            return protocol.failure(request, protocol.BAD_PARAMETER)
        probe.close(self._server.now())
        return protocol.word(protocol.OK)

    def _usb(self, request: Request) -> bytes:
        probe = self._open.get(request.handle)
        if probe is None or probe.handle != request.handle:
            return protocol.failure(request, protocol.OPEN_ERROR)
        answer = probe.transfer(request.command, request.data, request.size, self._server.now())
        self._server.pace(probe)
        if answer is None:
            return protocol.failure(request, probe.usb_status)
        return protocol.word(protocol.OK) + answer


_ANSWERS: dict[int, Callable[[_Link, Request], bytes]] = {
    protocol.REFRESH: _Link._refresh,
    protocol.COUNT: _Link._count,
    protocol.INFO: _Link._info,
    protocol.OPEN: _Link._open_device,
    protocol.CLOSE: _Link._close_device,
    protocol.USB: _Link._usb,
    protocol.SERVER_VERSION: _Link._version,
}


class _Control(_Client):
    """One client of the control socket: a line in, a line out."""

    def __init__(self, server: SimServer) -> None:
        super().__init__(server)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._transport.write(control.answer(line, self._server.probes, self._server.now()))
        if lines:
            self._server.changed()
        if len(self._buffer) > control.LONGEST:
            self._transport.abort()


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone; raises OSError when one still answers or it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} exists and is no socket; choose another control path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(f"another simulated probe answers at {path}; end it or choose another control path")
