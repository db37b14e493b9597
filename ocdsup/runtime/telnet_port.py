"""The stable telnet port of a bench: carries bytes between a client, the pure bridge, and OpenOCD's own console."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ocdsup.runtime.backed import MAX_CLIENTS, BackedPort, BackedSession, Denied, all_pass
from ocdsup.runtime.fd_store import KeptTelnet, Store
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.wire import Wire
from ocdsup.telnet.bridge import Bridge
from ocdsup.telnet.console import PROMPT
from ocdsup.telnet.effects import Away, Backend, Close, Effect, OwnCommand, ToBackend, ToClient, console_limit

GREETING_S = 0.05  # a program that speaks first (nc in a pipe) gets answers only
SLOW = 1024 * 1024  # bytes: a reader this far behind loses what OpenOCD prints, never an answer of ours
DEAF_S = 30.0  # a client that lets SLOW bytes wait for so long is cut

# Answers `verb` with `args` in text for a person; never raises.
Answer = Callable[[str, dict[str, Any]], Awaitable[str]]


class TelnetSession(BackedSession):
    """One client; its connection to OpenOCD is a console of its own."""

    _port: TelnetPort

    def __init__(self, sock: socket.socket, port: TelnetPort, kept: str = "") -> None:
        self._bridge = Bridge(port.away(), port.denied)
        super().__init__(port, self._bridge)
        self._sock = sock
        self._kept = kept  # its name in the manager's store
        self._loop = asyncio.get_running_loop()
        self._deaf: asyncio.TimerHandle | None = None
        self._lost = 0  # bytes of OpenOCD's output that did not reach the client, and how they ended
        self._lost_end = b""
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

    def _client_gone(self, _reason: str) -> None:
        self.close()

    def _do(self, effects: Sequence[Effect]) -> None:
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

    def _connected(self) -> None:
        self._do(self._bridge.backend_up(Backend(self._port.version, console_limit(self._port.version))))

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

    def close(self) -> None:
        """End both connections; what was already said still arrives."""
        self._greeting.cancel()
        if self._deaf is not None:
            self._deaf.cancel()
        if self._kept and self._port.store is not None:
            self._port.store.drop(self._kept)
        self._kept = ""
        super().close()


class TelnetPort(BackedPort[TelnetSession]):
    """The listener of one bench and its sessions."""

    kind = "telnet"
    full = f"ocdsup: {MAX_CLIENTS} clients are connected already; close one of them and connect again\r\n".encode()

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
        self.version = ""
        super().__init__(sockets, away, tasks, log, denied, spoke)

    def _session(self, sock: socket.socket) -> TelnetSession:
        return TelnetSession(sock, self)

    def adopt(self, kept: KeptTelnet) -> None:
        """Go on with a connection of the previous daemon."""
        self._sessions.append(TelnetSession(kept.sock, self, kept.name))

    def park(self) -> None:
        """End the port; its connections wait for the next daemon where that can be."""
        for session in tuple(self._sessions):
            session.park()
        self.close()

    def backend_up(self, endpoint: tuple[str, int], version: str) -> None:
        """OpenOCD's console is at `endpoint` now."""
        self.version = version
        self.serve(endpoint)
