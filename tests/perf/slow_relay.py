"""`slow_relay.py PORT MICROSECONDS`: passes bytes to a server on PORT, each request that much later. Prints its own port.

It stands for a USB adapter: between OpenOCD and the simulated probe every transaction takes this long.
"""

# ruff: noqa: T201  (its parent reads it)

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import suppress


def _pass(here: socket.socket, there: socket.socket, delay_s: float) -> None:
    with suppress(OSError):
        while data := here.recv(65536):
            if delay_s:
                time.sleep(delay_s)
            there.sendall(data)
    for sock in (here, there):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve until killed."""
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        probe = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        for sock in (client, probe):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way in ((client, probe, int(sys.argv[2]) / 1e6), (probe, client, 0.0)):
            threading.Thread(target=_pass, args=way, daemon=True).start()


if __name__ == "__main__":
    main()
