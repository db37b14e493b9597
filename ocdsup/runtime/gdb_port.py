"""The stable GDB port of one target: open before OpenOCD is, and still open when it is gone.

A client reaches OpenOCD only after it said something: a bare connect costs OpenOCD 0.95 s of standstill and clears every
breakpoint (0.12 and master, seen), so port probes of IDEs must end here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ocdsup.runtime import wire
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.wire import Wire

MAX_CLIENTS = 8
HELD = 64 * 1024  # bytes of a client that waits for OpenOCD
SLOW = 1024 * 1024  # a reader this far behind pauses the other side
SILENT_S = 30.0  # a connect that says nothing for so long is cut
_STRANGERS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"\x16\x03", b"SSH-")

Endpoint = tuple[str, int]


class GdbSession:
    """One GDB and, while there is one, its connection to OpenOCD."""

    def __init__(self, sock: socket.socket, port: GdbPort) -> None:
        self._port = port
        self._held = bytearray()
        self._spoke = False
        self._up: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._silence = asyncio.get_running_loop().call_later(SILENT_S, self.close)
        self._client = Wire(sock, self._from_client, self._client_gone, self._client_drained)

    @property
    def speaks(self) -> bool:
        """Whether this is a session; a connect that never said anything is not."""
        return self._spoke

    def _from_client(self, data: bytes) -> None:
        if not self._spoke:
            if data.startswith(_STRANGERS):
                self._port.log.warning("gdb_stranger", first=data[:16].hex())
                self.close()
                return
            self._spoke = True
            self._silence.cancel()
            self._port.changed()
        if self._up is not None:
            self._up.send(data)
            if self._up.backlog > SLOW:
                self._client.pause()
            return
        if len(self._held) + len(data) > HELD:
            self._port.log.warning("gdb_held_too_much", bytes=len(self._held) + len(data))
            self.close()
            return
        self._held += data
        self.backend_up()

    def backend_up(self) -> None:
        """Dial OpenOCD, if there is one and the client has something to say."""
        if self._spoke and self._up is None and self._dialling is None and self._port.endpoint is not None:
            self._dialling = self._port.tasks.spawn("gdb-dial", self._dial(self._port.endpoint))

    async def _dial(self, endpoint: Endpoint) -> None:
        try:
            sock = await wire.connect(*endpoint)
        except OSError as error:
            self._port.log.info("gdb_upstream_refused", error=error.strerror)
            self._dialling = None
            return
        self._dialling = None
        if not self._client.is_open:
            sock.close()
            return
        self._up = Wire(sock, self._from_backend, self._backend_gone, self._backend_drained)
        self._up.send(bytes(self._held))
        self._held.clear()

    def _from_backend(self, data: bytes) -> None:
        self._client.send(data)
        if self._client.backlog > SLOW and self._up is not None:
            self._up.pause()

    def _client_drained(self) -> None:
        if self._up is not None:
            self._up.resume()

    def _backend_drained(self) -> None:
        self._client.resume()

    def _client_gone(self, _reason: str) -> None:
        self.close()

    def _backend_gone(self, _reason: str) -> None:
        self.close()

    def backend_down(self) -> None:
        """OpenOCD is about to go: end what it serves; who still waits goes on waiting."""
        if self._up is not None:
            self.close()

    def close(self) -> None:
        """End both connections; what was on its way to GDB still arrives."""
        self._silence.cancel()
        self._client.close()
        if self._up is not None:
            self._up.abort()
            self._up = None
        if self._dialling is not None:
            self._dialling.cancel()
        self._port.forget(self)


class GdbPort:
    """The listener of one target and its sessions."""

    def __init__(self, sockets: Sequence[socket.socket], changed: Callable[[], None], tasks: Tasks, log: Any) -> None:
        self.changed = changed
        self.tasks = tasks
        self.log = log
        self.endpoint: Endpoint | None = None
        self._sessions: list[GdbSession] = []
        self._listener = Listener(sockets, self._accept)
        self.port = self._listener.port

    @property
    def sessions(self) -> int:
        """Debug sessions: clients that spoke."""
        return sum(session.speaks for session in self._sessions)

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS:
            self.log.warning("gdb_too_many_clients", port=self.port)
            sock.close()
            return
        self._sessions.append(GdbSession(sock, self))

    def forget(self, session: GdbSession) -> None:
        """A session is over."""
        if session in self._sessions:
            self._sessions.remove(session)
            self.changed()

    def backend_up(self, endpoint: Endpoint) -> None:
        """OpenOCD serves this target at `endpoint` now."""
        self.endpoint = endpoint
        for session in tuple(self._sessions):
            session.backend_up()

    def backend_down(self) -> None:
        """OpenOCD is gone or going."""
        self.endpoint = None
        for session in tuple(self._sessions):
            session.backend_down()

    def close(self) -> None:
        """End the port and its sessions."""
        self._listener.close()
        for session in tuple(self._sessions):
            session.close()
