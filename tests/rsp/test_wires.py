"""Acknowledgements and retransmission: each leg on its own, only whole packets."""

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import ToBackend, ToClient
from ocdsup.rsp.proxy import Proxy
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
    assert proxy.client_bytes(b"+$qSupported#00", 0.0) == [ToClient(b"-")]


def test_gdbs_nack_brings_the_reply_again() -> None:
    """A reply that GDB could not read is sent again with the right checksum."""
    bench = Bench()
    bench.start()
    bench.settle()
    bench.ask(b"vMustReplyEmpty")
    assert bench.proxy.client_bytes(b"-", bench.now) == [ToClient(b"$#00")]
