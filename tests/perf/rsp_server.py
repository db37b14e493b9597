"""A synthetic GDB server: answers packets as OpenOCD would, after a delay that stands for the adapter. Prints its port.

The delay is set with the packet `qPerf,MICROSECONDS`. One thread for each connection; only one is busy at a time.
"""

# ruff: noqa: T201  (its parent reads it)

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from functools import cache

_PACKET = re.compile(rb"\$([^#]*)#..", re.DOTALL)
_REPLIES = {
    b"?": b"T05",
    b"qSupported": b"PacketSize=4000;QStartNoAckMode+;qXfer:features:read-;vContSupported+",
    b"vCont?": b"vCont;c;C;s;S",
    b"g": b"00" * 68,
    b"qRcmd": b"OK",
    b"X": b"OK",
    b"H": b"OK",
    b"D": b"OK",
}


def frame(body: bytes) -> bytes:
    """A whole packet."""
    return b"$%b#%02x" % (body, sum(body) & 0xFF)


@cache
def _memory(length: int) -> bytes:
    return frame(b"5a" * length)


class Connection:
    """One client."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._delay = 0.0
        self._acks = True

    def serve(self) -> None:
        """Until the client goes, in whatever way."""
        with suppress(ConnectionError):
            self._serve()

    def _serve(self) -> None:
        sock, buffer = self._sock, b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(65536):
            buffer += data
            while found := _PACKET.search(buffer):
                buffer = buffer[found.end() :]
                self._answer(found[1])

    def _answer(self, body: bytes) -> None:
        if self._acks:
            self._sock.sendall(b"+")
        reply = _memory(int(body.partition(b",")[2], 16)) if body[:1] == b"m" else frame(self._reply(body))
        if self._delay:
            time.sleep(self._delay)
        self._sock.sendall(reply)
        if body == b"QStartNoAckMode":
            self._acks = False

    def _reply(self, body: bytes) -> bytes:
        if body.startswith(b"qPerf,"):
            self._delay = int(body[6:]) / 1e6
            return b"OK"
        if body == b"QStartNoAckMode":
            return b"OK"
        return next((reply for start, reply in _REPLIES.items() if body.startswith(start)), b"")


def main() -> None:
    """Serve until killed."""
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        sock, _ = server.accept()
        threading.Thread(target=Connection(sock).serve, daemon=True).start()


if __name__ == "__main__":
    main()
