"""What the service manager is told, and what of a board's text it is not."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.runtime.systemd import LONGEST, Notify


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager that listens, and the address it gives to its services."""
    address = f"{tmp_path}/notify" if request.param == "path" else f"@ocdsup-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sock.setblocking(False)
        yield sock, address


def heard(sock: socket.socket) -> list[bytes]:
    """Return every datagram that has come."""
    found = []
    try:
        while True:
            found.append(sock.recv(65536))
    except BlockingIOError:
        return found


def test_the_manager_named_by_the_environment_is_told(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assignments of one call come in one datagram (sd_notify(3))."""
    sock, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notify().send("READY=1", "STATUS=up")
    assert heard(sock) == [b"READY=1\nSTATUS=up"]


def test_the_status_is_sent_when_it_changed(manager: tuple[socket.socket, str]) -> None:
    """The same text again costs nothing."""
    sock, address = manager
    notify = Notify(address)
    for text in ("1 of 1 benches usable", "1 of 1 benches usable", "0 of 1 benches usable"):
        notify.status(text)
    assert heard(sock) == [b"STATUS=1 of 1 benches usable", b"STATUS=0 of 1 benches usable"]


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x1b", "\u2028", "\udcff"])
def test_no_text_can_forge_an_assignment_or_make_the_manager_drop_it(
    manager: tuple[socket.socket, str], character: str
) -> None:
    """A newline would begin a new assignment; a NUL makes systemd drop the datagram."""
    sock, address = manager
    Notify(address).status(f"board says{character}MAINPID=1")
    assert heard(sock) == [b"STATUS=board says MAINPID=1"]


def test_a_long_text_stays_below_what_the_manager_takes(manager: tuple[socket.socket, str]) -> None:
    """systemd reads 4096 bytes of a datagram and drops longer ones, in UTF-8."""
    sock, address = manager
    Notify(address).send(f"STATUS={'ü' * 100_000}", "READY=1")
    (message,) = heard(sock)
    assert LONGEST < len(message) < 4096
    assert message.endswith(b"\nREADY=1")


@pytest.mark.parametrize("address", ["/nowhere/notify", "@ocdsup-nobody-listens", "x" * 1000, "relative"])
def test_a_manager_that_is_not_there_harms_nobody(address: str) -> None:
    """No listener, no such path, a name too long: every call returns, and says that nobody took it."""
    notify = Notify(address)
    assert not notify.send("READY=1")
    notify.status("up")
    assert not notify.send("STOPPING=1")


def test_without_the_variable_every_call_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon in a terminal has no manager."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    opened: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *how: opened.append(how))
    for notify in (Notify(), Notify("")):
        assert notify.send("READY=1"), "there is nobody to say it again to"
        notify.status("up")
    assert opened == []


def test_a_manager_that_hangs_does_not_hang_the_daemon(manager: tuple[socket.socket, str]) -> None:
    """When its queue is full, what does not fit is lost; the calls return."""
    sock, address = manager
    notify = Notify(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        target = address.replace("@", "\0", 1) if address.startswith("@") else address
        with pytest.raises(BlockingIOError):
            _fill(filler, target)
        notify.send("READY=1")
    assert b"READY=1" not in heard(sock)


def _fill(sock: socket.socket, target: str) -> None:
    while True:
        sock.sendto(b"x", target)
