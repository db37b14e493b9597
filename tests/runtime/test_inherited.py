"""Sockets from systemd are found by their address, survive the daemon's own, and what is none of ours is closed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.runtime.door import behind_doors
from ocdsup.runtime.inherited import FIRST, LISTENER, Inherited, descriptors
from ocdsup.runtime.listeners import bind_all


def listening(family: int, address: str | tuple[str, int]) -> socket.socket:
    """A listener as a manager makes it."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind(address)
    sock.listen()
    return sock


def passed(sock: socket.socket) -> tuple[int, str]:
    """The number that the daemon is given, with its name; the manager keeps its own."""
    return os.dup(sock.fileno()), "ocdsup.socket"


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """A TCP listener on some port of 127.0.0.1."""
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        yield sock


def test_a_listener_is_found_by_address_and_port(manager: socket.socket) -> None:
    """Another port, or the same port on another address, is not it."""
    port = manager.getsockname()[1]
    inherited = Inherited([passed(manager)])
    try:
        assert inherited.tcp("127.0.0.1", port + 1) is None
        assert inherited.tcp("127.0.0.2", port) is None
        found = inherited.tcp("127.0.0.1", port)
        assert found is not None
        with found, socket.create_connection(("127.0.0.1", port)):
            found.setblocking(True)
            found.accept()[0].close()
    finally:
        inherited.close()


def test_one_address_has_many_spellings() -> None:
    """`0:0:0:0:0:0:0:1` in the configuration is the unit's `[::1]`."""
    with listening(socket.AF_INET6, ("::1", 0)) as sock:
        inherited = Inherited([passed(sock)])
        try:
            found = inherited.tcp("0:0:0:0:0:0:0:1", sock.getsockname()[1])
            assert found is not None
            found.close()
        finally:
            inherited.close()


def test_a_port_that_was_given_up_can_be_had_again(manager: socket.socket) -> None:
    """A reload that takes a bench away and gives it back: the manager still has the port, nobody could bind it."""
    port = manager.getsockname()[1]
    inherited = Inherited([passed(manager)])
    try:
        for _ in range(2):
            (sock,) = bind_all(["127.0.0.1"], port, inherited.tcp)
            assert sock.getsockname() == manager.getsockname()
            sock.close()
    finally:
        inherited.close()


def test_what_the_manager_lacks_is_opened_beside_it(manager: socket.socket) -> None:
    """A unit that knows only IPv4, a bench that binds both families."""
    port = manager.getsockname()[1]
    inherited = Inherited([passed(manager)])
    try:
        sockets = bind_all(["127.0.0.1", "::1"], port, inherited.tcp)
        assert [sock.getsockname()[:2] for sock in sockets] == [("127.0.0.1", port), ("::1", port)]
        for sock in sockets:
            sock.close()
    finally:
        inherited.close()


def test_a_control_socket_is_found_by_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    with listening(socket.AF_UNIX, path) as sock:
        inherited = Inherited([passed(sock)])
        try:
            assert inherited.unix(f"{path}x") is None
            found = inherited.unix(path)
            assert found is not None
            found.close()
        finally:
            inherited.close()


def test_it_is_known_who_listens_and_until_when(manager: socket.socket) -> None:
    """Also when the user has put its descriptor into another object, as a port with an `allow` does."""
    port = manager.getsockname()[1]
    inherited = Inherited([passed(manager)])
    try:
        (one,) = inherited.all()
        assert (one.address, one.unit, one.stored, one.used) == (f"127.0.0.1:{port}", True, "", ())
        found = inherited.tcp("127.0.0.1", port)
        assert found is not None
        (door,) = behind_doors([found], ["192.0.2.0/24"], print)
        assert list(one.used) == [door.fileno()]
        door.close()
        with open(os.devnull) as other:  # takes the number, as a rule
            assert not one.used, other.fileno()
    finally:
        inherited.close()


@pytest.mark.parametrize("names", [("ocdsup.socket", f"{LISTENER}1"), (f"{LISTENER}1", "ocdsup.socket")])
def test_one_socket_may_come_from_the_unit_and_from_the_store(manager: socket.socket, names: tuple[str, str]) -> None:
    inherited = Inherited([(os.dup(manager.fileno()), name) for name in names])
    try:
        (one,) = inherited.all()
        assert (one.unit, one.stored) == (True, f"{LISTENER}1")
    finally:
        inherited.close()


@pytest.mark.parametrize("kind", ["file", "pipe", "datagram", "connection"])
def test_what_is_no_listener_is_closed(kind: str, tmp_path: Path) -> None:
    """A unit with a wrong line must not cost a descriptor, nor the daemon."""
    keep: list[socket.socket] = []
    match kind:
        case "file":
            number = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
        case "pipe":
            number, other = os.pipe()
            os.close(other)
        case "datagram":
            number = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
        case _:
            one, two = socket.socketpair()
            number = one.detach()
            keep.append(two)
    inherited = Inherited([(number, "")])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert inherited.all() == ()
    for sock in keep:
        sock.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "{pid}", "LISTEN_FDS": "many"},
        {"LISTEN_PID": "{pid}", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "{pid}", "LISTEN_FDS": "0"},
    ],
)
def test_nothing_is_taken_that_was_not_meant_for_this_process(environment: dict[str, str]) -> None:
    """And the variables are gone in any case, so that no child believes them."""
    given = {name: value.format(pid=os.getpid()) for name, value in environment.items()} | {"HOME": "/"}
    assert descriptors(given, os.getpid()) == ()
    assert given == {"HOME": "/"}


def test_descriptors_have_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer names than descriptors leave the rest without; no child inherits them."""
    closed: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "set_inheritable", lambda number, on: closed.append((number, on)))
    given = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "gdb:telnet"}
    assert descriptors(given, 7) == ((FIRST, "gdb"), (FIRST + 1, "telnet"), (FIRST + 2, ""))
    assert closed == [(FIRST, False), (FIRST + 1, False), (FIRST + 2, False)]
