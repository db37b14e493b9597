"""Nobody waits for ever at a port that no bench has: what the store had is closed, what a socket unit has turns people away."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import LISTENER, Inherited
from ocdsup.runtime.systemd import Notify
from ocdsup.runtime.unclaimed import HINT, Unclaimed
from tests.runtime.kept_log import KeptLog


class Stage:
    """Some listeners that were passed, and what becomes of them."""

    def __init__(self, *passed: tuple[socket.socket, str]) -> None:
        self.inherited = Inherited((os.dup(sock.fileno()), name) for sock, name in passed)
        self.log = KeptLog()
        self.told: list[tuple[Any, ...]] = []
        self.unclaimed = Unclaimed(self.inherited, _Told(self.inherited, self.told), self.log)

    def close(self) -> None:
        self.unclaimed.close()
        self.inherited.close()


class _Told(Store):
    """A store that only writes down what it is told."""

    def __init__(self, listeners: Inherited, told: list[tuple[Any, ...]]) -> None:
        super().__init__(Notify(), listeners)
        self._told = told

    def keep(self, name: str, numbers: Any) -> bool:
        for number in numbers:
            with socket.socket(fileno=os.dup(number)) as sock:
                self._told.append(("keep", name, sock.getsockname()[0]))
        return True

    def drop(self, name: str) -> None:
        self._told.append(("drop", name))


def listening(address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family)


async def words(port: int) -> bytes:
    """Everything that is said to one who connects, up to the end of the connection."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said


@pytest.fixture
async def units() -> AsyncIterator[tuple[Stage, int]]:
    """A port that a socket unit names: the manager has it open as well."""
    manager = listening()
    stage = Stage((manager, "ocdsup.socket"))
    yield stage, manager.getsockname()[1]
    stage.close()
    manager.close()


async def test_what_the_store_had_and_nobody_uses_is_closed() -> None:
    sock = listening()
    port = sock.getsockname()[1]
    stage = Stage((sock, f"{LISTENER}{port}"))
    sock.close()  # as the manager does when it is told to drop it
    stage.unclaimed.settle()
    assert stage.told == [("drop", f"{LISTENER}{port}")]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert stage.log.named("listener_closed")[0]["socket"] == f"127.0.0.1:{port}"
    assert stage.unclaimed.notes == []
    stage.close()


async def test_what_the_store_had_and_a_bench_uses_is_the_benchs_alone() -> None:
    """So that a reload which moves the port really closes it."""
    sock = listening()
    port = sock.getsockname()[1]
    stage = Stage((sock, f"{LISTENER}{port}"))
    sock.close()
    found = stage.inherited.tcp("127.0.0.1", port)
    assert found is not None
    stage.unclaimed.settle()
    socket.create_connection(("127.0.0.1", port)).close()
    assert (stage.told, stage.inherited.all()) == ([], ())
    found.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    stage.close()


async def test_one_family_of_a_port_leaves_the_store_and_the_other_stays() -> None:
    """Both have one name there; `bind` became shorter."""
    four = listening()
    port = four.getsockname()[1]
    with four, listening("::1", port) as six:
        stage = Stage(*((sock, f"{LISTENER}{port}") for sock in (four, six)))
        found = stage.inherited.tcp("127.0.0.1", port)
        assert found is not None
        stage.unclaimed.settle()
        assert stage.told == [("drop", f"{LISTENER}{port}"), ("keep", f"{LISTENER}{port}", "127.0.0.1")]
        found.close()
        stage.close()


async def test_a_socket_units_port_that_nobody_uses_turns_people_away_and_says_why(units: tuple[Stage, int]) -> None:
    stage, port = units
    for _ in range(2):
        stage.unclaimed.settle()
        assert b"no bench has this port" in await words(port)
    (told,) = stage.log.named("socket_nobody_uses")
    assert told["socket"] == f"127.0.0.1:{port}"
    assert stage.unclaimed.notes == [f"127.0.0.1:{port}: the socket unit names it and no bench has it; {HINT}"]


async def test_a_port_that_is_given_back_to_a_bench_turns_nobody_away(units: tuple[Stage, int]) -> None:
    stage, port = units
    stage.unclaimed.settle()
    found = stage.inherited.tcp("127.0.0.1", port)
    assert found is not None
    stage.unclaimed.settle()
    assert stage.unclaimed.notes == []
    with socket.create_connection(("127.0.0.1", port)):
        await asyncio.sleep(0)
        found.accept()[0].close()
    found.close()
    stage.unclaimed.settle()
    assert b"no bench has this port" in await words(port)
    assert len(stage.log.named("socket_nobody_uses")) == 2


async def test_a_units_port_leaves_the_store_as_well() -> None:
    with listening() as sock:
        stage = Stage((sock, "ocdsup.socket"), (sock, f"{LISTENER}7"))
        stage.unclaimed.settle()
        stage.unclaimed.settle()
        assert stage.told == [("drop", f"{LISTENER}7")]
        stage.close()


async def test_a_client_of_a_control_socket_that_is_none_gets_no_words(tmp_path: Path) -> None:
    """It expects JSON, and an end."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        stage = Stage((sock, "ocdsup.socket"))
        stage.unclaimed.settle()
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            assert await reader.read() == b""
            writer.close()
        stage.close()
