"""A client that speaks the GDB remote protocol as GDB does, and measures how long each answer takes."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from time import perf_counter

from tests.perf.rsp_server import frame


class RspClient:
    """One session, past the negotiation."""

    def __init__(self, port: int, *, delay_us: int = 0, acks: bool = False) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 30)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acks = True
        self._buffer = b""
        self.ask(b"qSupported:multiprocess+;swbreak+;hwbreak+")
        if not acks:
            self.ask(b"QStartNoAckMode")
            self._sock.sendall(b"+")
            self._acks = False
        self.ask(b"?")
        if delay_us:
            self.ask(b"qPerf,%d" % delay_us)

    def ask(self, body: bytes) -> bytes:
        """Send one request; return the body of its answer, without console output before it."""
        self._sock.sendall((b"+" if self._acks else b"") + frame(body))
        return self._answer()

    def _answer(self) -> bytes:
        while (body := self._packet()).startswith(b"O") and body != b"OK":
            pass  # console output, which a running program may have at any time
        return body

    def _packet(self) -> bytes:
        buffer = self._buffer
        while (mark := buffer.find(b"#")) < 0 or len(buffer) < mark + 3:
            more = self._sock.recv(1 << 18)
            if not more:
                raise ConnectionError("the session was ended")
            buffer += more
        self._buffer = buffer[mark + 3 :]
        return buffer[buffer.index(b"$") + 1 : mark]

    def times(self, bodies: Iterable[bytes]) -> list[float]:
        """Seconds that each request took."""
        taken = []
        for body in bodies:
            began = perf_counter()
            self.ask(body)
            taken.append(perf_counter() - began)
        return taken

    def slowed(self, delay_us: int, bodies: Iterable[bytes]) -> list[float]:
        """Seconds that each request took with an adapter as slow as this; as quick as before when it returns."""
        self.ask(b"qPerf,%d" % delay_us)
        taken = self.times(bodies)
        self.ask(b"qPerf,0")
        return taken

    def split_times(self, body: bytes, count: int) -> list[float]:
        """Seconds a request takes when GDB's acknowledgement goes out on its own before it: two small segments."""
        raw, taken = frame(body), []
        for _ in range(count):
            began = perf_counter()
            self._sock.sendall(b"+")
            self._sock.sendall(raw)
            self._answer()
            taken.append(perf_counter() - began)
        return taken

    def close(self) -> None:
        """End the session."""
        self._sock.close()
