"""The stable telnet port of a bench: carries bytes between a client, the pure bridge, and OpenOCD's own console."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ocdsup.runtime import wire
from ocdsup.runtime.fd_store import KeptTelnet, Store
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.wire import Wire
from ocdsup.telnet.bridge import Bridge
from ocdsup.telnet.console import PROMPT
from ocdsup.telnet.effects import Away, Backend, Close, Effect, OwnCommand, ToBackend, ToClient

MAX_CLIENTS = 16
_FULL = f"ocdsup: {MAX_CLIENTS} clients are connected already; close one of them and connect again\r\n".encode()
GREETING_S = 0.05  # a program that speaks first (nc in a pipe) gets answers only
SLOW = 1024 * 1024  # bytes: a reader this far behind loses what OpenOCD prints, never an answer of ours
DEAF_S = 30.0  # a client that lets SLOW bytes wait for so long is cut

# Why a line must not reach OpenOCD, or nothing.
Denied = Callable[[str], str]


def all_pass(_line: str) -> str:
    """Deny nothing."""
    return ""


# Answers `verb` with `args` in text for a person; never raises.
Answer = Callable[[str, dict[str, Any]], Awaitable[str]]


class TelnetSession:
    """One client and, while there is an OpenOCD, its own console connection to it."""

    def __init__(self, sock: socket.socket, port: TelnetPort, kept: str = "") -> None:
        self._port = port
        self._sock = sock
        self._kept = kept  # its name in the manager's store
        self._loop = asyncio.get_running_loop()
        self._bridge = Bridge(port.away(), port.denied)
        self._up: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._deaf: asyncio.TimerHandle | None = None
        self._lost = 0  # bytes of OpenOCD's output that did not reach the client, and how they ended
        self._lost_end = b""
        self._early = bytearray()
        self._early_eof = False
        self._greeting = self._loop.call_later(GREETING_S, self._greet)
        self._client = Wire(sock, self._from_client, self._client_gone, self._drained, on_eof=self._client_eof)
        if kept:
            self._greeting.cancel()
            self._do(self._bridge.taken_up())
        self.dial()

    def _greet(self) -> None:
        """Whoever waits for a greeting is somebody who stays: such a connection outlives this process, if there is a store."""
        if self._client.is_open:
            self._kept = self._port.store.keep_telnet(self._sock) if self._port.store is not None else ""
        self._do(self._bridge.greet())

    def park(self) -> None:
        """Leave the connection to the next process, if it is stored."""
        if self._kept and self._client.leave():
            self._kept = ""
        self.close()

    def _from_client(self, data: bytes) -> None:
        if self._dialling is not None:
            self._early += data  # the kernel accepts for OpenOCD at once, so this lasts a moment only
            return
        if self._up is None:
            self._do(self._bridge.backend_down(self._port.away()))  # the reason and the next try as of now
        self._do(self._bridge.client_bytes(data))

    def _client_eof(self) -> None:
        """The client closed its sending side (`nc -N`, `nc -q`); answers still reach it."""
        self._early_eof = self._dialling is not None
        if not self._early_eof:
            self._do(self._bridge.client_eof())

    def _catch_up(self) -> None:
        """What the client said while OpenOCD's console was being dialled."""
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._from_client(early)
        if self._early_eof:
            self._client_eof()

    def _client_gone(self, _reason: str) -> None:
        self.close()

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ToClient(data):
                    self._to_client(data)
                case ToBackend(data):
                    if self._up is not None:
                        self._up.send(data)
                case OwnCommand():
                    self._port.tasks.spawn("telnet-answer", self._own(effect))
                case Close(reason):
                    if reason:
                        self._port.log.warning("telnet_refused", reason=reason)
                    self.close()

    def _to_client(self, data: bytes) -> None:
        """A client that does not read is not listened to either, so that its questions do not fill our memory."""
        self._client.send(data)
        if self._client.backlog > SLOW and self._deaf is None:
            self._deaf = self._loop.call_later(DEAF_S, self._too_deaf)
            self._client.pause()

    def _drained(self) -> None:
        if self._deaf is None:
            return
        self._deaf.cancel()
        self._deaf = None
        if self._lost:
            told = b"\r\nocdsup: %d bytes of OpenOCD's output were not read in time and are lost\r\n" % self._lost
            self._client.send(told + (PROMPT if self._lost_end == PROMPT else b""))
            self._lost = 0
        self._client.resume()

    def _too_deaf(self) -> None:
        self._port.log.warning("telnet_deaf", backlog=self._client.backlog)
        self._client.abort()
        self.close()

    async def _own(self, command: OwnCommand) -> None:
        text = await self._port.answer(command.verb, command.args)
        self._do(self._bridge.own_answer(command.id, text))

    @property
    def running(self) -> str:
        """Its line that OpenOCD carries out now, or nothing."""
        return self._bridge.running

    def dial(self) -> None:
        """Open a console connection if there is an OpenOCD to connect to."""
        if self._up is None and self._dialling is None and self._port.endpoint is not None:
            self._dialling = self._port.tasks.spawn("telnet-dial", self._dial(*self._port.endpoint))

    async def _dial(self, host: str, port: int) -> None:
        try:
            sock = await wire.connect(host, port)
        except OSError as error:
            self._port.log.info("telnet_upstream_refused", error=error.strerror)
            self._dialling = None  # only here: a dial that was cancelled must not clear the one that followed it
            self._catch_up()
            return
        self._dialling = None
        if not self._client.is_open:
            sock.close()
            return
        self._up = Wire(sock, self._from_backend, self._backend_gone)
        self._do(self._bridge.backend_up(Backend(self._port.version)))
        self._catch_up()

    def _from_backend(self, data: bytes) -> None:
        """OpenOCD writes to its console without a time limit and does nothing else meanwhile (0.12, telnet_server.c): it is
        always read, whatever becomes of the bytes.
        """
        self._port.spoke()
        effects = self._bridge.backend_bytes(data)
        self._do(effects if self._deaf is None else [effect for effect in effects if not self._drop(effect)])

    def _drop(self, effect: Effect) -> bool:
        """Drop output and count it; returns whether it was output."""
        if not isinstance(effect, ToClient):
            return False
        self._lost += len(effect.data)
        self._lost_end = effect.data[-len(PROMPT) :]
        return True

    def _backend_gone(self, _reason: str) -> None:
        self._up = None
        self._do(self._bridge.backend_down(self._port.away()))

    def backend_down(self) -> None:
        """OpenOCD is going."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._up is not None:
            self._up.abort()
            self._up = None
        self._do(self._bridge.backend_down(self._port.away()))
        self._catch_up()

    def close(self) -> None:
        """End both connections; what was already said still arrives."""
        self._greeting.cancel()
        self._port.left_work([self.running] if self.running else [])
        if self._deaf is not None:
            self._deaf.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._up is not None:
            self._up.abort()
            self._up = None
        if self._kept and self._port.store is not None:
            self._port.store.drop(self._kept)
        self._kept = ""
        self._client.close()
        self._port.forget(self)


class TelnetPort:
    """The listener of one bench and its sessions."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        answer: Answer,
        away: Callable[[], Away],
        tasks: Tasks,
        log: Any,
        denied: Denied = all_pass,
        spoke: Callable[[], None] = lambda: None,
    ) -> None:
        self.answer = answer
        self.store: Store | None = None  # where the connections of people who stay outlive this process
        self.spoke = spoke  # OpenOCD's console has said something: a line that it carried out may have changed the target
        self.denied = denied
        self.away = away  # why OpenOCD is away, and when the next try comes, as of now
        self.tasks = tasks
        self.log = log
        self.version = ""
        self.left_work: Callable[[Sequence[str]], None] = lambda _lines: None  # somebody has gone, their line may go on
        self.endpoint: tuple[str, int] | None = None
        self._sessions: list[TelnetSession] = []
        self._listener = Listener(sockets, self._accept)
        self.port = self._listener.port

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS:
            self.log.warning("telnet_too_many_clients", port=self.port)
            with contextlib.suppress(OSError), sock:
                sock.send(_FULL)  # the first bytes of a connection have room
            return
        self._sessions.append(TelnetSession(sock, self))

    def adopt(self, kept: KeptTelnet) -> None:
        """Go on with a connection of the daemon before us."""
        self._sessions.append(TelnetSession(kept.sock, self, kept.name))

    def park(self) -> None:
        """End the port; its connections wait for the next daemon where that can be."""
        for session in tuple(self._sessions):
            session.park()
        self.close()

    @property
    def work(self) -> list[str]:
        """The lines that OpenOCD carries out now."""
        return [session.running for session in self._sessions if session.running]

    def forget(self, session: TelnetSession) -> None:
        """A session is over."""
        if session in self._sessions:
            self._sessions.remove(session)

    def backend_up(self, endpoint: tuple[str, int], version: str) -> None:
        """OpenOCD's console is at `endpoint` now."""
        self.endpoint = endpoint
        self.version = version
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
