"""The stable telnet port: real clients on one side, a console that the test plays on the other."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from ocdsup.runtime import telnet_port, wire
from ocdsup.runtime.backed import MAX_CLIENTS
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.telnet_port import TelnetPort
from ocdsup.sim.server import stop_accepting
from ocdsup.telnet.effects import Away
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]
PATIENCE_S = 10.0
GREETING = b"\xff\xfb\x03\xff\xfb\x01\xff\xfd\x03\xff\xfe\x01Open On-Chip Debugger\r\n\r> "
"""What OpenOCD 0.12.0 sends first (tests/telnet/golden)."""
LOG_LINE = b"\b\b  \b\bInfo : " + b"x" * 1000 + b"\r\n> "


class Console:
    """Stands in for OpenOCD's telnet console: echoes a line as OpenOCD 0.12.0 does, and answers it with `LINE!`."""

    def __init__(self) -> None:
        self.sessions: list[asyncio.StreamWriter] = []
        self.lines: list[str] = []
        self.answers = True

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions.append(writer)
        writer.write(GREETING)
        with suppress(ConnectionError):
            while data := await reader.readline():
                line = re.sub(rb"[^ -~]", b"", data).decode()
                self.lines.append(line)
                writer.write(f"{line}\r\n\0".encode() + (f"{line}!\r\n\r> ".encode() if self.answers else b""))
        writer.close()

    def drop(self) -> None:
        for writer in self.sessions:
            writer.transport.abort()

    async def close(self) -> None:
        await stop_accepting(self._server)
        self.drop()
        await self._server.wait_closed()


class Client:
    """A client of the stable port that collects what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.seen = ""

    def type(self, text: str) -> None:
        self.writer.write(text.encode())

    async def until(self, part: str) -> str:
        """Read until `part` was said; return everything up to and with it, and forget it."""
        async with asyncio.timeout(PATIENCE_S):
            while part not in self.seen:
                data = await self.reader.read(65536)
                assert data, f"closed before {part!r}: {self.seen!r}"
                self.seen += data.decode("latin-1")
        head, _, self.seen = self.seen.partition(part)
        return head + part

    async def rest(self) -> str:
        """Read until the port closes the connection."""
        async with asyncio.timeout(PATIENCE_S):
            return self.seen + (await self.reader.read()).decode("latin-1")


class Port:
    """A telnet port with a console behind it that can come and go."""

    def __init__(self) -> None:
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.console = Console()
        self.away = Away("recovering", "target-poll-failing: dead", 2.0)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.release = asyncio.Event()
        self.release.set()
        self.port = TelnetPort(bind_all(["127.0.0.1"], 0), self._answer, lambda: self.away, self.tasks, self.log)
        self._clients: list[Client] = []

    async def _answer(self, verb: str, args: dict[str, Any]) -> str:
        self.asked.append((verb, args))
        await self.release.wait()
        return f"answer to {verb}"

    async def up(self, version: str = "0.12.0") -> None:
        self.port.backend_up(("127.0.0.1", await self.console.start()), version)

    async def client(self) -> Client:
        made = Client(*await asyncio.open_connection("127.0.0.1", self.port.port))
        self._clients.append(made)
        return made

    async def end(self) -> None:
        self.port.close()
        await self.tasks.cancel()
        if hasattr(self.console, "_server"):
            await self.console.close()
        for client in self._clients:
            client.writer.close()
        await asyncio.gather(*(client.writer.wait_closed() for client in self._clients), return_exceptions=True)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    """A stable port whose OpenOCD is away."""
    monkeypatch.setattr(telnet_port, "GREETING_S", 1000.0)  # only the test about it waits for the greeting
    made = Port()
    yield made
    assert made.log.named("task_failed") == []
    await made.end()


async def test_a_line_goes_to_the_console_and_its_answer_comes_back(port: Port) -> None:
    await port.up()
    client = await port.client()
    client.type("targets\n")
    assert "targets!" in await client.until("> ")
    assert port.console.lines == ["targets"]


async def test_a_line_that_an_old_console_would_cut_is_refused(port: Port) -> None:
    """OpenOCD 0.10 drops all behind 255 characters, and runs what is left: another line than the one that was looked at."""
    await port.up("0.10.0")
    client = await port.client()
    client.type("x" * 256 + "\n")
    assert "the line has 256 bytes, OpenOCD's console takes 255; nothing was executed" in await client.until("> ")
    client.type("x" * 255 + "\n")
    await client.until("!")
    assert port.console.lines == ["x" * 255]


async def test_a_client_that_says_nothing_is_greeted(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telnet_port, "GREETING_S", 0.0)
    await port.up()
    client = await port.client()
    assert "supervised by ocdsup" in await client.until("> ")


async def test_while_openocd_is_away_a_line_is_answered_at_once_with_the_reason_as_of_now(port: Port) -> None:
    client = await port.client()
    client.type("targets\n")
    told = await client.until("> ")
    assert told.startswith("ocdsup: OpenOCD is away")
    assert "target-poll-failing: dead" in told
    port.away = Away("backoff", "probe-absent: no probe", 30.0)
    client.type("targets\n")
    assert "probe-absent" in await client.until("> ")


async def test_own_words_are_answered_while_openocd_is_away(port: Port) -> None:
    client = await port.client()
    client.type("ocdsup logs 5\n")
    assert await client.until("> ") == "answer to logs\r\n> "
    assert port.asked == [("logs", {"lines": 5})]


async def test_lines_typed_while_the_console_is_dialled_wait_for_it(
    port: Port, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client that pipes its commands in at once gets OpenOCD's answers, not `away`."""
    go = asyncio.Event()
    connect = wire.connect

    async def slowly(host: str, number: int) -> socket.socket:
        await go.wait()
        return await connect(host, number)

    monkeypatch.setattr(wire, "connect", slowly)
    await port.up()
    client = await port.client()
    client.type("reg pc\nexit\n")
    client.writer.write_eof()
    await until(lambda: port.port._sessions and port.port._sessions[0]._early_eof)
    go.set()
    told = await client.rest()
    assert "reg pc!" in told
    assert "away" not in told


