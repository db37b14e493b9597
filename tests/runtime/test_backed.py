"""What the stable telnet and Tcl port share: what a client says while its connection to OpenOCD is being opened.

Shown with the Tcl port, whose bytes pass unchanged; the telnet port's own tests have the same for a console.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ocdsup.runtime import wire
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.tcl_port import TclPort
from ocdsup.telnet.effects import Away
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]
PATIENCE_S = 10.0
SAID = b"mdw 0x20000000\x1a"


class Stage:
    """A port whose connections to OpenOCD open, or fail, when the test says so; and one client of it."""

    def __init__(self, until: Until) -> None:
        self.until = until
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.port = TclPort(bind_all(["127.0.0.1"], 0), lambda: Away("backoff"), self.tasks, self.log)
        self.dials: asyncio.Queue[asyncio.Future[socket.socket]] = asyncio.Queue()
        self.ends: list[socket.socket] = []

    async def connect(self, _host: str, _port: int) -> socket.socket:
        dial: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        await self.dials.put(dial)
        return await dial

    async def dial(self) -> asyncio.Future[socket.socket]:
        """The connection that the port asks for next."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.dials.get()

    def opens(self, dial: asyncio.Future[socket.socket]) -> socket.socket:
        """Let the connection come about; returns OpenOCD's end of it."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.ends += [ours, theirs]
        dial.set_result(ours)
        return theirs

    async def client(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port.port)

    async def heard(self) -> bytes:
        """The next answer that the client gets."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\x1a")

    async def end(self) -> None:
        self.port.close()
        await self.tasks.cancel()
        self.writer.close()
        await self.writer.wait_closed()
        for sock in self.ends:
            sock.close()


async def read(end: socket.socket) -> bytes:
    """What has come to OpenOCD, as soon as there is something."""
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.get_running_loop().sock_recv(end, 4096)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch, until: Until) -> AsyncIterator[Stage]:
    """A port with an OpenOCD that is about to accept, and a client that has connected."""
    made = Stage(until)
    monkeypatch.setattr(wire, "connect", made.connect)
    made.port.serve(("127.0.0.1", 1))
    await made.client()
    yield made
    assert made.log.named("task_failed") == []
    await made.end()


async def said_early(stage: Stage) -> asyncio.Future[socket.socket]:
    """Have the client say something while its connection to OpenOCD is being opened."""
    dial = await stage.dial()
    stage.writer.write(SAID)
    await stage.until(lambda: stage.port._sessions[0]._early)
    return dial


async def test_what_is_said_while_openocd_is_dialled_reaches_it_once(stage: Stage) -> None:
    openocd = stage.opens(await said_early(stage))
    assert await read(openocd) == SAID
    await asyncio.get_running_loop().sock_sendall(openocd, b"0x20000000: 2a\x1a")
    assert await stage.heard() == b"0x20000000: 2a\x1a"
    stage.writer.write(b"poll\x1a")
    assert await read(openocd) == b"poll\x1a"


async def test_a_client_that_sends_no_more_while_openocd_is_dialled_gets_its_answer(stage: Stage) -> None:
    dial = await said_early(stage)
    stage.writer.write_eof()
    await stage.until(lambda: stage.port._sessions[0]._early_eof)
    openocd = stage.opens(dial)
    assert await read(openocd) == SAID
    await asyncio.get_running_loop().sock_sendall(openocd, b"0x20000000: 2a\x1a")
    async with asyncio.timeout(PATIENCE_S):
        assert await stage.reader.read() == b"0x20000000: 2a\x1a"


async def test_what_is_said_early_is_answered_when_openocd_refuses(stage: Stage) -> None:
    (await said_early(stage)).set_exception(ConnectionRefusedError(111, "Connection refused"))
    assert (await stage.heard()).startswith(b"ocdsup: ")
    assert [line["error"] for line in stage.log.named("tcl_upstream_refused")] == ["Connection refused"]


async def test_what_is_said_early_is_answered_when_openocd_goes_before_it_accepts(stage: Stage) -> None:
    dial = await said_early(stage)
    stage.port.backend_down()
    assert (await stage.heard()).startswith(b"ocdsup: ")
    assert dial.cancelled()


async def test_a_dial_that_was_given_up_does_not_disturb_the_one_that_followed(stage: Stage) -> None:
    await stage.dial()
    stage.port.backend_down()
    stage.port.serve(("127.0.0.1", 2))
    second = await said_early(stage)
    assert await read(stage.opens(second)) == SAID


async def test_a_client_that_left_during_the_dial_leaves_no_connection(stage: Stage) -> None:
    dial = await stage.dial()
    stage.writer.close()
    await stage.until(lambda: stage.port._sessions[0]._early_eof)
    assert await read(stage.opens(dial)) == b""
    assert stage.port._sessions == []
