"""The stable Tcl port of a bench, if it is configured: carries bytes between a client, its session, and OpenOCD's Tcl port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ocdsup.runtime import wire
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.wire import Wire
from ocdsup.telnet.effects import Away, Close, ToBackend, ToClient
from ocdsup.telnet.rpc import Out, RpcSession

MAX_CLIENTS = 16
DEAF = 8 * 1024 * 1024  # bytes: a reader this far behind is cut. OpenOCD must be read: it writes without a time limit
_FULL = f"ocdsup: {MAX_CLIENTS} clients are connected already; close one of them and connect again\x1a".encode()


class TclSession:
    """One client and, while there is an OpenOCD, its connection to it."""

    def __init__(self, sock: socket.socket, port: TclPort) -> None:
        self._port = port
        self._rpc = RpcSession(port.away(), port.denied)
        self._up: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._client = Wire(sock, self._from_client, lambda _reason: self.close())
        self.dial()

    @property
    def running(self) -> str:
        """Its command that OpenOCD carries out now, or nothing."""
        return self._rpc.running

    def _from_client(self, data: bytes) -> None:
        if self._dialling is not None:
            self._early += data  # the kernel accepts for OpenOCD at once, so this lasts a moment only
            return
        if self._up is None:
            self._do(self._rpc.backend_down(self._port.away()))  # the reason and the next try as of now
        self._do(self._rpc.client_bytes(data))

    def _do(self, outs: Out) -> None:
        for out in outs:
            match out:
                case ToClient(data):
                    self._client.send(data)
                case ToBackend(data) if self._up is not None:
                    self._up.send(data)
                case Close(reason):
                    self._port.log.warning("tcl_client_refused", reason=reason)
                    self.close()
        if self._client.backlog > DEAF:
            self._port.log.warning("tcl_client_deaf", backlog=self._client.backlog)
            self._client.abort()
            self.close()

    def dial(self) -> None:
        """Open a connection if there is an OpenOCD to connect to."""
        if self._up is None and self._dialling is None and self._port.endpoint is not None:
            self._dialling = self._port.tasks.spawn("tcl-dial", self._dial(*self._port.endpoint))

    async def _dial(self, host: str, port: int) -> None:
        try:
            sock = await wire.connect(host, port)
        except OSError as error:
            self._port.log.info("tcl_upstream_refused", error=error.strerror)
            self._dialling = None  # only here: a dial that was cancelled must not clear the one that followed it
            self._catch_up()
            return
        self._dialling = None
        if not self._client.is_open:
            sock.close()
            return
        self._up = Wire(sock, self._from_backend, lambda _reason: self.backend_down())
        self._do(self._rpc.backend_up())
        self._catch_up()

    def _catch_up(self) -> None:
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._from_client(early)

    def _from_backend(self, data: bytes) -> None:
        self._port.spoke()
        self._do(self._rpc.backend_bytes(data))

    def backend_down(self) -> None:
        """OpenOCD is going, or the connection to it has ended."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._up is not None:
            self._up.abort()
            self._up = None
        self._do(self._rpc.backend_down(self._port.away()))
        self._catch_up()

    def close(self) -> None:
        """End both connections; what was already said still arrives."""
        self._port.left_work([self.running] if self.running else [])
        if self._dialling is not None:
            self._dialling.cancel()
        if self._up is not None:
            self._up.abort()
            self._up = None
        self._client.close()
        self._port.forget(self)


class TclPort:
    """The listener of one bench and its sessions."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        away: Callable[[], Away],
        tasks: Tasks,
        log: Any,
        denied: Callable[[str], str],
        spoke: Callable[[], None],
        left_work: Callable[[Sequence[str]], None],
    ) -> None:
        self.away = away
        self.tasks = tasks
        self.log = log
        self.denied = denied
        self.spoke = spoke  # OpenOCD has answered: the command may have changed the target
        self.left_work = left_work  # somebody has gone, their command may go on
        self.endpoint: tuple[str, int] | None = None
        self._sessions: list[TclSession] = []
        self._listener = Listener(sockets, self._accept)
        self.port = self._listener.port

    @property
    def work(self) -> list[str]:
        """The commands that OpenOCD carries out now."""
        return [session.running for session in self._sessions if session.running]

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS:
            self.log.warning("tcl_too_many_clients", port=self.port)
            with contextlib.suppress(OSError), sock:
                sock.send(_FULL)  # the first bytes of a connection have room
            return
        self._sessions.append(TclSession(sock, self))

    def forget(self, session: TclSession) -> None:
        """A session is over."""
        if session in self._sessions:
            self._sessions.remove(session)

    def backend_up(self, endpoint: tuple[str, int]) -> None:
        """OpenOCD's Tcl port is at `endpoint` now."""
        self.endpoint = endpoint
        for session in tuple(self._sessions):
            session.dial()

    def backend_down(self) -> None:
        """OpenOCD is away."""
        self.endpoint = None
        for session in tuple(self._sessions):
            session.backend_down()

    def close(self) -> None:
        """End the port and its sessions."""
        self._listener.close()
        for session in tuple(self._sessions):
            session.close()
