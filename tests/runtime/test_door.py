"""Strangers are turned away before a byte of theirs is read; loopback and the networks of `allow` get in."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import pytest

from ocdsup.runtime.door import REMEMBERED, Door, behind_doors
from ocdsup.runtime.listeners import bind_all


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def door(told: list[str]) -> Iterator[Door]:
    (sock,) = behind_doors(bind_all(["127.0.0.1"], 0), ["192.168.7.0/24", "fd00::/8"], told.append)
    assert isinstance(sock, Door)
    with sock:
        yield sock


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.7.9", True),
        ("192.168.8.9", False),
        ("10.0.0.1", False),
        ("fd12::1", True),
        ("fe80::1", False),
        ("2001:db8::1", False),
    ],
)
def test_only_loopback_and_what_is_allowed_gets_in(door: Door, address: str, admitted: bool) -> None:
    assert door.admits(address) is admitted


def test_a_guest_is_accepted(door: Door) -> None:
    with socket.create_connection(door.getsockname()) as guest:
        sock, address = door.accept()
        assert address == sock.getpeername() == guest.getsockname()
        sock.close()


def test_a_stranger_is_cut_and_told_once(door: Door, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For the listener it is a connection that was aborted; the log has the address once."""
    monkeypatch.setattr(Door, "admits", lambda _self, _address: False)
    for _ in range(2):
        with socket.create_connection(door.getsockname()) as client:
            with pytest.raises(ConnectionAbortedError):
                door.accept()
            client.settimeout(10)
            assert client.recv(1) == b""
    assert told == ["127.0.0.1"]


def test_a_scan_does_not_fill_the_log(door: Door, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = (str(address) for address in ipaddress.ip_network("10.1.0.0/16"))
    monkeypatch.setattr(socket.socket, "accept", lambda _self: (socket.socket(), (next(strangers), 1)))
    for _ in range(2 * REMEMBERED):
        with pytest.raises(ConnectionAbortedError):
            door.accept()
    assert len(told) == REMEMBERED


def test_without_allow_only_loopback_gets_in() -> None:
    """`allow` is empty for loopback binds; a wider bind without it is refused by the configuration."""
    told: list[str] = []
    (sock,) = behind_doors(bind_all(["127.0.0.1"], 0), (), told.append)
    assert isinstance(sock, Door)
    with sock:
        assert sock.admits("127.0.0.1")
        assert not sock.admits("192.168.7.9")
