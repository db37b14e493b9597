"""Asking an ST-LINK server, which the test plays."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ocdsup.errors import ProbeError
from ocdsup.probes.selector import Absent, Found, ProbeSelector
from ocdsup.runtime import usb
from ocdsup.runtime.stlink_server import list_probes

SIZES = {6: 4, 0: 2, 1: 1, 2: 8}


class Server:
    """Answers the four questions byte by byte as ST's server does; `serials` with their use. None: never answers."""

    def __init__(self, serials: dict[bytes, int] | None, junk: bytes = b"") -> None:
        self.serials, self.junk = serials, junk
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.socket.accept()
                with link, contextlib.suppress(OSError):
                    self._talk(link)

    def _talk(self, link: socket.socket) -> None:
        while head := link.recv(1):
            rest = link.recv(SIZES[head[0]] - 1) if SIZES[head[0]] > 1 else b""
            if self.junk:
                link.sendall(self.junk)
                return
            if self.serials is not None:
                for byte in self._answer(head[0], rest):
                    link.sendall(bytes((byte,)))

    def _answer(self, operation: int, rest: bytes) -> bytes:
        assert self.serials is not None
        match operation:
            case 6:
                return struct.pack("<4I", 2, 1, 0, 0)
            case 0:
                return struct.pack("<I", 1)
            case 1:
                return struct.pack("<I", len(self.serials))
            case _:
                serial, used = list(self.serials.items())[rest[0]]
                return struct.pack("<II32sHHB", 1, 77, serial, 0x0483, 0x374B, used)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


@contextlib.contextmanager
def serving(serials: dict[bytes, int] | None, junk: bytes = b"") -> Iterator[str]:
    server = Server(serials, junk)
    try:
        yield server.name
    finally:
        server.close()


def test_probes_are_listed_with_serial_and_use() -> None:
    with serving({b"066B": 0, b"066C": 1}) as name:
        first, second = list_probes(name)
    assert [(p.vid_pid, p.serial, p.in_use, p.server) for p in (first, second)] == [
        ("0483:374b", "066B", False, name),
        ("0483:374b", "066C", True, name),
    ]


def test_a_bench_finds_its_probe_behind_the_server() -> None:
    with serving({b"066B": 0, b"066C": 0}) as name:
        found = usb.find(ProbeSelector(serial="066C", server=name))
        assert isinstance(found, Found)
        assert found.probe.serial == "066C"
        assert not isinstance(usb.find(ProbeSelector(server=name)), Found), "two fit"


def test_a_server_without_probes_means_the_probe_is_absent() -> None:
    with serving({}) as name:
        assert usb.find(ProbeSelector(server=name)) == Absent(f"no debug probe is behind {name}")


def test_no_server_means_the_probe_is_absent_and_the_reason_says_so() -> None:
    with serving({}) as name:
        pass
    absent = usb.find(ProbeSelector(server=name))
    assert isinstance(absent, Absent)
    assert "start the ST-LINK server" in absent.text


def test_a_server_that_never_answers_costs_the_limit_and_no_more() -> None:
    with serving(None) as name, pytest.raises(ProbeError, match=r"no answer within 0\.05 s"):
        list_probes(name, timeout_s=0.05)


@pytest.mark.parametrize("junk", [b"HTTP/1.0 400 Bad Request\r\n\r\nxxxxxxx", b"\xff" * 64, b"x"])
def test_a_server_of_another_kind_is_named_as_such(junk: bytes) -> None:
    with serving({}, junk) as name, pytest.raises(ProbeError, match=r"sense|closed"):
        list_probes(name)
