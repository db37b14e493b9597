"""The short way through the proxy: the same effect as the long one. `debug_bench` compares the two in every playbook here."""

from collections.abc import Callable

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import HALTED, RUNNING, ToBackend
from ocdsup.rsp.packets import name
from ocdsup.rsp.policy import TRANSPARENT, BackendUp, Policy
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.session import Held
from ocdsup.rsp.shortcut import Shortcut
from tests.rsp.debug_bench import Bench, attached

READ = encode(b"m20000000,4")
HARD, SOFT = b"1,8000100,2", b"0,2000000c,2"


def way(bench: Bench) -> Shortcut:
    """The open short way of a bench."""
    short = bench.proxy.shortcut()
    assert short is not None
    return short


@pytest.mark.parametrize(
    "body",
    [
        b"m20000000,4",
        b"g",
        b"p1",
        b"P1=00000000",
        b"M20000028,1:00",
        b"X20000028,2:ab",
        b"Z" + HARD,
        b"z" + HARD,
        b"qXfer:threads:read::0,1000",
    ],
)
def test_what_a_debugger_sends_most_takes_the_short_way_with_its_answer(body: bytes) -> None:
    bench = attached()
    before = bench.short_ways
    bench.ask(body)
    assert bench.short_ways - before == 2


def test_a_resume_and_its_stop_take_the_short_way_and_are_told() -> None:
    bench = attached()
    before = bench.short_ways
    bench.resume(b"vCont;c")
    bench.hit()
    bench.settle()
    assert bench.stops == [b"T05"]
    assert bench.short_ways - before == 2
    assert bench.notices[-2:] == [RUNNING, HALTED]


def test_of_a_list_of_threads_in_pieces_only_the_last_one_takes_the_short_way_back() -> None:
    """How far it was read is noted: a piece is asked for only when the one before it has come."""
    bench = attached()
    assert bench.process is not None
    bench.process.threads = b"<thread id='1'/>" * 4
    before = bench.short_ways
    assert bench.ask(b"qXfer:threads:read::0,30") == b"m" + b"<thread id='1'/>" * 3
    assert bench.short_ways - before == 1
    assert bench.ask(b"qXfer:threads:read::31,30") == b"E01"
    assert bench.ask(b"qXfer:threads:read::30,30") == b"l<thread id='1'/>"
    assert bench.ask(b"qXfer:threads:read::30,30") == b"E01"
    assert bench.short_ways - before == 1


def test_a_software_breakpoint_takes_the_short_way_once_the_ram_under_it_is_known() -> None:
    bench = attached()
    before = bench.short_ways
    assert bench.ask(b"Z" + SOFT) == b"OK"
    assert bench.short_ways == before
    assert bench.ask(b"Z" + SOFT) == b"OK"
    assert bench.short_ways - before == 2


@pytest.mark.parametrize("body", [b"Z" + SOFT, b"z5,0,2", b"p99"])
def test_what_was_refused_or_has_to_wait_is_looked_at_again_each_time(body: bytes) -> None:
    bench = attached()
    assert [way(bench).request(encode(body), 100.0) for _ in range(2)] == [None, None]


def test_a_software_breakpoint_that_was_known_goes_the_long_way_when_the_ram_under_it_is_forgotten() -> None:
    bench = attached()
    for body in (b"Z", b"Z", b"z"):
        assert bench.ask(body + SOFT) == b"OK"
    assert way(bench).request(encode(b"Z" + SOFT), 100.0) is None


def test_only_so_many_requests_are_known_by_heart() -> None:
    bench = attached()
    sizes = []
    for address in range(0x8000000, 0x8000400, 2):
        bench.ask(b"z1,%x,2" % address)
        assert encode(b"z1,%x,2" % address) in way(bench)._known
        sizes.append(len(way(bench)._known))
    assert max(sizes) == 256


def test_a_read_on_the_short_way_is_asked_again_when_openocd_is_lost() -> None:
    bench = attached()
    bench.send(b"m20000000,4")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.answer() == b"00010203"


