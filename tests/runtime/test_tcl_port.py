"""The stable Tcl port: clients that are too many or do not read, and those that go while OpenOCD works for them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from ocdsup.runtime import tcl_port
from ocdsup.runtime.backed import MAX_CLIENTS
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.tcl_port import TclPort
from ocdsup.sim.server import stop_accepting
from ocdsup.telnet.effects import Away
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]
PATIENCE_S = 10.0


class Stage:
    """A port, and an OpenOCD that the test plays: it answers `more` with a megabyte, `work` never, the rest as it is."""

    def __init__(self) -> None:
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.left: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        sockets, away = bind_all(["127.0.0.1"], 0), Away("backoff")
        self.port = TclPort(sockets, lambda: away, self.tasks, self.log, lambda _line: "")
        self.port.left_work = self._leave

    def _leave(self, lines: Sequence[str]) -> None:
        self.left += lines

    async def up(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port.serve(self.server.sockets[0].getsockname())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while command := (await reader.readuntil(b"\x1a"))[:-1]:
                if command != b"work":
                    writer.write((b"x" * (1 << 20) if command == b"more" else command) + b"\x1a")
                    await writer.drain()
        writer.close()

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port.port, limit=1 << 16)
        self.writers.append(writer)
        return reader, writer

    async def end(self) -> None:
        self.port.close()
        await self.tasks.cancel()
        await stop_accepting(self.server)
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)
        await self.server.wait_closed()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A port with its OpenOCD."""
    made = Stage()
    await made.up()
    yield made
    assert made.log.named("task_failed") == []
    await made.end()


async def test_one_client_too_many_is_told_so_and_costs_the_others_nothing(stage: Stage) -> None:
    clients = [await stage.client() for _ in range(MAX_CLIENTS)]
    too_many, _ = await stage.client()
    async with asyncio.timeout(PATIENCE_S):
        assert b"close one of them" in await too_many.read()
        for number, (reader, writer) in enumerate(clients):
            writer.write(b"%d\x1a" % number)
            assert await reader.readuntil(b"\x1a") == b"%d\x1a" % number


async def test_a_client_that_does_not_read_is_cut_and_openocd_is_read(
    stage: Stage, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcl_port, "DEAF", 1 << 20)
    _, deaf = await stage.client()
    deaf.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed has it on ReadTransport only
    deaf.write(b"more\x1a" * 100)
    await until(lambda: stage.log.named("tcl_client_deaf"))
    reader, writer = await stage.client()
    writer.write(b"still there\x1a")
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readuntil(b"\x1a") == b"still there\x1a"


@pytest.mark.parametrize("up", [True, False], ids=["at once", "while OpenOCD is away"])
async def test_a_client_that_sends_no_more_gets_its_answers(stage: Stage, up: bool) -> None:
    if not up:
        stage.port.backend_down()
    reader, writer = await stage.client()
    writer.write(b"one\x1atwo\x1a")
    writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        answers = await reader.read()
    assert answers == b"one\x1atwo\x1a" if up else answers.count(b"\x1a") == 2
    assert stage.log.named("tcl_client_refused") == []


async def test_the_command_of_a_client_that_goes_is_told_to_go_on(stage: Stage, until: Until) -> None:
    _, writer = await stage.client()
    writer.write(b"work\x1a")
    await until(lambda: stage.port.work == ["work"])
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()  # a reset: an ordinary end cannot be told from a client that only sends no more
    await until(lambda: stage.left == ["work"])
    assert stage.port.work == []
