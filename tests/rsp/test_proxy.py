"""The proxy: greetings, attach during an outage, resumes that wait, and the supervisor's own word."""

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.learned import Learned
from ocdsup.rsp.outputs import CloseClient, News, Notice, ToClient
from ocdsup.rsp.packets import monitor_request
from ocdsup.rsp.policy import Monitor, OnDetach, Policy
from ocdsup.rsp.proxy import Proxy
from tests.rsp.debug_bench import Bench, attached


def test_a_resume_during_an_outage_waits_for_the_backend() -> None:
    """GDB says continue while nobody is there: it continues as soon as somebody is."""
    bench = attached()
    bench.kill()
    bench.resume()
    bench.advance(60.0)
    bench.start()
    bench.settle()
    assert bench.board.running
    assert bench.stops == []


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("policy", list(Monitor))
def test_the_supervisor_answers_its_own_monitor_word(away: bool, policy: Monitor) -> None:
    """`monitor ocdsup status` is answered by the supervisor, with or without a backend, whatever the policy."""
    bench = attached(Policy(monitor=policy))
    if away:
        bench.kill()
    bench.send(monitor_request("ocdsup status"))
    (asked,) = [notice for notice in bench.notices if notice.news is News.ASKED]
    assert asked.text == "status"
    bench.carry(bench.proxy.own_answer(asked.id, "ready on :3333", bench.now))
    assert bench.answer() == b"OK"
    assert bench.console == "ready on :3333\n"


def test_a_silent_supervisor_does_not_hang_gdb() -> None:
    """Without a text in time the command ends by itself, and a late text is dropped."""
    bench = attached()
    assert bench.ask(monitor_request("ocdsup why")) == b"OK"
    (asked,) = [notice for notice in bench.notices if notice.news is News.ASKED]
    assert bench.proxy.own_answer(asked.id, "late", bench.now) == []


def test_an_attach_during_an_outage_goes_on_as_soon_as_openocd_is_there() -> None:
    """The first packets are answered from what is known; the rest waits a moment and is answered by OpenOCD."""
    learned = Learned()
    first = Bench(learned=learned)
    first.start()
    first.attach()
    second = Bench(board=first.board, learned=learned)
    second.carry(second.proxy.client_bytes(b"+", second.now))
    for body in (b"qSupported:xmlRegisters=i386", b"vMustReplyEmpty", b"QStartNoAckMode", b"!", b"Hg0"):
        second.ask(body)
    assert second.ask(b"qXfer:features:read:target.xml:0,ffb")[:1] == b"l"
    second.send(b"?")
    second.advance(2.0)
    second.start()
    second.settle()
    assert second.answer() == b"S05"
    assert second.process is not None
    assert {b"!", b"Hg0"} <= set(second.process.log)


def test_an_attach_during_an_outage_is_held_until_openocd_is_back() -> None:
    """GDB gives up after six silent seconds: it hears something every second, and then its answer."""
    bench = Bench()
    bench.carry(bench.proxy.backend_lost("the probe is unplugged", bench.now))
    bench.send(b"qSupported:multiprocess+")
    bench.advance(20.0)
    assert (bench.answer(), bench.notifications) == (None, [b"oocd_keepalive:00"] * 20)
    bench.start()
    bench.settle()
    assert b"PacketSize" in (bench.answer() or b"")


def test_an_attach_to_a_dead_target_of_a_living_openocd_ends_soon_with_the_reason() -> None:
    """Nobody restarts OpenOCD for it, so the usual half a minute would be waited in vain; GDB reads what is the matter."""
    bench = Bench()
    bench.carry(bench.proxy.target_silent("cpu1 does not answer", bench.now))
    bench.send(b"qSupported:multiprocess+")
    bench.advance(6.0)
    assert bench.answer() is not None
    assert len(bench.notifications) == Policy().answer_within
    bench.ask(b"?")
    assert bench.ask(b"g") == b"E.ocdsup: cpu1 does not answer"


def test_an_attach_to_a_dead_target_that_comes_back_meanwhile_goes_on() -> None:
    bench = Bench()
    bench.carry(bench.proxy.target_silent("cpu1 does not answer", bench.now))
    bench.send(b"qSupported:multiprocess+")
    bench.advance(3.0)
    bench.carry(bench.proxy.target_silent("", bench.now))
    bench.start()
    bench.settle()
    assert b"PacketSize" in (bench.answer() or b"")


