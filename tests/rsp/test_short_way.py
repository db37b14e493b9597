"""Memory reads take a short way through the proxy, with the same effect as the long one; every playbook here uses it too."""

from collections.abc import Callable

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.policy import Policy
from tests.rsp.debug_bench import Bench, attached

READ = encode(b"m20000000,4")


def test_a_read_and_its_answer_take_the_short_way() -> None:
    bench = attached()
    before = bench.short_ways
    assert bench.ask(b"m20000000,4") == b"00010203"
    assert bench.short_ways - before == 2


def test_a_read_on_the_short_way_is_asked_again_when_openocd_is_lost() -> None:
    bench = attached()
    bench.send(b"m20000000,4")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.answer() == b"00010203"


def test_a_read_on_the_short_way_is_answered_in_time_when_openocd_is_silent() -> None:
    bench = attached()
    bench.send(b"m20000000,4")
    bench.up.clear()
    bench.advance(bench.policy.answer_within)
    assert bench.answer() == b"E01"


def test_a_late_answer_does_not_take_the_short_way() -> None:
    bench = attached()
    bench.send(b"m20000000,4")
    bench.advance(bench.policy.answer_within)
    assert bench.answer() == b"E01"
    bench.settle()  # an answer that GDB did not wait for would raise


@pytest.mark.parametrize(
    "data",
    [
        READ[:-1],
        READ + READ,
        b"+" + READ,
        encode(b"m20000000,10000"),  # as much as five digits can say is for `guard` to judge
        encode(b"m20000000"),
        encode(b"M20000000,1:00"),
        encode(b"p0"),
    ],
)
def test_whatever_is_not_one_whole_small_read_goes_the_long_way(data: bytes) -> None:
    assert not attached().proxy.takes_read(data, 100.0)


def _before_the_attach() -> Bench:
    bench = Bench()
    bench.start()
    return bench


def _away() -> Bench:
    bench = attached()
    bench.kill()
    return bench


def _running() -> Bench:
    bench = attached()
    bench.resume()
    return bench


def _one_is_asked() -> Bench:
    bench = attached()
    bench.send(b"m20000000,4")
    return bench


@pytest.mark.parametrize("make", [_before_the_attach, _away, _running, _one_is_asked, lambda: attached(Policy(cache=True))])
def test_when_more_than_the_read_must_be_thought_of_it_goes_the_long_way(make: Callable[[], Bench]) -> None:
    assert not make().proxy.takes_read(READ, 100.0)
