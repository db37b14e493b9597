"""`plain_proxy.py PORT`: what everybody would write with asyncio Protocols, to measure ours against. Prints its port."""

# ruff: noqa: T201  (its parent reads it)

from __future__ import annotations

import asyncio
import sys
from typing import cast


class Leg(asyncio.Protocol):
    """One connection; passes bytes to the other."""

    def __init__(self, other: Leg | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.dial: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is None:
            self.dial = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        port = int(sys.argv[1])
        _, other = await asyncio.get_running_loop().create_connection(lambda: Leg(self), "127.0.0.1", port)
        self.other = other
        for data in self.early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Leg, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