def test_a_request_on_the_short_way_is_answered_in_time_when_openocd_is_silent() -> None:
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
        encode(b""),
        encode(b"m20000000,200000"),
        encode(b"m20000000"),
        encode(b"M20000000,2:00"),
        encode(b"X20000000,2:a"),
        encode(b"X20000000,4001:" + b"a" * 0x4001),
        encode(b"p99"),
        encode(b"P99=00"),
        encode(b"Z5,0,2"),
        encode(b"Z" + SOFT),
        encode(b"?"),
        encode(b"Hg0"),
        encode(b"D"),
        encode(b"k"),
        encode(b"c"),
        encode(b"vCont?"),
        encode(b"vRun;"),
        encode(b"vFlashDone"),
        encode(b"qRcmd,7265736574"),
        encode(b"qXfer:features:read:target.xml:0,ffb"),
        encode(b"QNonStop:1"),
    ],
)
def test_what_changes_more_than_itself_or_could_harm_openocd_goes_the_long_way(data: bytes) -> None:
    assert way(attached()).request(data, 100.0) is None


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"$0011#82", True),
        (b"$E01#a6", True),
        (b"$OK#9a", True),
        (b"$#00", True),
        (b"$00", False),
        (b"$00#60$11#62", False),
        (b"$O41#d4", False),
        (b"+$00#60", False),
        (b"%oocd_keepalive:00#a6", False),
    ],
)
def test_only_one_whole_packet_for_what_is_awaited_takes_the_short_way_back(data: bytes, answer: bool) -> None:
    bench = attached()
    assert way(bench).reply(data) is None, "nothing is awaited"
    bench.send(b"m20000000,4")
    assert (way(bench).reply(data) is not None) is answer


def _running(body: bytes = b"vCont;c") -> Bench:
    bench = attached()
    bench.resume(body)
    return bench


@pytest.mark.parametrize("body", [b"T00", b"S00", b"W00", b"X09", b"O41", b"Fread,0", b"OK"])
def test_a_stop_that_must_be_looked_into_and_all_that_is_none_goes_the_long_way(body: bytes) -> None:
    assert way(_running()).reply(encode(body)) is None


def test_a_stop_right_after_openocd_lost_the_target_goes_the_long_way() -> None:
    bench = _running()
    bench.proxy._session.doubtful_until = 101.0
    assert way(bench).reply(encode(b"T05")) is None


def test_stops_take_the_short_way_again_after_one_that_could_be_believed() -> None:
    bench = _running()
    bench.proxy._session.doubtful_until = bench.now
    bench.hit()
    bench.settle()
    assert bench.stops == [b"T05"]
    before = bench.short_ways
    bench.resume(b"vCont;c")
    bench.hit()
    bench.settle()
    assert bench.short_ways - before == 2


def _before_the_attach() -> Bench:
    bench = Bench()
    bench.start()
    return bench


def _away() -> Bench:
    bench = attached()
    bench.kill()
    return bench


def _shared() -> Bench:
    bench = attached()
    bench.proxy.join()
    return bench


def _half_a_packet(bench: Bench) -> Bench:
    bench.carry(bench.proxy.client_bytes(READ[:4], bench.now))
    return bench


def _own_word() -> Bench:
    bench = attached()
    bench.send(b"qRcmd," + b"ocdsup status".hex().encode())
    return bench


def _in_a_dialogue() -> Bench:
    bench = attached()
    bench.ask(b"Z" + HARD)
    bench.carry(bench.proxy.reexamined(bench.now))
    return bench


CLOSED = [
    _before_the_attach,
    _away,
    _shared,
    _own_word,
    _in_a_dialogue,
    lambda: _half_a_packet(attached()),
    lambda: attached(Policy(cache=True)),
]


@pytest.mark.parametrize("make", CLOSED)
def test_the_short_way_is_closed_while_more_has_to_be_thought_of(make: Callable[[], Bench]) -> None:
    assert make().proxy.shortcut() is None


def _asked() -> Bench:
    bench = attached()
    bench.send(b"m20000000,4")
    return bench


