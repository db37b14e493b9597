"""The edge: sockets, bad input, one client at a time, presence while open, and the clock."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup.sim import protocol
from ocdsup.sim.probe import Probe
from ocdsup.sim.server import SimServer, make_probe

OK = protocol.word(protocol.OK)
VERSION = b"\xf1".ljust(16, b"\0")


class Client:
    """Speaks the stlink-server protocol by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, sim: SimServer) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", sim.port))

    async def ask(self, request: bytes, size: int) -> bytes:
        self.writer.write(request)
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    async def open(self, device: int = 1) -> bytes:
        reply = await self.ask(b"\x03\0\0\0" + protocol.word(device), 8)
        return reply[4:] if reply[:4] == OK else b""

    async def usb(self, handle: bytes, size: int = 6, command: bytes = VERSION) -> bytes:
        request = b"\x05\0\0\0" + handle + command + b"\1\0\0\0" + protocol.word(size)
        return await self.ask(request, 4 + size)

    async def used(self, index: int = 0) -> bool:
        return (await self.ask(bytes((2, index, 0, 0)) + protocol.word(41), 45))[44] == 1

    async def gone(self) -> None:
        """Wait until the server has ended the connection."""
        async with asyncio.timeout(10):
            try:
                while await self.reader.read(4096):
                    pass
            except ConnectionError:
                pass

    def close(self) -> None:
        self.writer.transport.abort()


async def until(true: Callable[[], bool]) -> None:
    """Let the loop go round until a condition holds."""
    async with asyncio.timeout(10):
        while not true():
            await _turn()


