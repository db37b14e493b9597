"""Our connections to OpenOCD's Tcl port: answers belong to their questions, however they are split and whoever dies."""

import asyncio
import gc
import os
import re
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ocdsup.openocd.command import notify
from ocdsup.runtime import tcl_link
from ocdsup.runtime.launcher import Process
from ocdsup.runtime.tcl_link import TclEvents, TclLink

Until = Callable[[Callable[[], object]], Awaitable[None]]
END = b"\x1a"


class Server:
    """Stands in for OpenOCD's Tcl server."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.port: int = self.listening.getsockname()[1]
        self.peers: list[socket.socket] = []

    async def accept(self) -> socket.socket:
        """Take the next connection."""
        peer, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self.listening), 20)
        self.peers.append(peer)
        return peer

    def close(self) -> None:
        self.listening.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A Tcl server in the hands of the test."""
    made = Server()
    yield made
    made.close()


@pytest.fixture
async def link(server: Server) -> AsyncIterator[TclLink]:
    """A link that is open."""
    made = TclLink()
    await made.open(server.port)
    await server.accept()
    yield made
    made.close()


async def heard(sock: socket.socket, count: int) -> bytes:
    """Read `count` bytes."""
    data = b""
    while len(data) < count:
        data += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, count - len(data)), 20)
    return data


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_a_heartbeat_is_one_byte_each_way(server: Server, link: TclLink) -> None:
    """The bare end of a frame is a question of its own, and logs nothing in OpenOCD."""
    asked = link.ask()
    assert await heard(server.peers[0], 1) == END
    server.peers[0].send(END)
    assert await asked == b""


async def test_questions_may_be_asked_before_the_last_answer(server: Server, link: TclLink) -> None:
    """Answers come in the order of the questions."""
    asked = [link.ask(b"first"), link.ask(), link.ask(b"third")]
    assert await heard(server.peers[0], 13) == b"first\x1a\x1athird\x1a"
    server.peers[0].send(b"1\x1a\x1a3\n\x1a")
    assert await asyncio.gather(*asked) == [b"1", b"", b"3\n"]


@pytest.mark.parametrize("at", range(13))
async def test_an_answer_may_be_split_anywhere(server: Server, link: TclLink, until: Until, at: int) -> None:
    """A frame is a frame, however TCP cuts it."""
    answers = b"halted\x1a\x1a0x10\x1a"
    asked = [link.ask(b"a"), link.ask(), link.ask(b"c")]
    server.peers[0].send(answers[:at])
    whole = answers[:at].count(END)
    await until(lambda: sum(question.done() for question in asked) == whole)
    for _ in range(3):
        await asyncio.sleep(0)
    server.peers[0].send(answers[at:])
    assert await asyncio.gather(*asked) == [b"halted", b"", b"0x10"]


async def test_an_asker_that_lost_patience_does_not_shift_the_answers(server: Server, link: TclLink) -> None:
    """The late answer still belongs to its own question."""
    first = link.ask(b"slow")
    second = link.ask(b"next")
    first.cancel()
    server.peers[0].send(b"late\x1amine\x1a")
    assert await second == b"mine"


async def test_what_nobody_asked_for_is_dropped(server: Server, link: TclLink) -> None:
    """An answer without a question does not become the next one's."""
    server.peers[0].send(b"unasked\x1a")
    for _ in range(5):
        await asyncio.sleep(0)
    asked = link.ask(b"mine")
    server.peers[0].send(b"yours\x1a")
    assert await asked == b"yours"


@pytest.mark.parametrize("how", [socket.socket.close, reset], ids=["end", "reset"])
async def test_every_open_question_fails_when_the_link_breaks(
    server: Server, link: TclLink, how: Callable[[socket.socket], None]
) -> None:
    """A ConnectionError each, whether OpenOCD ended or was killed; half an answer is none."""
    asked = [link.ask(b"a"), link.ask(b"b"), link.ask()]
    server.peers[0].send(b"one\x1ahal")
    assert await asked[0] == b"one"
    how(server.peers[0])
    for question in asked[1:]:
        with pytest.raises(ConnectionError, match="has ended"):
            await question
    assert not link.is_open


async def test_giving_up_fails_every_open_question(link: TclLink) -> None:
    """Nobody waits for an OpenOCD that is being ended."""
    asked = [link.ask(b"a"), link.ask()]
    link.close()
    link.close()
    for question in asked:
        with pytest.raises(ConnectionError, match="given up"):
            await question


