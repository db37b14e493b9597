"""Wherever a daemon is killed, the next one has every byte of the debugger's once, and every byte for it is said once."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import News, Notice, Output, ToClient
from ocdsup.rsp.parked import RecordError, resume
from ocdsup.rsp.proxy import Proxy
from ocdsup.runtime import fd_store, wire
from ocdsup.runtime.fd_store import Kept, Store, from_manager
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.ledger import Ledger
from ocdsup.runtime.systemd import Notify
from ocdsup.runtime.wire import Wire

SESSION = Notice(News.SESSION)
ASKED = encode(b"m20000000,4")


class Desk:
    """A debugger, a manager that keeps descriptors, and the daemon of the moment."""

    def __init__(self, folder: Path) -> None:
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._manager.setblocking(False)
        self.store = Store(Notify(str(folder / "notify")), Inherited())
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.gdb = socket.create_connection(listening.getsockname())
            self._sock, _ = listening.accept()
        self.proxy = Proxy()
        self.wire = Wire(self._sock, lambda _data: None, lambda _why: None)
        self.wire.pause()
        self.ledger = Ledger(self._sock, self.store)
        self._stored: tuple[int, ...] = ()

    def hear(self) -> str:
        """The first line of what the manager was told last; it keeps what came with it."""
        data, numbers, _, _ = socket.recv_fds(self._manager, 4096, 4)
        self._stored += tuple(numbers)
        return data.decode().partition("\n")[0]

    def begin(self) -> None:
        """The first packet made it a session."""
        self.turn(b"+", SESSION)
        assert self.hear() == "FDSTORE=1"

    def turn(self, said: bytes = b"", *outputs: Output, killed: bool = False) -> None:
        """GDB says something; it is read, recorded, and the answer goes out unless the daemon is `killed` before."""
        if said:
            self.gdb.sendall(said)
            while self.ledger.read(len(said)) != said:
                pass
            self.ledger.took(len(said))
        self.ledger.enter(list(outputs), self.proxy, self.wire)
        for output in outputs:
            if isinstance(output, ToClient) and not killed:
                self.wire.send(output.data)

    def next(self, monkeypatch: pytest.MonkeyPatch) -> Kept:
        """What the next daemon finds."""
        passed = [(os.dup(number), "ocdsup.gdb.1") for number in self._stored]
        monkeypatch.setattr(fd_store, "descriptors", lambda _environment, _pid: passed)
        given = from_manager({})
        assert given.broken == ()
        return given.sessions[0]

    def close(self) -> None:
        self.wire.abort()
        self.gdb.close()
        self._manager.close()
        for number in self._stored:
            os.close(number)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Everything is let go of at the end; what the manager held too."""
    made = Desk(tmp_path)
    yield made
    made.ledger.leave()
    made.close()


async def test_a_session_is_stored_with_its_first_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no moment in which the manager holds a session without one."""
    desk.begin()
    assert desk.ledger.kept
    kept = desk.next(monkeypatch)
    assert (kept.balance.noted.taken, kept.balance.fresh, kept.balance.rest) == (1, b"", b"")
    kept.close()


async def test_a_connection_that_has_not_spoken_is_not_stored(desk: Desk) -> None:
    desk.turn(b"", ToClient(b"+"))
    assert not desk.ledger.kept


async def test_what_was_read_last_is_there_for_the_next_daemon(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the read and the record; before, GDB waited in vain for the stop of its `continue`."""
    desk.begin()
    desk.gdb.sendall(b"$vCont;c#a8")
    assert desk.ledger.read(99) == b"$vCont;c#a8"
    kept = desk.next(monkeypatch)
    assert kept.balance.fresh == b"$vCont;c#a8"
    kept.close()


async def test_what_was_recorded_is_not_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has gone to OpenOCD may not go there twice."""
    desk.begin()
    desk.turn(b"$vFlashDone#ea")
    kept = desk.next(monkeypatch)
    assert kept.balance.fresh == b""
    kept.close()


async def test_an_answer_that_was_not_sent_is_sent_by_the_next_daemon(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.begin()
    desk.turn(ASKED, ToClient(b"+"))
    desk.turn(b"", ToClient(encode(b"01020304")), killed=True)
    kept = desk.next(monkeypatch)
    assert kept.balance.rest == encode(b"01020304")
    kept.close()


async def test_what_the_kernel_did_not_take_yet_is_on_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A debugger that reads slowly: the rest waits in this process, and would go with it."""
    desk.begin()
    while not desk.wire.backlog:
        desk.turn(b"", ToClient(b"x" * 4000))
    behind = desk.wire.backlog
    desk.turn(b"", ToClient(b"last"))
    kept = desk.next(monkeypatch)
    assert kept.balance.rest == b"x" * behind + b"last"
    kept.close()


async def test_a_plain_read_is_only_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before its answer it is asked again, and after it not."""
    desk.begin()
    desk.turn(b"+", Notice(News.JUNK))
    desk.gdb.sendall(ASKED)
    desk.ledger.read(99)
    desk.ledger.took(len(ASKED))
    kept = desk.next(monkeypatch)
    assert kept.balance.fresh == ASKED
    kept.close()
    desk.wire.send(b"$01#61")
    desk.ledger.passed(6, desk.proxy, desk.wire)
    kept = desk.next(monkeypatch)
    assert (kept.balance.fresh, kept.balance.rest, kept.balance.noted.given) == (b"", b"", 6)
    kept.close()


async def test_records_of_the_next_daemon_are_younger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also its very first one: else a second kill would bring back what was long past."""
    desk.begin()
    for _ in range(5):
        desk.turn(b"+", Notice(News.JUNK))
    kept = desk.next(monkeypatch)
    proxy, ledger = Proxy(), Ledger(kept.sock, desk.store, kept)
    resume(proxy, kept.parked, 0.0)
    proxy.shadow.untold = "of the second daemon"
    ledger.enter([SESSION], proxy, Wire(kept.sock, lambda _data: None, lambda _why: None))
    again = desk.next(monkeypatch)
    assert again.parked.shadow.untold == "of the second daemon"
    again.close()
    ledger.leave()
    kept.sock.close()


async def test_a_session_too_large_to_be_written_down_says_so(desk: Desk) -> None:
    """The caller then takes it out of the store: better no record than an old one."""
    desk.begin()
    desk.proxy.shadow.untold = "x" * (1 << 21)
    with pytest.raises(RecordError):
        desk.turn(b"", ToClient(b"+"), killed=True)
    desk.ledger.close()
    assert not desk.ledger.kept
    assert desk.hear() == "FDSTOREREMOVE=1"


async def test_a_session_that_was_left_stays_in_the_store(desk: Desk) -> None:
    desk.begin()
    assert desk.ledger.leave().startswith("ocdsup.gdb.")
    assert desk.ledger.leave() == ""
    with pytest.raises(BlockingIOError):
        desk.hear()


async def test_several_reads_that_are_not_recorded_are_all_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain read of memory, and behind it something else that came before the answer."""
    desk.begin()
    for said in (ASKED, b"\x03"):
        desk.gdb.sendall(said)
        assert desk.ledger.read(wire.READ) == said
        desk.ledger.took(len(said))
    kept = desk.next(monkeypatch)
    assert kept.balance.fresh == ASKED + b"\x03"
    kept.close()
