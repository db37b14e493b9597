"""Clients in front of a GDB port, and behind it an OpenOCD that counts who connects: for tests of the sockets alone."""

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ocdsup.rsp.framing import Framer, Kind, Side, encode
from ocdsup.rsp.policy import TRANSPARENT, Policy, SecondClient
from ocdsup.runtime.gdb_port import GdbPort, Served
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.tasks import Tasks

Until = Callable[[Callable[[], object]], Awaitable[None]]
QUESTION = encode(b"qSupported:multiprocess+")
HELLO = b"+" + QUESTION
ANSWER = encode(b"PacketSize=4000")
# One packet of a megabyte, and 32 MB of them.
LONG = encode(b"X20000000,100000:" + bytes(random.Random(7).choices(range(0x41, 0x5B), k=1024 * 1024)))
REPLY = encode(b"m" + bytes(random.Random(8).choices(range(0x61, 0x67), k=1024 * 1024)))
# Packets pass as they are: this file is about the sockets, not about what `rsp.proxy` makes of a session.
POLICY = replace(TRANSPARENT, greeting_within=60.0, answer_within=60.0, second_client=SecondClient.SHARE)


class Upstream:
    """Stands in for OpenOCD's GDB server: keeps what it accepted and what was said to each."""

    def __init__(self) -> None:
        self.accepted: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._server, self._accept)

    def _accept(self) -> None:
        sock, _ = self._server.accept()
        sock.setblocking(False)
        self.accepted.append(sock)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._server)
        self._server.close()
        for sock in self.accepted:
            sock.close()


class Log:
    """Keeps event names."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return lambda event, **_fields: self.events.append(event)


class Bench:
    """A GDB port, what is behind it, and clients in front of it."""

    def __init__(self) -> None:
        self.log = Log()
        self.failed: list[object] = []
        self.changes = 0
        self.run = 0
        self.tasks = Tasks(lambda name, error: self.failed.append((name, error)))
        self.upstream = Upstream()
        self.port = self._port()
        self.clients: list[socket.socket] = []

    def _port(self, policy: Policy = POLICY) -> GdbPort:
        return GdbPort(bind_all(("127.0.0.1",), 0), policy, self.answer, self._changed, self.tasks, self.log)

    async def answer(self, words: str) -> str:
        """Answer `monitor ocdsup …`."""
        return f"asked for {words}"

    def with_policy(self, policy: Policy) -> None:
        """Open the port anew with other choices."""
        self.port.close()
        self.port = self._port(policy)

    def _changed(self) -> None:
        self.changes += 1

    def up(self, port: int | None = None) -> None:
        """OpenOCD is there."""
        self.run += 1
        self.port.backend_up(Served("127.0.0.1", port or self.upstream.port, resets=0, run=self.run))

    def connect(self, say: bytes = b"") -> socket.socket:
        """Return a client that has said `say`."""
        sock = socket.create_connection(("127.0.0.1", self.port.port))
        self.clients.append(sock)
        if say:
            sock.sendall(say)
        sock.setblocking(False)
        return sock

    async def close(self) -> None:
        self.port.close()
        self.upstream.close()
        for sock in self.clients:
            sock.close()
        await self.tasks.cancel()
        assert self.failed == []


async def receive(sock: socket.socket, count: int) -> bytes:
    """Read exactly `count` bytes, or less at the end of the stream."""
    data = bytearray()
    while len(data) < count:
        part = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, count - len(data)), 20)
        if not part:
            break
        data += part
    return bytes(data)


async def packets(sock: socket.socket, count: int) -> list[bytes]:
    """Read `count` packets; acknowledgements between them do not count."""
    framer, found = Framer(Side.CLIENT, limit=1 << 22, verify=False), list[bytes]()
    while len(found) < count:
        part = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 20)
        assert part, "the stream ended"
        found += [frame.raw for frame in framer.feed(part) if frame.kind is Kind.PACKET]
    return found


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, data), 20)


async def ended(sock: socket.socket) -> bool:
    """Wait for the end of a stream, orderly or not; what is read before does not count."""
    try:
        while await receive(sock, 65536):
            pass
    except ConnectionResetError:
        pass
    return True


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def attached(bench: Bench, until: Until) -> tuple[socket.socket, socket.socket]:
    """Return a client and the upstream end of its session."""
    before = len(bench.upstream.accepted)
    client = bench.connect(HELLO)
    await until(lambda: len(bench.upstream.accepted) > before)
    upstream = bench.upstream.accepted[-1]
    assert await packets(upstream, 1) == [QUESTION]
    await send(upstream, b"+" + ANSWER)
    assert await packets(client, 1) == [ANSWER]
    return client, upstream