async def _turn() -> None:
    """Let the loop go round once."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


@pytest.fixture
async def probes() -> list[Probe]:
    return [make_probe("AAA", "stm32f103"), make_probe("BBB", "stm32f103")]


async def test_a_client_opens_talks_and_closes(sim: SimServer) -> None:
    client = await Client.to(sim)
    assert await client.ask(b"\x06\1\0\0", 16) == protocol.version_reply()
    assert await client.ask(b"\0\0", 4) == OK
    assert await client.ask(b"\1", 4) == protocol.word(2)
    handle = await client.open()
    assert (await client.usb(handle))[:4] == OK
    assert await client.ask(b"\x04\0\0\0" + handle, 4) == OK
    assert (await client.usb(handle))[:4] != OK
    client.close()


async def test_the_list_shows_serials_and_use_while_a_probe_is_open(sim: SimServer) -> None:
    """A supervisor uses it as its presence check."""
    first, watcher = await Client.to(sim), await Client.to(sim)
    assert await first.open(2)
    info = await watcher.ask(b"\x02\1\0\0" + protocol.word(41), 45)
    assert info[8:12] == b"BBB\0"
    assert [await watcher.used(index) for index in (0, 1)] == [False, True]
    first.close()
    watcher.close()


async def test_an_index_or_device_that_does_not_exist_is_an_error(sim: SimServer) -> None:
    client = await Client.to(sim)
    assert (await client.ask(b"\x02\7\0\0" + protocol.word(41), 45))[:4] == protocol.word(protocol.BAD_PARAMETER)
    assert await client.open(9) == b""
    assert (await client.ask(b"\x04\0\0\0" + protocol.word(99), 4)) == protocol.word(protocol.BAD_PARAMETER)
    client.close()


async def test_a_second_client_is_refused_until_the_first_is_gone(sim: SimServer) -> None:
    first, second = await Client.to(sim), await Client.to(sim)
    assert await first.open()
    assert await second.open() == b""
    first.close()
    await until(lambda: sim.probes[0].handle is None)
    assert await second.open()
    second.close()


@pytest.mark.parametrize("fault", [None, "hang"])
async def test_a_sudden_disconnect_frees_the_probe(sim: SimServer, fault: str | None) -> None:
    """Even while the probe hangs with a request waiting."""
    client = await Client.to(sim)
    handle = await client.open()
    if fault:
        sim.probes[0].break_(fault, {}, sim.now())
    client.writer.write(b"\x05\0\0\0" + handle + VERSION)
    await client.writer.drain()
    client.close()
    await until(lambda: sim.probes[0].handle is None)
    other = await Client.to(sim)
    assert await other.open()
    other.close()


@pytest.mark.parametrize("junk", [b"\xff", b"GET / HTTP/1.1\r\n\r\n", b"\xaa" * 1_000_000, b"\x05" + b"\xff" * 31], ids=len)
async def test_junk_ends_the_connection_and_nothing_else(sim: SimServer, junk: bytes) -> None:
    holder, vandal = await Client.to(sim), await Client.to(sim)
    handle = await holder.open()
    vandal.writer.write(junk)
    await vandal.gone()
    vandal.close()
    assert (await holder.usb(handle))[:4] == OK
    holder.close()


async def test_half_a_request_waits_for_its_rest(sim: SimServer) -> None:
    client = await Client.to(sim)
    client.writer.write(b"\x06\1")
    await client.writer.drain()
    assert await client.ask(b"\0\0", 16) == protocol.version_reply()
    client.close()


async def test_a_client_that_never_reads_is_held_up_not_served_into_memory(sim: SimServer) -> None:
    """A megabyte of list requests; another client is answered meanwhile."""
    glutton, other = await Client.to(sim), await Client.to(sim)
    glutton.writer.write(b"\x02\0\0\0\x29\0\0\0" * 125_000)
    for _ in range(50):
        assert await other.ask(b"\1", 4) == protocol.word(2)
    for client in (glutton, other):
        client.close()


async def test_a_hung_probe_answers_late_and_in_order(sim: SimServer) -> None:
    client, other = await Client.to(sim), await Client.to(sim)
    handle = await client.open()
    sim.probes[0].break_("hang", {}, sim.now())
    waiting = asyncio.create_task(client.usb(handle))
    assert await other.used()
    assert not waiting.done()
    sim.probes[0].heal("hang", sim.now())
    sim.changed()
    assert (await waiting)[:4] == OK
    for each in (client, other):
        each.close()


async def test_an_unplugged_probe_leaves_the_list_and_its_handle_stays_dead(sim: SimServer) -> None:
    client = await Client.to(sim)
    handle = await client.open(1)
    sim.probes[0].break_("unplugged", {}, sim.now())
    assert await client.ask(b"\1", 4) == protocol.word(1)
    assert (await client.ask(b"\x02\0\0\0" + protocol.word(41), 45))[8:12] == b"BBB\0"
    sim.probes[0].heal("unplugged", sim.now())
    assert (await client.usb(handle))[:4] == protocol.word(protocol.OPEN_ERROR)
    assert await client.open(1)
    client.close()


async def test_usb_errors_carry_their_status(sim: SimServer) -> None:
    client = await Client.to(sim)
    handle = await client.open()
    sim.probes[0].break_("usb-error", {"status": 0x1001}, sim.now())
    assert (await client.usb(handle))[:4] == protocol.word(0x1001)
    client.close()


async def test_the_board_lives_while_nobody_is_connected(sim: SimServer) -> None:
    [probe, _] = sim.probes
    core = probe.board.core
    before = core.cpu.pc
    await until(lambda: core.cpu.pc != before)
    assert (probe.handle, core.cpu.pc == before) == (None, False)


async def test_the_control_socket_answers_lines_and_is_private(sim: SimServer) -> None:
    path = sim.control_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"press": "reset"}\n{"sta')
    assert await reader.readline() == b'{"ok": true}\n'
    writer.write(b'tus": null}\n')
    assert b'"AAA"' in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_endless_control_line_is_cut_off(sim: SimServer) -> None:
    reader, writer = await asyncio.open_unix_connection(sim.control_path)
    writer.write(b"x" * 200_000)
    client = Client(reader, writer)
    await client.gone()
    assert reader.at_eof() or reader.exception() is not None
    client.close()


async def test_leaving_frees_the_port_and_the_control_path(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with SimServer(port=0, control=path) as sim:
        port = sim.port
        client = await Client.to(sim)
    await client.gone()
    client.close()
    assert not path.exists()
    async with SimServer(port=port, control=path) as again:
        assert again.port == port


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "control"])
async def test_a_connection_of_any_moment_is_closed_when_the_server_has_been_left(
    tmp_path: Path, family: socket.AddressFamily, turns: int
) -> None:
    """Also one that asyncio has accepted and not made a link yet, as a supervisor's look that comes at the end."""
    path = tmp_path / "c.sock"
    with socket.socket(family) as client:
        client.setblocking(False)
        async with SimServer(port=0, control=path) as sim:
            client.connect_ex(str(path) if family == socket.AF_UNIX else ("127.0.0.1", sim.port))
            for _ in range(turns):
                await _turn()
        try:
            ended = client.recv(1) == b""
        except ConnectionResetError:  # it was never accepted
            ended = True
        assert ended


async def test_a_stale_control_socket_is_replaced_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with SimServer(port=0, control=path):
        with pytest.raises(OSError, match="another simulated probe answers"):
            async with SimServer(port=0, control=path):
                pytest.fail("two servers on one control path")
        assert path.exists()


async def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="is no socket"):
        async with SimServer(port=0, control=path):
            pytest.fail("served over a file")
    assert path.read_text() == "data"


async def test_a_taken_port_is_an_error(sim: SimServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with SimServer(port=sim.port, control=tmp_path / "other.sock"):
            pytest.fail("two servers on one port")