@pytest.mark.parametrize("make", [_running, _asked])
def test_a_second_request_goes_the_long_way(make: Callable[[], Bench]) -> None:
    assert way(make()).request(READ, 100.0) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: setattr(bench.proxy.shadow, "stale", True),
        lambda bench: setattr(bench.proxy.shadow, "untold", "ocdsup: board was reset\n"),
        lambda bench: setattr(bench.proxy.shadow, "unsettled", b"X20000028,2:ab"),
        lambda bench: setattr(bench.proxy._session, "interrupted", True),
    ],
)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known by heart"])
def test_a_resume_before_which_something_is_due_goes_the_long_way(change: Callable[[Bench], None], known: bool) -> None:
    bench = attached()
    if known:
        bench.resume(b"vCont;s")
        bench.settle()
        assert encode(b"vCont;s") in way(bench)._known
    change(bench)
    short = bench.proxy.shortcut()
    assert short is None or short.request(encode(b"vCont;s"), 100.0) is None


@pytest.mark.parametrize(("flag", "value"), [("held", Held(b"", 101.0)), ("unsent", b"T05"), ("interrupted", True)])
def test_a_stop_in_place_of_which_another_may_be_true_goes_the_long_way(flag: str, value: object) -> None:
    bench = _running()
    setattr(bench.proxy._session, flag, value)
    assert bench.proxy.shortcut() is None


def _in_front(policy: Policy) -> Proxy:
    """A session with any GDB server, past the negotiation."""
    proxy = Proxy(policy)
    proxy.client_bytes(b"+" + encode(b"QStartNoAckMode"), 0.0)
    proxy.backend_ready(BackendUp(), 0.0)
    proxy.backend_bytes(b"+" + encode(b"OK"), 0.0)
    proxy.client_bytes(b"+", 0.0)
    return proxy


def test_in_front_of_any_server_the_same_packets_take_it_whatever_openocd_would_mind() -> None:
    proxy = _in_front(TRANSPARENT)
    short = proxy.shortcut()
    assert short is not None
    assert short.request(encode(b"p99"), 0.0) == ()
    assert short.reply(encode(b"00")) == ()
    assert short.request(encode(b"vCont;s:p1.1"), 0.0) == (RUNNING,)
    assert short.reply(encode(b"T00")) == (HALTED,)


def test_in_front_of_any_server_points_are_believed_and_a_long_write_is_not_kept() -> None:
    proxy = _in_front(TRANSPARENT)
    short = proxy.shortcut()
    assert short is not None
    for _ in range(2):  # the second time it is known by heart
        for body, left in ((b"Z" + SOFT, 1), (b"z" + SOFT, 0)):
            assert short.request(encode(body), 0.0) == ()
            assert short.reply(encode(b"OK")) == ()
            assert len(proxy.shadow.points) == left
    assert short.request(encode(b"X20000000,4000:" + b"a" * 0x4000), 0.0) == ()
    assert short.reply(encode(b"OK")) == ()
    assert proxy.shadow.unsettled is None


def test_all_is_looked_at_in_non_stop_mode() -> None:
    proxy = _in_front(TRANSPARENT)
    proxy.client_bytes(encode(b"QNonStop:1"), 0.0)
    proxy.backend_bytes(encode(b"OK"), 0.0)
    assert proxy.shortcut() is None


def test_only_the_answer_to_a_memory_read_is_reading() -> None:
    bench = attached()
    assert not way(bench).reading
    bench.send(b"m20000000,4")
    assert way(bench).reading
    bench.settle()
    bench.send(b"g")
    assert not way(bench).reading


def test_the_rows_of_the_short_way_are_those_that_are_answered_once() -> None:
    """A row that is answered by a stop, or by text first, would wait for the wrong packet."""
    for body in (b"m", b"g", b"p", b"M", b"X", b"G", b"P", b"z", b"Z", b"qXfer:threads:"):
        assert name(body).answer.value == "one"


def test_nothing_is_noted_of_what_goes_the_long_way() -> None:
    bench = attached()
    assert way(bench).request(encode(b"p99"), 100.0) is None
    assert bench.proxy.client_bytes(READ, 100.0) == [ToBackend(READ)]
