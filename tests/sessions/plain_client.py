"""A client of a GDB port that says what it is told, byte by byte: what no GDB would send."""

from __future__ import annotations

import socket

from ocdsup.rsp.framing import Framer, Kind, Side, encode, expand
from ocdsup.rsp.packets import text_of
from tests.bench.rig import PATIENCE


class PlainClient:
    """Attached without acknowledgements, as GDB is after its greeting."""

    def __init__(self, port: int, *, described: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._framer = Framer(Side.SERVER)
        self._bodies: list[bytes] = []
        self._socket.sendall(b"+")
        for body in (b"qSupported:xmlRegisters=arm", b"QStartNoAckMode"):
            self.ask(body)
        self._framer.verify = False
        for body in (b"?", b"g"):
            self.ask(body)
        self.description = self._description() if described else b""

    def _description(self) -> bytes:
        """The target's own, read to its end as GDB does: who has not read it may not name its registers."""
        text, more = b"", b"m"
        while more == b"m":
            piece = self.ask(b"qXfer:features:read:target.xml:%x,fff" % len(text))
            more, text = piece[:1], text + piece[1:]
        return text

    def ask(self, body: bytes) -> bytes:
        """Send a body as it stands; returns the reply, console packets left out."""
        return self.say(encode(body))

    def say(self, raw: bytes) -> bytes:
        """Send bytes; returns the next reply, console packets left out."""
        self._socket.sendall(raw)
        while True:
            reply = self.hear()
            if text_of(reply) is None:
                return reply

    def hear(self) -> bytes:
        """The next packet's body."""
        while not self._bodies:
            data = self._socket.recv(1 << 16)
            if not data:
                raise EOFError("the connection was ended")
            packets = [frame for frame in self._framer.feed(data) if frame.kind is Kind.PACKET]
            self._bodies += [expand(frame.body) for frame in packets]
            if self._framer.verify:
                self._socket.sendall(b"+" * len(packets))
        return self._bodies.pop(0)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