async def test_lines_typed_while_dialling_are_answered_when_the_console_refuses(port: Port) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        number = gone.getsockname()[1]
    port.port.backend_up(("127.0.0.1", number), "0.12.0")
    client = await port.client()
    client.type("targets\nexit\n")
    assert "OpenOCD is away" in await client.rest()
    assert port.log.named("telnet_upstream_refused")


async def test_a_session_survives_a_restart_and_is_told_of_both_ends(port: Port) -> None:
    await port.up()
    client = await port.client()
    client.type("one\n")
    await client.until("one!\r\n> ")
    port.port.backend_down()
    assert "ocdsup: OpenOCD is away" in await client.until("> ")
    port.console = second = _close_later(port, Console())
    await port.up()
    assert "OpenOCD is back (0.12.0)" in await client.until("> ")
    client.type("two\n")
    await client.until("two!\r\n> ")
    assert second.lines == ["two"]


def _close_later(port: Port, second: Console) -> Console:
    """Both consoles end with the test."""
    first, close = port.console, second.close

    async def both() -> None:
        await first.close()
        await close()

    second.close = both  # type: ignore[method-assign]  # the fixture ends only the console it knows
    return second


async def test_a_console_connection_that_is_lost_is_told_with_the_lost_answer(port: Port, until: Until) -> None:
    await port.up()
    port.console.answers = False
    client = await port.client()
    client.type("flash write_image x\n")
    await until(lambda: port.console.lines)
    port.console.drop()
    told = await client.until("> ")
    assert "ocdsup: OpenOCD is away" in told
    assert "the answer to the last command is lost" in told


@pytest.mark.parametrize("is_up", [True, False], ids=["up", "away"])
async def test_a_client_that_stops_sending_still_gets_every_answer(port: Port, until: Until, is_up: bool) -> None:
    """`printf 'ocdsup status\\n' | nc -N`."""
    if is_up:
        await port.up()
    port.release.clear()
    client = await port.client()
    client.type("ocdsup status\n")
    client.writer.write_eof()
    await until(lambda: port.port._sessions and port.port._sessions[0]._client._ended_by_peer and port.asked)
    port.release.set()
    assert await client.rest() == "answer to status\r\n"


