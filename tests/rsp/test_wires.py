"""Acknowledgements and retransmission: each leg on its own, only whole packets."""

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import News, Notice, ToBackend, ToClient
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.wires import MEMORY, Ask, BackendWire
from tests.rsp.debug_bench import Bench, attached


def test_half_a_packet_stays_here() -> None:
    """Only whole packets are written to the backend, one per write."""
    bench = attached()
    raw = encode(b"m20000000,4")
    outputs = [bench.proxy.client_bytes(raw[at : at + 1], bench.now) for at in range(len(raw))]
    assert outputs == [[]] * (len(raw) - 1) + [[ToBackend(raw)]]


def test_a_damaged_packet_is_asked_for_again() -> None:
    """With acknowledgements a wrong checksum gives `-`, and nothing reaches the backend."""
    proxy = Proxy()
    assert proxy.client_bytes(b"+$qSupported#00", 0.0) == [ToClient(b"-"), Notice(News.SESSION)]


def test_gdbs_nack_brings_the_reply_again() -> None:
    """A reply that GDB could not read is sent again with the right checksum."""
    bench = Bench()
    bench.start()
    bench.settle()
    bench.ask(b"vMustReplyEmpty")
    assert bench.proxy.client_bytes(b"-", bench.now) == [ToClient(b"$#00")]


@pytest.mark.parametrize(
    ("data", "short"),
    [
        (b"$0011#82", True),
        (b"$E01#a6", True),
        (b"$00", False),
        (b"$00#60$11#62", False),
        (b"$O41#d4", False),
        (b"+$00#60", False),
    ],
)
def test_only_a_whole_packet_for_the_read_that_is_awaited_takes_the_short_way(data: bytes, short: bool) -> None:
    wire = BackendWire(1024, acks=False)
    assert not wire.answers_read(data), "nothing is awaited"
    wire.waiting.append(Ask(MEMORY, b"m0,2", b"$m0,2#00", 0.0))
    assert wire.answers_read(data) is short
    wire.waiting[0].abandoned = True
    assert not wire.answers_read(data), "GDB has been given an error for it"
