"""`ocdsup front` on the wire: every packet arrives byte for byte, in order, and the end of one side is the end of the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from ocdsup.rsp.framing import encode, escape
from ocdsup.sim.server import stop_accepting
from tests.runtime.test_front import front

pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]
PATIENCE = 30.0  # seconds: only a broken run gets there
NOACK = encode(b"QStartNoAckMode")


@dataclass
class Server:
    """A GDB server that says what the test says; each connection is one `Peer`."""

    port: int = 0
    peers: asyncio.Queue[Peer] = field(default_factory=asyncio.Queue)

    async def peer(self) -> Peer:
        """The next connection."""
        return await asyncio.wait_for(self.peers.get(), PATIENCE)


@dataclass
class Peer:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        """Write."""
        self.writer.write(data)

    async def expect(self, data: bytes) -> None:
        """Read exactly these bytes."""
        assert await asyncio.wait_for(self.reader.readexactly(len(data)), PATIENCE) == data

    async def expect_packet(self, packet: bytes) -> None:
        """Read one packet; acknowledgements before it do not count."""
        got = b"+"
        while got == b"+":
            got = await asyncio.wait_for(self.reader.readexactly(1), PATIENCE)
        await self.expect(packet[1:])
        assert got == packet[:1]

    async def ended(self) -> bytes:
        """What comes up to the end of the stream."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)


@asynccontextmanager
async def server(port: int = 0) -> AsyncIterator[Server]:
    """Listen; everything is closed at the end."""
    made = Server()
    open_: list[Peer] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(Peer(reader, writer))
        made.peers.put_nowait(open_[-1])

    listener = await asyncio.start_server(accept, "127.0.0.1", port)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        await stop_accepting(listener)
        for peer in open_:
            peer.writer.close()


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Peer]:
    """A debugger."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def joined(*, acks: bool = False) -> AsyncIterator[tuple[Peer, Peer]]:
    """A debugger and the server it is connected with, past the switch of the acknowledgements unless these stay."""
    async with server() as there, front(there.port) as port, client(port) as gdb:
        first = encode(b"!") if acks else NOACK
        gdb.say(b"+" + first)
        stub = await there.peer()
        await expect_greeting(gdb, stub, first)
        yield gdb, stub


async def expect_greeting(gdb: Peer, stub: Peer, first: bytes = NOACK) -> None:
    """The first exchange; each leg acknowledges for itself."""
    await stub.expect_packet(first)
    stub.say(b"+" + encode(b"OK"))
    await gdb.expect_packet(encode(b"OK"))
    gdb.say(b"+")
    await stub.expect(b"+")


BINARY = bytes(range(256)) * 3  # with every byte that frames are made of
EXCHANGES: dict[str, list[tuple[bytes | None, bytes | None]]] = {
    "extended mode": [(b"!", b"OK")],
    "run": [(b"vRun;2f62696e2f6c73;2d6c", b"T0506:0;07:50fdffff;thread:p1.1;core:0;")],
    "restart": [(b"R00", None), (b"?", b"W00")],
    "files": [
        (b"vFile:setfs:0", b"F0"),
        (b"vFile:open:6a757374,0,1c0", b"F5"),
        (b"vFile:pread:5,3fff,0", b"F3;}\x03*}\x04"),
        (b"vFile:pwrite:5,0," + b"}\x03}\x04}]}\x0a" + bytes(range(1, 0x23)), b"F4"),
        (b"vFile:close:5", b"F0"),
    ],
    "binary write": [(b"X20000000,0:", b"OK"), (b"X20000000,4:}\x03}\x04}]}\x0a", b"OK")],
    "runs": [(b"g", b"0* 00000000*}xxxx"), (b"m0,40", b'0*"' * 20)],
    "thread list": [(b"qfThreadInfo", b"mp1.1,p1.2"), (b"qsThreadInfo", b"l")],
    "unknown": [(b"vMustReplyEmpty", b""), (b"Qfoo:bar", b""), (b"\xff\xfe", b"")],
    "errors": [(b"m0,4", b"E01"), (b"qXfer:threads:read::0,1000", b"E.no such thing")],
    "attach": [(b"vAttach;1f", b"T05thread:p1f.1f;")],
    "kill": [(b"vKill;1f", b"OK")],
    "detach of one": [(b"D;1f", b"OK")],
    "stop with console": [(b"vCont;c:p1.-1", b"O48656c6c6f0a"), (None, b"T05thread:p1.1;")],
    "file request of the target": [(b"c", b"Fwrite,1,20000000,5"), (b"F5", b"S05")],
    "non-stop": [
        (b"QNonStop:1", b"OK"),
        (b"vCont;c:p1.-1", b"OK"),
        (None, b"%Stop:T05thread:p1.1;"),
        (b"vStopped", b"T05thread:p1.2;"),
        (b"vStopped", b"OK"),
    ],
}


def framed(body: bytes) -> bytes:
    """A packet, or a notification when it begins with the letter of one."""
    return encode(body) if body[:1] != b"%" else b"%" + encode(body[1:])[1:]


@pytest.mark.parametrize("acks", [False, True], ids=["no-ack", "ack"])
async def test_what_is_said_arrives_as_it_was_said(acks: bool) -> None:
    """Requests, replies, notifications, console output and file requests of both sides; acknowledgements are each leg's own."""
    ack = b"+" if acks else b""
    async with joined(acks=acks) as (gdb, stub):
        for exchange in EXCHANGES.values():
            for request, reply in exchange:
                await expect_unchanged(gdb, stub, request, ack)
                await expect_unchanged(stub, gdb, reply, ack)