async def test_asking_on_a_link_that_is_closed_fails_and_asks_nobody(link: TclLink) -> None:
    """The future fails; nothing is raised on the spot, and nothing is warned of when nobody looks."""
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    with pytest.raises(ConnectionError, match="closed"):
        await TclLink().ask(b"never opened")
    link.ask(b"pending")
    link.close()
    link.ask()
    gc.collect()
    await asyncio.sleep(0)
    assert unheard == []


async def test_an_endless_answer_ends_the_link(server: Server, link: TclLink) -> None:
    """What we ask is answered in a few hundred bytes: memory stays bounded."""
    asked = link.ask(b"a")
    flood = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(server.peers[0], b"x" * 16 * tcl_link.LONGEST))
    with pytest.raises(ConnectionError):
        await asked
    with pytest.raises(ConnectionError):
        await flood


async def test_a_refused_link_says_so(server: Server) -> None:
    """Opening raises OSError."""
    server.listening.close()
    with pytest.raises(ConnectionRefusedError):
        await TclLink().open(server.port)
    with pytest.raises(ConnectionRefusedError):
        await TclEvents(lambda _frame: None).open(server.port)


@pytest.mark.parametrize("kind", ["link", "events"])
async def test_a_link_that_is_given_up_while_it_opens_stays_closed(server: Server, kind: str) -> None:
    """An OpenOCD that ends during the connect leaves no connection of ours behind."""
    link = TclLink() if kind == "link" else TclEvents(lambda _frame: None)
    opening = asyncio.ensure_future(link.open(server.port))
    await asyncio.sleep(0)
    link.close()
    with pytest.raises(ConnectionAbortedError):
        await opening
    peer = await server.accept()
    assert await asyncio.get_running_loop().sock_recv(peer, 10) == b""


async def test_notifications_are_switched_on_and_told_frame_by_frame(server: Server, until: Until) -> None:
    """Frames may be split and joined; the empty answer to the switch is none."""
    frames: list[bytes] = []
    events = TclEvents(frames.append)
    await events.open(server.port)
    peer = await server.accept()
    asked = f"{notify()}\x1a".encode()
    assert await heard(peer, len(asked)) == asked
    peer.send(b"\x1atype target_state sta")
    for _ in range(5):
        await asyncio.sleep(0)
    peer.send(b"te halted\r\n\x1atype target_reset mode run\r\n\x1atype")
    await until(lambda: len(frames) == 2)
    assert frames == [b"type target_state state halted\r\n", b"type target_reset mode run\r\n"]
    events.close()


async def test_no_frame_is_told_after_the_events_are_closed(server: Server, until: Until) -> None:
    """Not even one that came in the same read."""
    frames: list[bytes] = []

    def once(frame: bytes) -> None:
        frames.append(frame)
        events.close()

    events = TclEvents(once)
    await events.open(server.port)
    peer = await server.accept()
    peer.send(b"type a\x1atype b\x1a")
    await until(lambda: frames)
    for _ in range(5):
        await asyncio.sleep(0)
    assert frames == [b"type a"]


async def test_the_real_openocd_answers_and_notifies(until: Until) -> None:
    """OpenOCD's own framing, its heartbeat, and a notification on the second connection."""
    said, ends = bytearray(), list[str]()
    commands = (
        *("adapter driver dummy", "adapter speed 1000", "transport select jtag"),
        *("jtag newtap sim cpu -irlen 4 -expected-id 0", "target create sim.cpu testee -chain-position sim.cpu"),
        *("gdb_port disabled", "telnet_port 0", "tcl_port 0", "init"),
    )
    argv = ["openocd", *(part for command in commands for part in ("-c", command))]
    process = Process(argv, {"PATH": os.environ["PATH"]}, said.extend, ends.append)
    await until(lambda: b"for tcl connections" in said or ends)
    found = re.search(rb"port (\d+) for tcl", said)
    assert found, said
    link, frames = TclLink(), list[bytes]()
    events = TclEvents(frames.append)
    await link.open(int(found[1]))
    await events.open(int(found[1]))
    assert await link.ask() == b""
    asked = [link.ask(b"set a 6"), link.ask(b"expr $a * 7"), link.ask()]
    assert await asyncio.gather(*asked) == [b"6", b"42", b""]
    link.ask(b"reset halt")
    await until(lambda: any(frame.startswith(b"type target_reset mode halt") for frame in frames))
    pending = link.ask(b"sleep 100000")
    process.signal(signal.SIGKILL)
    with pytest.raises(ConnectionError):
        await pending
    await until(lambda: ends)
    link.close()
    events.close()
