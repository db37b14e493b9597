"""The framing of the stlink-server protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.sim import protocol
from ocdsup.sim.protocol import Framer, JunkError, Request

COMMAND = bytes(range(16))


def usb(direction: int, size: int, data: bytes = b"") -> bytes:
    return b"\x05\0\0\0" + (9).to_bytes(4, "little") + COMMAND + bytes((direction, 0, 0, 0)) + size.to_bytes(4, "little") + data


EVERY = [
    (b"\x06\x01\0\0", Request(protocol.SERVER_VERSION)),
    (b"\x00\x00", Request(protocol.REFRESH)),
    (b"\x01", Request(protocol.COUNT)),
    (b"\x02\x03\0\0\x29\0\0\0", Request(protocol.INFO, 3)),
    (b"\x03\0\0\0\x07\0\0\0", Request(protocol.OPEN, 7)),
    (b"\x04\0\0\0\x08\0\0\0", Request(protocol.CLOSE, 8)),
    (usb(1, 12), Request(protocol.USB, 9, COMMAND, b"", 12)),
    (usb(0, 3, b"abc"), Request(protocol.USB, 9, COMMAND, b"abc", 0)),
]


@pytest.mark.parametrize(("raw", "request_"), EVERY)
def test_every_request_is_understood(raw: bytes, request_: Request) -> None:
    assert Framer().feed(raw) == [request_]


@given(st.lists(st.sampled_from(EVERY), max_size=12), st.data())
def test_requests_come_out_the_same_however_the_stream_is_cut(every: list[tuple[bytes, Request]], data: st.DataObject) -> None:
    stream, framer, found = b"".join(raw for raw, _ in every), Framer(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [request for _, request in every]


@pytest.mark.parametrize("raw", [b"\x07", b"GET / HTTP/1.1\r\n", b"\xff" * 100, usb(0, protocol.LARGEST + 1), usb(1, 1 << 31)])
def test_junk_is_told_apart(raw: bytes) -> None:
    with pytest.raises(JunkError):
        Framer().feed(raw)


@given(st.binary(max_size=200))
def test_random_bytes_end_in_requests_or_junk(raw: bytes) -> None:
    try:
        for request in Framer().feed(raw):
            assert request.size <= protocol.LARGEST
    except JunkError:
        pass


def test_the_version_says_api_2() -> None:
    """From API 3 on OpenOCD would send RW_MISC commands."""
    assert protocol.version_reply()[:4] == (2).to_bytes(4, "little")
    assert len(protocol.version_reply()) == 16


def test_the_info_is_45_bytes_with_the_serial_in_32() -> None:
    reply = protocol.info_reply(1, "ABC", 0x483, 0x374B, used=True)
    assert len(reply) == 45
    assert (reply[8:12], reply[40:]) == (b"ABC\0", b"\x83\x04\x4b\x37\x01")
    assert len(protocol.info_reply(1, "é" * 40, 1, 2, used=False)) == 45


@pytest.mark.parametrize(
    ("request_", "length"),
    [(Request(protocol.USB, 1, b"", b"", 88), 92), (Request(protocol.INFO), 45), (Request(protocol.OPEN), 8)],
)
def test_a_failure_is_as_long_as_the_answer_expected(request_: Request, length: int) -> None:
    """OpenOCD waits for every byte it asked for."""
    reply = protocol.failure(request_, 0x1003)
    assert (len(reply), reply[:2]) == (length, b"\x03\x10")
