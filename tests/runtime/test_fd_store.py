"""What the manager is given to keep, and what a new process makes of what it gets back."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.rsp.parked import SLOT, Parked, encode
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.shadow import Shadow
from ocdsup.runtime import fd_store
from ocdsup.runtime.fd_store import SESSION, Given, Store, from_manager
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.systemd import Notify

NAME = f"{SESSION}0123"


class Manager:
    """Holds descriptors by name, as systemd does."""

    def __init__(self, folder: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(folder / "notify"))
        self.sock.setblocking(False)
        self.store = Store(Notify(str(folder / "notify")), Inherited())

    def hear(self) -> tuple[list[str], list[int]]:
        data, rights, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(64))
        numbers = array.array("i")
        for _level, _type, raw in rights:
            numbers.frombytes(raw)
        return data.decode().split("\n"), list(numbers)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.sock.close()


@pytest.fixture
def client() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A debugger's end and ours, over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        two, _ = listening.accept()
    with one, two:
        yield one, two


def record(folder: Path, *slots: bytes) -> int:
    """An anonymous file with these slots."""
    number = os.memfd_create("record")
    for at, slot in enumerate(slots):
        os.pwrite(number, slot, at * SLOT)
    return number


def passed(monkeypatch: pytest.MonkeyPatch, *descriptors: tuple[int, str]) -> Given:
    """What a process makes of descriptors with these names."""
    monkeypatch.setattr(fd_store, "descriptors", lambda _environment, _pid: descriptors)
    return from_manager({})


def test_a_manager_that_takes_nothing_keeps_nothing(manager: Manager, client: tuple[socket.socket, socket.socket]) -> None:
    """Its queue is full: who believes that it keeps a session would park it, and GDB would be left with nobody."""
    while manager.store._notify.send("STATUS=full"):
        pass
    before = len(os.listdir("/proc/self/fd"))
    assert manager.store.shelve(client[1]) is None
    assert manager.store.keep_telnet(client[1]) == ""
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_session_is_two_descriptors_under_one_name(manager: Manager, client: tuple[socket.socket, socket.socket]) -> None:
    """The file that is stored is written on: what the manager holds is the newest record."""
    shelf = manager.store.shelve(client[1])
    assert shelf is not None
    lines, numbers = manager.hear()
    assert lines == ["FDSTORE=1", f"FDNAME={shelf.name}"]
    stored_socket, stored_file = numbers
    assert os.path.sameopenfile(stored_socket, client[1].fileno())
    shelf.write(1, b"later")
    assert os.pread(stored_file, 5, SLOT) == b"later"
    shelf.clear()
    assert manager.hear()[0] == ["FDSTOREREMOVE=1", f"FDNAME={shelf.name}"]
    for number in numbers:
        os.close(number)


def test_names_are_such_as_systemd_takes(manager: Manager, client: tuple[socket.socket, socket.socket]) -> None:
    """Printable, no colon, at most 255 characters (fdname_is_valid); and no two are the same."""
    shelves = [manager.store.shelve(client[1]) for _ in range(2)]
    names = {shelf.name for shelf in shelves if shelf is not None}
    assert len(names) == 2
    assert all(name.isascii() and name.isprintable() and ":" not in name and len(name) < 256 for name in names)
    for shelf in shelves:
        assert shelf is not None
        for number in manager.hear()[1]:
            os.close(number)
        shelf.close()


def test_without_a_manager_nothing_is_kept(client: tuple[socket.socket, socket.socket]) -> None:
    store = Store(Notify(""), Inherited())
    assert not store.there
    assert store.shelve(client[1]) is None


def test_a_session_is_taken_up(
    client: tuple[socket.socket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the younger slot, in whatever order the two descriptors come; the connection is the same one."""
    young = encode(Parked(Shadow(untold="young")), 8)
    file = record(tmp_path, encode(Parked(Shadow(untold="old")), 7), young)
    given = passed(monkeypatch, (file, NAME), (os.dup(client[1].fileno()), NAME))
    (kept,) = given.sessions
    assert kept.parked.shadow.untold == "young"
    assert kept.port == client[1].getsockname()[1]
    kept.sock.sendall(b"on")
    assert client[0].recv(2) == b"on"
    kept.close()


@pytest.mark.parametrize("slots", [(), (b"",), (b"junk", b"more junk"), (encode(Parked(Shadow()), 1)[:-3],)])
def test_a_record_that_is_none_gives_the_session_up(
    slots: tuple[bytes, ...], client: tuple[socket.socket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = passed(monkeypatch, (os.dup(client[1].fileno()), NAME), (record(tmp_path, *slots), NAME))
    assert given.sessions == ()
    assert [name for name, _ in given.broken] == [NAME]


def test_a_session_whose_other_half_is_gone_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager lets go of a connection that was closed; its record alone is no session."""
    given = passed(monkeypatch, (record(tmp_path, encode(Parked(Shadow()), 1)), NAME))
    assert given.broken == ((NAME, "its connection has ended"),)


def test_everything_else_is_a_listener_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    given = passed(monkeypatch, (listening.detach(), "ocdsup.listen.1"))
    assert (given.sessions, given.broken, given.telnets) == ((), (), ())
    assert [(one.address, one.stored, one.unit) for one in given.listeners.all()] == [
        (f"127.0.0.1:{port}", "ocdsup.listen.1", False)
    ]
    given.listeners.close()


def test_a_proxy_goes_through_the_store_unchanged() -> None:
    """What is tested of records in rsp holds for the slots here: both have room for one."""
    assert len(encode(Parked(Proxy().shadow), 1)) < SLOT


def test_a_console_connection_is_taken_up(
    manager: Manager, client: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One descriptor under a name of its own; one that has ended is none."""
    name = manager.store.keep_telnet(client[1])
    lines, (number,) = manager.hear()
    assert lines == ["FDSTORE=1", f"FDNAME={name}"]
    (kept,) = passed(monkeypatch, (number, name)).telnets
    assert (kept.name, kept.port) == (name, client[1].getsockname()[1])
    kept.sock.close()
    given = passed(monkeypatch, (os.dup(manager.sock.fileno()), name))
    assert (given.telnets, [broken for broken, _ in given.broken]) == ((), [name])


async def test_what_the_manager_was_told_is_waited_for(tmp_path: Path) -> None:
    """It closes the descriptor of a barrier when everything before it is done: only then is a port really free."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        store = Store(Notify(str(tmp_path / "notify")), Inherited())
        store.drop("ocdsup.listen.3333")
        written = asyncio.create_task(store.written())
        await asyncio.sleep(0)
        assert manager.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=ocdsup.listen.3333"
        data, numbers, _, _ = await asyncio.to_thread(socket.recv_fds, manager, 4096, 4)
        assert (data, len(numbers), written.done()) == (b"BARRIER=1", 1, False)
        os.close(numbers[0])
        async with asyncio.timeout(20):
            await written


async def test_a_manager_that_does_not_read_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fd_store, "BARRIER_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        await Store(Notify(str(tmp_path / "notify")), Inherited()).written()
        assert manager.recv(4096) == b"BARRIER=1"
    await Store(Notify(""), Inherited()).written()
