"""What a killed process leaves behind is counted to the byte; what is missing is found, or the session is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ocdsup.rsp.parked import Parked, RecordError
from ocdsup.rsp.shadow import Shadow
from ocdsup.runtime.account import Balance, Moved, Page, balance, moved

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A debugger's end of a connection, and ours."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        two, _ = listening.accept()
    with one, two:
        yield one, two


@pytest.fixture
def file() -> Iterator[int]:
    """The file of a session."""
    number = os.memfd_create("session")
    yield number
    os.close(number)


def parked(taken: int = 0, given: int = 0, unsent: bytes = b"") -> Parked:
    return Parked(Shadow(), taken=taken, given=given, unsent=unsent)


def arrived(pair: Pair, data: bytes) -> None:
    """Everything is in our socket's queue."""
    pair[0].sendall(data)
    while len(pair[1].recv(len(data), socket.MSG_PEEK)) < len(data):
        pass


def read(pair: Pair, file: int, limit: int, at: int) -> bytes:
    """What a daemon does that is killed right after."""
    page = Page(file)
    try:
        return page.receive(pair[1], limit, at)
    finally:
        page.close()


def test_the_kernel_counts_what_was_read_and_written(pair: Pair) -> None:
    """Not what has come or has arrived: what the process has done."""
    arrived(pair, b"0123456789")
    pair[1].recv(4)
    pair[1].sendall(b"abc")
    assert moved(pair[1]) == Moved(4, 3)


def test_bytes_that_the_other_side_cannot_take_yet_count_as_written(pair: Pair) -> None:
    pair[1].setblocking(False)
    sent = 0
    try:
        while True:
            sent += pair[1].send(bytes(65536))
    except BlockingIOError:
        assert moved(pair[1]).given == sent


def test_the_end_of_the_connection_is_no_byte(pair: Pair) -> None:
    arrived(pair, b"D")
    pair[0].close()
    assert pair[1].recv(9) == b"D"
    assert pair[1].recv(9) == b""
    assert moved(pair[1]).taken == 1


def test_what_was_read_and_not_recorded_is_fresh(pair: Pair, file: int) -> None:
    """The process was killed between the read and the record: nothing came of it, and nothing is lost."""
    arrived(pair, b"$vCont;c#a8")
    assert read(pair, file, 99, 0) == b"$vCont;c#a8"
    assert balance(pair[1], file, parked(), 1) == Balance(Moved(0, 0), fresh=b"$vCont;c#a8")


def test_what_was_recorded_and_not_written_still_has_to_go(pair: Pair, file: int) -> None:
    """Killed between the record and the write, or in the middle of it."""
    pair[1].sendall(b"$o")
    assert balance(pair[1], file, parked(0, 6, b"$ok#9a"), 1).rest == b"k#9a"


def test_when_all_is_written_nothing_is_said_twice(pair: Pair, file: int) -> None:
    pair[1].sendall(b"$ok#9a")
    assert balance(pair[1], file, parked(0, 6, b"$ok#9a"), 1).rest == b""


def test_a_plain_read_that_was_answered_is_not_asked_again(pair: Pair, file: int) -> None:
    """Killed after the answer and before it was counted."""
    arrived(pair, b"$m0,4#fd")
    read(pair, file, 99, 0)
    pair[1].sendall(b"$00000000#80")
    assert balance(pair[1], file, parked(), 1) == Balance(Moved(8, 12))


def test_counts_are_of_one_record_only(pair: Pair, file: int) -> None:
    """Those of another generation belong to a record that was lost or is older."""
    page = Page(file)
    page.count(7, 8, 12)
    assert page.counted(parked(1, 2), 7) == Moved(8, 12)
    assert page.counted(parked(1, 2), 8) == Moved(1, 2)
    page.close()


def test_the_ring_goes_round(pair: Pair, file: int) -> None:
    """Byte n is at n modulo its size, also across its end, and in whatever portions it came."""
    position = 256 * 1024 - 3
    arrived(pair, b"abcdefgh")
    assert read(pair, file, 99, position) == b"abc"
    assert read(pair, file, 99, position + 3) == b"defgh"
    page = Page(file)
    assert page.since(position, position + 8) == b"abcdefgh"
    page.close()


@pytest.mark.parametrize(("taken", "given"), [(9, 0), (0, 9), (-1 << 20, 0)])
def test_bytes_that_cannot_be_accounted_for_end_the_session(pair: Pair, file: int, taken: int, given: int) -> None:
    """More recorded than was read, more recorded than is known to be sent, more read than the ring holds."""
    with pytest.raises(RecordError):
        balance(pair[1], file, parked(taken, given, b"12345"), 1)