@pytest.mark.parametrize("argv", [("nc", "-N"), ("nc", "-q1"), ("busybox", "nc")], ids=" ".join)
async def test_a_pipe_into_netcat_gets_the_answers_and_ends(port: Port, argv: tuple[str, ...]) -> None:
    assert shutil.which(argv[0]), f"the tests need {argv[0]}"
    await port.up()
    child = await asyncio.create_subprocess_exec(
        *argv, "127.0.0.1", str(port.port.port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        told, _ = await child.communicate(b"ocdsup why\ntargets\nexit\n")
    assert b"answer to why" in told
    assert b"targets!" in told


async def test_an_own_word_jumps_a_command_that_hangs(port: Port, until: Until) -> None:
    await port.up()
    port.console.answers = False
    client = await port.client()
    client.type("sleep 100000\n")
    await until(lambda: port.console.lines)
    client.type("ocdsup why\n")
    await client.until("answer to why")
    assert port.console.lines == ["sleep 100000"], "OpenOCD is not asked for a word of ours"


async def test_a_client_that_never_reads_is_cut_and_the_others_are_served(
    port: Port, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telnet_port, "SLOW", 64 * 1024)
    monkeypatch.setattr(telnet_port, "DEAF_S", 0.0)
    await port.up()
    with socket.create_connection(("127.0.0.1", port.port.port)) as deaf:
        deaf.sendall(b"one\n")
        await until(lambda: port.console.lines)
        while not port.log.named("telnet_deaf"):
            port.console.sessions[0].write(LOG_LINE * 60)
            await asyncio.sleep(0)
        await until(lambda: not port.port._sessions)
    client = await port.client()
    client.type("two\n")
    await client.until("two!\r\n> ")
    assert port.console.lines == ["one", "two"]
    assert len(port.log.named("telnet_deaf")) == 1


async def test_a_client_that_does_not_read_never_holds_openocd_up_and_learns_what_it_missed(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenOCD's write to its console blocks all of OpenOCD."""
    monkeypatch.setattr(telnet_port, "SLOW", 64 * 1024)
    await port.up()
    client = await port.client()
    client.type("one\n")
    await client.until("one!\r\n> ")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a StreamWriter's transport reads, too
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(400):
            port.console.sessions[0].write(LOG_LINE * 60)
            await port.console.sessions[0].drain()
    client.type("two\n")
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
    assert re.search(r"ocdsup: \d{7,} bytes of OpenOCD's output were not read in time", await client.until("are lost\r\n> "))
    await client.until("two!\r\n> ")
    assert port.port._sessions[0]._deaf is None


async def test_a_browser_is_cut_off_and_said_so(port: Port) -> None:
    await port.up()
    client = await port.client()
    client.type("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await client.rest() == ""
    assert "not a telnet client" in port.log.named("telnet_refused")[0]["reason"]
    assert port.console.lines == []


async def test_one_client_too_many_is_refused_and_the_next_is_served_when_one_has_gone(port: Port, until: Until) -> None:
    clients = [await port.client() for _ in range(MAX_CLIENTS)]
    await until(lambda: len(port.port._sessions) == MAX_CLIENTS)
    refused = await port.client()
    assert await refused.rest() == "ocdsup: 16 clients are connected already; close one of them and connect again\r\n"
    assert port.log.named("telnet_too_many_clients")
    clients[0].writer.close()
    await until(lambda: len(port.port._sessions) < MAX_CLIENTS)
    late = await port.client()
    late.type("ocdsup why\n")
    await late.until("answer to why")


async def test_a_client_that_leaves_takes_its_console_connection_with_it(port: Port, until: Until) -> None:
    await port.up()
    client = await port.client()
    client.type("one\n")
    await client.until("one!\r\n> ")
    client.writer.close()
    await until(port.console.sessions[0].transport.is_closing)
    assert port.port._sessions == []


async def test_the_end_of_the_port_ends_its_sessions(port: Port) -> None:
    await port.up()
    client = await port.client()
    client.type("ocdsup why\n")
    await client.until("answer to why\r\n> ")
    port.port.close()
    assert await client.rest() == ""
    with pytest.raises(ConnectionRefusedError):
        await port.client()
