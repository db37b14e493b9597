"""What is stored of a running OpenOCD, and that anything but one to the letter is ended."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ocdsup.rsp.parked import RecordError
from ocdsup.runtime.adoption import NAME, VERSION, Adoption, Held, Orphan, Record, decode, encode, sorted_out
from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.systemd import Notify

START = ("openocd", "-f", "a.cfg")
RECORD = Record(4711, START, (*START, "-c", "init"), ("cpu",), (4000,), ("cpu",), None, 4002)


class Child:
    """A program on a pty, with the descriptors that a daemon stores for it."""

    def __init__(self) -> None:
        self.pty, slave = pty.openpty()
        self.process = subprocess.Popen(["sleep", "1000"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.record = replace(RECORD, pid=self.process.pid)

    def stored(self, record: bytes | None = None) -> list[int]:
        """Duplicates, as the manager passes them on, in an order of its own."""
        file = os.memfd_create("record")
        os.write(file, record if record is not None else encode(self.record))
        return [file, os.dup(self.pidfd), os.dup(self.pty)]

    def ended(self) -> int:
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.pty)
        os.close(self.pidfd)


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


def test_a_record_comes_back_as_it_was() -> None:
    assert decode(encode(RECORD)) == RECORD
    assert decode(encode(replace(RECORD, telnet=7, targets=()))) == replace(RECORD, telnet=7, targets=())


def changed(**changes: object) -> bytes:
    return json.dumps({**json.loads(encode(RECORD)), **changes}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        b"[]",
        b"[" * 100_000,
        changed(version=VERSION + 1),
        changed(more=1),
        changed(pid="4711"),
        changed(pid=0),
        changed(pid=True),
        changed(gdb=[None]),
        changed(telnet="x"),
        changed(argv=[1]),
        changed(targets=None),
        json.dumps({"version": VERSION}).encode(),
    ],
)
def test_anything_else_is_no_record(data: bytes) -> None:
    """Another version, a field more or less, a type that is not right, a damaged one."""
    with pytest.raises(RecordError):
        decode(data)


def test_a_living_one_is_found_whatever_the_order(child: Child) -> None:
    orphan = sorted_out(child.stored())
    assert orphan.record == child.record
    assert os.isatty(orphan.held.pty)
    orphan.held.close()
    assert child.process.poll() is None


def test_one_without_a_good_record_is_killed(child: Child) -> None:
    """It would hold the probe against the next one."""
    with pytest.raises(RecordError):
        sorted_out(child.stored(b"junk"))
    assert child.ended() == -signal.SIGKILL


def test_one_that_has_ended_is_none(child: Child) -> None:
    child.process.kill()
    child.ended()
    with pytest.raises(RecordError, match="has ended"):
        sorted_out(child.stored())


def test_a_terminal_that_the_manager_let_go_of_is_an_end(child: Child) -> None:
    file, pidfd, terminal = child.stored()
    os.close(terminal)
    with pytest.raises(RecordError, match="has ended"):
        sorted_out([file, pidfd])
    assert child.ended() == -signal.SIGKILL


def test_one_that_we_would_start_differently_is_ended(child: Child) -> None:
    adoption = Adoption("one", Store(Notify(""), Inherited()), sorted_out(child.stored()))
    assert adoption.take(("openocd", "-f", "b.cfg")) is None
    assert child.ended() == -signal.SIGKILL


def test_one_that_fits_is_taken_once(child: Child) -> None:
    adoption = Adoption("one", Store(Notify(""), Inherited()), sorted_out(child.stored()))
    orphan = adoption.take(RECORD.start)
    assert isinstance(orphan, Orphan)
    assert adoption.take(RECORD.start) is None
    orphan.held.close()


def test_one_that_is_not_wanted_is_ended(child: Child) -> None:
    Adoption("one", Store(Notify(""), Inherited()), sorted_out(child.stored())).refuse()
    assert child.ended() == -signal.SIGKILL


def test_what_is_stored_can_be_taken_up(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three descriptors under the name of the bench; what was there before goes first."""
    told: list[tuple[str, str, tuple[int, ...]]] = []

    def send(_notify: Notify, *lines: str, descriptors: tuple[int, ...] = ()) -> None:
        told.append((lines[0], lines[1], tuple(map(os.dup, descriptors))))

    monkeypatch.setattr(Notify, "send", send)
    adoption = Adoption("one", Store(Notify(""), Inherited()), None)
    held = Held(child.process.pid, child.pty, child.pidfd)
    adoption.keep(held, child.record)
    adoption.drop()
    adoption.drop()
    (verb, name, numbers), (dropped, _, _) = told
    assert (verb, name, dropped) == ("FDSTORE=1", f"FDNAME={NAME}one", "FDSTOREREMOVE=1")
    orphan = sorted_out(numbers)
    assert orphan.record == child.record
    orphan.held.close()
