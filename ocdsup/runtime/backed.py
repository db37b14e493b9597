"""What the telnet and the Tcl port share: clients, each with a connection of its own to OpenOCD while there is one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ocdsup.runtime import wire
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.wire import Wire
from ocdsup.telnet.effects import Away, Effect

MAX_CLIENTS = 16

# Why a line must not reach OpenOCD, or nothing.
Denied = Callable[[str], str]


def all_pass(_line: str) -> str:
    """Deny nothing."""
    return ""


class Talk(Protocol):
    """The pure side of a session."""

    @property
    def running(self) -> str:
        """What OpenOCD carries out for the client now, or nothing."""

    def client_bytes(self, data: bytes) -> Sequence[Effect]:
        """The client sent bytes."""

    def client_eof(self) -> Sequence[Effect]:
        """The client sends no more."""

    def backend_down(self, away: Away) -> Sequence[Effect]:
        """OpenOCD or the connection to it is gone; again whenever phase, reason or next try change."""


class BackedSession(ABC):
    """One client and, while there is an OpenOCD, its own connection to it."""

    _client: Wire

    def __init__(self, port: BackedPort[Any], talk: Talk) -> None:
        self._port = port
        self._talk = talk
        self._up: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._early_eof = False

    @abstractmethod
    def _do(self, effects: Sequence[Effect]) -> None:
        """Carry out what the pure side asks for."""

    @abstractmethod
    def _connected(self) -> None:
        """The connection to OpenOCD is open."""

    @abstractmethod
    def _from_backend(self, data: bytes) -> None:
        """OpenOCD sent bytes."""

    @property
    def running(self) -> str:
        """What OpenOCD carries out for it now, or nothing."""
        return self._talk.running

    def _from_client(self, data: bytes) -> None:
        if self._dialling is not None:
            self._early += data  # the kernel accepts for OpenOCD at once, so this lasts a moment only
            return
        if self._up is None:
            self._do(self._talk.backend_down(self._port.away()))  # the reason and the next try as of now
        self._do(self._talk.client_bytes(data))

    def _client_eof(self) -> None:
        """The client closed its sending side (`nc -N`, `nc -q`); answers still reach it."""
        self._early_eof = self._dialling is not None
        if not self._early_eof:
            self._do(self._talk.client_eof())

    def _catch_up(self) -> None:
        """What the client said while OpenOCD was being dialled."""
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._from_client(early)
        if self._early_eof:
            self._client_eof()

    def dial(self) -> None:
        """Open a connection if there is an OpenOCD to connect to."""
        if self._up is None and self._dialling is None and self._port.endpoint is not None:
            self._dialling = self._port.tasks.spawn(f"{self._port.kind}-dial", self._dial(*self._port.endpoint))

    async def _dial(self, host: str, port: int) -> None:
        try:
            sock = await wire.connect(host, port)
        except OSError as error:
            self._port.log.info(f"{self._port.kind}_upstream_refused", error=error.strerror)
            self._dialling = None  # only here: a dial that was cancelled must not clear the one that followed it
            self._catch_up()
            return
        self._dialling = None
        if not self._client.is_open:
            sock.close()
            return
        self._up = Wire(sock, self._from_backend, self._backend_gone)
        self._connected()
        self._catch_up()

    def _backend_gone(self, _reason: str) -> None:
        self._up = None
        self._do(self._talk.backend_down(self._port.away()))

    def backend_down(self) -> None:
        """OpenOCD is going."""
        self._hang_up()
        self._do(self._talk.backend_down(self._port.away()))
        self._catch_up()

    def _hang_up(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._up is not None:
            self._up.abort()
            self._up = None

    def close(self) -> None:
        """End both connections; what was already said still arrives."""
        self._port.left_work([self.running] if self.running else [])
        self._hang_up()
        self._client.close()
        self._port.forget(self)


S = TypeVar("S", bound=BackedSession)


class BackedPort(ABC, Generic[S]):
    """The listener of one bench and its sessions; `kind` is what tasks and log lines of it are called."""

    kind: str
    full: bytes  # what a client too many is told

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        away: Callable[[], Away],
        tasks: Tasks,
        log: Any,
        denied: Denied = all_pass,
        spoke: Callable[[], None] = lambda: None,
    ) -> None:
        self.spoke = spoke  # OpenOCD has said something: a line that it carried out may have changed the target
        self.denied = denied
        self.away = away  # why OpenOCD is away, and when the next try comes, as of now
        self.tasks = tasks
        self.log = log
        self.left_work: Callable[[Sequence[str]], None] = lambda _lines: None  # somebody has gone, their line may go on
        self.endpoint: tuple[str, int] | None = None
        self._sessions: list[S] = []
        self._listener = Listener(sockets, self._accept)
        self.port = self._listener.port

    @abstractmethod
    def _session(self, sock: socket.socket) -> S:
        """Begin a session."""

    @property
    def work(self) -> list[str]:
        """The lines that OpenOCD carries out now."""
        return [session.running for session in self._sessions if session.running]

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS:
            self.log.warning(f"{self.kind}_too_many_clients", port=self.port)
            with contextlib.suppress(OSError), sock:
                sock.send(self.full)  # the first bytes of a connection have room
            return
        self._sessions.append(self._session(sock))

    def forget(self, session: S) -> None:
        """A session is over."""
        if session in self._sessions:
            self._sessions.remove(session)

    def serve(self, endpoint: tuple[str, int]) -> None:
        """OpenOCD's port of this kind is at `endpoint` now."""
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