async def expect_unchanged(speaker: Peer, listener: Peer, body: bytes | None, ack: bytes) -> None:
    """One packet or notification goes through as it is; only packets are acknowledged, and each leg does so for itself."""
    if body is None:
        return
    speaker.say(framed(body))
    await listener.expect(framed(body))
    if ack and body[:1] != b"%":
        listener.say(ack)
        await speaker.expect(ack)


async def test_a_notification_between_request_and_reply_keeps_its_place() -> None:
    """The order of the server's words is the order in which GDB hears them."""
    async with joined() as (gdb, stub):
        gdb.say(encode(b"QNonStop:1"))
        await stub.expect(encode(b"QNonStop:1"))
        stub.say(encode(b"OK"))
        await gdb.expect(encode(b"OK"))
        gdb.say(encode(b"m0,4"))
        await stub.expect(encode(b"m0,4"))
        words = framed(b"%Stop:T05thread:p1.1;") + encode(b"00112233") + framed(b"%Stop:T05thread:p1.2;")
        stub.say(words)
        await gdb.expect(words)


@pytest.mark.parametrize("size", [1, 100, 16384, 1 << 20])
async def test_binary_data_of_any_size_and_content_passes_in_both_directions(size: int) -> None:
    """Cut anywhere by the network, `X` data and its echo are the same."""
    data = (BINARY * (size // len(BINARY) + 1))[:size]
    packet = encode(b"X0,%x:" % size + escape(data))
    async with joined() as (gdb, stub):
        gdb.say(packet)
        await stub.expect(packet)
        stub.say(encode(b"b" + escape(data)))
        await gdb.expect(encode(b"b" + escape(data)))


async def test_an_interrupt_passes_between_two_packets() -> None:
    """One byte, while the program runs."""
    async with joined() as (gdb, stub):
        gdb.say(encode(b"vCont;c"))
        await stub.expect(encode(b"vCont;c"))
        gdb.say(b"\x03")
        await stub.expect(b"\x03")
        stub.say(encode(b"T02thread:01;"))
        await gdb.expect(encode(b"T02thread:01;"))


async def test_a_debugger_that_only_stops_sending_still_gets_its_answer() -> None:
    """A half-open detach: `D`, and the end of what is sent; the answer comes, then the end."""
    async with joined() as (gdb, stub):
        gdb.say(encode(b"D"))
        gdb.writer.write_eof()
        await stub.expect(encode(b"D"))
        stub.say(encode(b"OK"))
        await gdb.expect(encode(b"OK"))
        assert await stub.ended() == b""
        stub.writer.close()
        assert await gdb.ended() == b""


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_debugger_that_detaches_and_is_gone_is_heard_out(how: str) -> None:
    """Its last packet reaches the server before the end of the stream."""
    async with joined() as (gdb, stub):
        gdb.say(encode(b"D"))
        if how == "close":
            gdb.writer.close()
        else:
            await stub.expect(encode(b"D"))
            gdb.writer.transport.abort()
        assert await stub.ended() in (encode(b"D"), b"")


async def test_a_debugger_that_says_nothing_costs_the_server_nothing() -> None:
    """A port probe ends here."""
    async with server() as there, front(there.port) as port:
        async with client(port):
            pass
        async with client(port) as gdb:
            gdb.say(b"+" + NOACK)
            await expect_greeting(gdb, await there.peer())
        assert there.peers.empty()


async def test_a_server_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front may be started first, and its debugger may have asked in vain."""
    monkeypatch.setenv("OCDSUP_DEBUG", "1")
    async with server() as first:
        number = first.port
    said, log = socket.socketpair()
    with said, log:
        reader, writer = await asyncio.open_connection(sock=said)
        async with front(number, log.fileno()) as port, client(port) as gdb:
            gdb.say(b"+" + NOACK)
            await asyncio.wait_for(reader.readuntil(b"gdb_upstream_refused "), PATIENCE)
            async with server(number) as there:
                await expect_greeting(gdb, await there.peer())
        writer.close()
        await writer.wait_closed()


async def test_a_halted_session_goes_on_with_a_server_that_comes_back() -> None:
    """A server without process IDs: modes, thread and breakpoint are set again, and the first resume ends in a stop."""
    async with server() as first:
        number = first.port
        async with front(number) as port, client(port) as gdb:
            gdb.say(b"+" + NOACK)
            stub = await first.peer()
            await expect_greeting(gdb, stub)
            for request, reply in ((b"Hg0", b"OK"), (b"?", b"S05"), (b"Z1,8000234,2", b"OK")):
                gdb.say(encode(request))
                await stub.expect(encode(request))
                stub.say(encode(reply))
                await gdb.expect(encode(reply))
            stub.writer.close()
            stub = await first.peer()
            await stub.expect_packet(NOACK)
            stub.say(b"+" + encode(b"OK"))
            for request, reply in ((b"?", b"S05"), (b"Hg0", b"OK"), (b"Z1,8000234,2", b"OK")):
                assert request in await asyncio.wait_for(stub.reader.readuntil(b"#"), PATIENCE)
                await stub.reader.readexactly(2)
                stub.say(encode(reply))
            gdb.say(encode(b"vCont;c"))
            console = await asyncio.wait_for(gdb.reader.readuntil(b"#"), PATIENCE)
            assert b"went away and came back" in bytes.fromhex(console[2:-1].decode())
            await gdb.reader.readexactly(2)
            await gdb.expect(encode(b"T02"))
