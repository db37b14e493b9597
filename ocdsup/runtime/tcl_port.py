"""The stable Tcl port of a bench, if it is configured: carries bytes between a client, its session, and OpenOCD's Tcl port."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from ocdsup.runtime.backed import MAX_CLIENTS, BackedPort, BackedSession
from ocdsup.runtime.wire import Wire
from ocdsup.telnet.effects import Close, Effect, ToBackend, ToClient
from ocdsup.telnet.rpc import RpcSession

DEAF = 8 * 1024 * 1024  # bytes: a reader this far behind is cut. OpenOCD must be read: it writes without a time limit


class TclSession(BackedSession):
    """One client."""

    def __init__(self, sock: socket.socket, port: TclPort) -> None:
        self._rpc = RpcSession(port.away(), port.denied)
        super().__init__(port, self._rpc)
        self._client = Wire(sock, self._from_client, lambda _reason: self.close(), on_eof=self._client_eof)
        self.dial()

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case ToClient(data):
                    self._client.send(data)
                case ToBackend(data) if self._up is not None:
                    self._up.send(data)
                case Close(reason):
                    if reason:
                        self._port.log.warning("tcl_client_refused", reason=reason)
                    self.close()
        if self._client.backlog > DEAF:
            self._port.log.warning("tcl_client_deaf", backlog=self._client.backlog)
            self._client.abort()
            self.close()

    def _connected(self) -> None:
        self._do(self._rpc.backend_up())

    def _from_backend(self, data: bytes) -> None:
        self._port.spoke()
        self._do(self._rpc.backend_bytes(data))


class TclPort(BackedPort[TclSession]):
    """The listener of one bench and its sessions."""

    kind = "tcl"
    full = f"ocdsup: {MAX_CLIENTS} clients are connected already; close one of them and connect again\x1a".encode()

    def _session(self, sock: socket.socket) -> TclSession:
        return TclSession(sock, self)