def test_who_waits_for_a_stop_reads_that_his_target_is_dead_and_that_it_is_back() -> None:
    """It runs on: nothing stops it, and nothing is said to a GDB that waits for nothing."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.carry(bench.proxy.target_silent("cpu1 does not answer", bench.now))
    bench.advance(600.0)
    bench.carry(bench.proxy.target_silent("", bench.now))
    bench.start()
    bench.settle()
    assert bench.console.splitlines() == [
        "ocdsup: cpu1 does not answer",
        "ocdsup: the target answers again; it may have been started anew meanwhile",
    ]
    assert (bench.stops, bench.board.running) == ([], True)
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.console.count("answers again") == 1


def test_who_stands_at_a_dead_target_is_told_with_his_next_command() -> None:
    bench = attached()
    bench.kill()
    bench.carry(bench.proxy.target_silent("cpu1 does not answer", bench.now))
    assert bench.console == ""
    bench.send(monitor_request("halt"))
    bench.advance(5.0)
    assert (bench.answer(), bench.console) == (b"E01", "ocdsup: cpu1 does not answer\n")


@pytest.mark.parametrize("sent", [b"+", b"-", b"\x03", b"+\x03+", b"$qSupported#00"])
def test_what_is_no_packet_makes_no_session(sent: bytes) -> None:
    """A stray byte must not keep debuggers out for ever: its sender is cut like one that says nothing."""
    proxy = Proxy()
    proxy.client_open(0.0)
    outputs = [*proxy.client_bytes(sent, 0.1), *proxy.tick(5.0)]
    assert Notice(News.SESSION) not in outputs
    assert [type(output) for output in outputs][-1] is CloseClient


@pytest.mark.parametrize("running", [True, False])
def test_who_goes_before_the_attach_leaves_the_core_as_it_was(running: bool) -> None:
    """The core is halted for the attach; an abort in the middle of it must not leave the firmware standing."""
    bench = Bench()
    bench.board.running = running
    bench.send(b"qSupported:multiprocess+")
    bench.start()
    bench.settle()
    assert not bench.board.running
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert bench.board.running is running


def test_an_attach_to_an_openocd_that_is_busy_is_held_too() -> None:
    """Somebody's long command at its console keeps it from answering anybody."""
    bench = Bench()
    bench.start()
    bench.settle()
    bench.send(b"qSupported:multiprocess+")
    bench.advance(20.0)
    assert bench.answer() is None
    bench.settle()
    assert b"PacketSize" in (bench.answer() or b"")


def test_an_attach_during_a_long_outage_ends_with_a_clear_error() -> None:
    """GDB comes as far as its registers, whose error is the first that it prints; it does not wait for every packet anew."""
    bench = Bench()
    bench.carry(bench.proxy.backend_lost("the probe is unplugged", bench.now))
    began = bench.now
    assert (bench.attach(), bench.closed) == (b"S05", None)
    assert bench.ask(b"g") == b"E.ocdsup: OpenOCD is away (the probe is unplugged)"
    assert bench.closed == "OpenOCD is away (the probe is unplugged)"
    assert 30.0 <= bench.now - began < 31.1


def test_a_debugger_that_has_left_its_target_is_not_sent_away_by_an_outage() -> None:
    """Its connection (`extended-remote`) stays: only what it asks meanwhile fails."""
    bench = Bench()
    bench.start()
    bench.attach()
    assert bench.ask(b"D") == b"OK"
    bench.kill()
    assert bench.ask(b"qXfer:libraries:read::0,fff") == b"E01"
    bench.start()
    bench.settle()
    assert bench.closed is None


def test_a_resume_behind_an_unanswered_question_prints_nothing_before_the_answer() -> None:
    """A client that does not wait: console text would be taken for the answer to `?`."""
    out = Proxy().client_bytes(encode(b"?") + encode(b"c"), 0.0)
    assert not any(b"$O" in output.data for output in out if isinstance(output, ToClient))


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH\r\n", b"z" * 300]
)
def test_who_does_not_speak_gdb_is_sent_away_unseen_by_openocd(first: bytes) -> None:
    """Other protocols are closed at once and count as no session."""
    outputs = Proxy().client_bytes(first, 0.0)
    assert [type(output) for output in outputs] == [CloseClient]


def test_who_says_nothing_is_sent_away_without_a_session() -> None:
    """A silent connection is closed after five seconds and never causes a backend connection."""
    proxy = Proxy()
    proxy.client_open(0.0)
    assert proxy.next_deadline() == 5.0
    assert proxy.tick(5.0) == [CloseClient("nothing was said")]


@pytest.mark.parametrize(
    ("before", "then", "runs"), [(OnDetach.RESUME, OnDetach.HALT, False), (OnDetach.LEAVE, OnDetach.RESUME, True)]
)
def test_a_session_that_goes_on_ends_by_the_choices_of_the_moment(before: OnDetach, then: OnDetach, runs: bool) -> None:
    """The owner changes `on_detach` while GDB is there; a GDB that has gone already ends by what held then."""
    bench = attached(Policy(on_detach=before))
    assert bench.proxy.choose(Policy(on_detach=then), bench.now) == []
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.proxy.choose(Policy(on_detach=before), bench.now)
    bench.settle()
    assert bench.board.running is runs


def test_a_guest_stays_one_when_the_owner_chooses_anew() -> None:
    """It shares the core with another debugger: its end must not stop or start it."""
    bench = attached()
    bench.proxy.join()
    bench.proxy.choose(Policy(on_detach=OnDetach.RESUME, cache=True), bench.now)
    assert (bench.proxy.policy.on_detach, bench.proxy.policy.halt_on_attach) == (OnDetach.LEAVE, False)
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert not bench.board.running
