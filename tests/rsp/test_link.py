"""The backend's half: replies find their request, late ones are dropped, false stops are held, interrupts survive."""

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import News
from ocdsup.rsp.packets import monitor_request
from ocdsup.rsp.policy import OnDetach, Policy
from tests.rsp.debug_bench import Bench, attached
from tests.rsp.openocd_model import CrashedError, OpenOcd


def test_an_attach_reaches_openocd_without_acks_in_whole_packets() -> None:
    """The upstream speaks no-ack mode, whatever GDB does, and GDB sees OpenOCD's own answers."""
    bench = Bench()
    bench.start()
    assert bench.attach() == b"S05"
    assert bench.process is not None
    assert bench.process.log[0] == b"QStartNoAckMode"
    assert bench.process.log.count(b"QStartNoAckMode") == 1
    assert bench.news(News.SESSION) == [""]


def test_an_attached_session_holds_its_core_until_it_resumes_or_detaches() -> None:
    """Recovery leaves the core as its user has it, so the attach itself is news, and so is the end of the hold."""
    bench = Bench()
    bench.start()
    bench.attach()
    assert bench.news(News.HALTED) == [""]
    bench.resume()
    assert bench.news(News.RUNNING) == [""]
    bench.hit()
    bench.settle()
    assert len(bench.news(News.HALTED)) == 2
    assert bench.ask(b"D") == b"OK"
    assert len(bench.news(News.RUNNING)) == 2


@pytest.mark.parametrize("body", [b"vCont;", b"vCont;zz", b"vCont;r100,200", b"vCont;C5:1", b"C05", b"i", b"s!"])
def test_a_refused_resume_is_told_and_leaves_the_core_held(body: bytes) -> None:
    """No stop will follow: GDB may go on asking, and its end lets the core run as the policy says."""
    bench = attached()
    bench.resume(body)
    assert (bench.refusals, bench.running, bench.proxy.shadow.running) == ([b"E01" if body == b"s!" else b""], False, False)
    assert bench.news(News.RUNNING) == bench.news(News.HALTED)[1:]
    assert bench.ask(b"m20000000,4") == b"00010203"
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert bench.board.running


@pytest.mark.parametrize(("asked", "sent"), [(b"vCont;C05:1", b"vCont;c:1"), (b"vCont;S0b:1;C02", b"vCont;s:1;c")])
def test_a_signal_that_is_refused_is_left_out(asked: bytes, sent: bytes) -> None:
    """OpenOCD announces `vCont;C` and refuses it, and GDB would wait for ever: the program goes on without the signal."""
    bench = attached()
    bench.resume(asked)
    assert bench.process is not None
    assert bench.process.log[-2:] == [asked, sent]
    assert (bench.refusals, bench.proxy.shadow.running) == ([], sent.startswith(b"vCont;c"))
    assert "OpenOCD sends no signals" in bench.console


def test_a_core_that_was_let_go_stays_known_as_running_when_a_resume_is_refused() -> None:
    """`monitor resume`, then a resume that OpenOCD does not know: at the end the core is halted, as the policy says."""
    bench = attached(Policy(on_detach=OnDetach.HALT))
    bench.ask(monitor_request("resume"))
    bench.resume(b"C05")
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert not bench.board.running


def test_a_request_behind_a_resume_that_is_none_gets_its_own_answer() -> None:
    """A client that does not wait: the refusal is not taken for the answer to what it asks next."""
    bench = attached()
    bench.send(b"vCont;")
    assert bench.ask(b"m20000000,4") == b"00010203"


def test_a_step_gives_no_console_flood() -> None:
    """The line that OpenOCD prints for each step on HLA does not reach GDB's console."""
    bench = attached()
    bench.resume(b"vCont;s")
    assert (bench.stops, bench.console) == ([b"T05"], "")


def test_a_pending_read_is_answered_by_the_next_backend() -> None:
    """A query that died with its backend is asked again."""
    bench = attached()
    bench.send(b"m20000000,4")
    bench.kill()
    bench.advance(1.0)
    bench.start()
    bench.settle()
    assert bench.answer() == b"00010203"


def test_a_pending_read_is_an_error_after_four_seconds_and_never_later_than_that() -> None:
    """Without a backend GDB gets E01 in time, and nothing when the backend comes."""
    bench = attached()
    bench.send(b"m20000000,4")
    bench.kill()
    bench.advance(3.9)
    assert bench.answer() is None
    bench.advance(0.11)
    assert bench.answer() == b"E01"
    bench.start()
    bench.settle()
    assert bench.ask(b"m20000004,4") == b"04050607"


def test_a_late_reply_is_dropped() -> None:
    """A backend that hung for more than four seconds does not shift GDB's stream."""
    bench = attached()
    bench.send(b"m20000000,4")
    bench.advance(4.1)
    assert bench.answer() == b"E01"
    assert bench.ask(b"m20000004,4") == b"04050607"


def test_a_packet_that_two_backends_were_lost_over_is_not_sent_to_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """GDB gets an error at once, its user reads which packet it was, and what is asked then is asked of the third."""
    asked: list[bytes] = []
    packet = OpenOcd._packet

    def dies(self: OpenOcd, body: bytes) -> None:
        asked.append(body)
        if body == b"m2000000c,4":
            raise CrashedError
        packet(self, body)

    monkeypatch.setattr(OpenOcd, "_packet", dies)
    bench = attached()
    bench.send(b"m2000000c,4")
    bench.settle()
    assert bench.process is None
    assert bench.answer() is None
    bench.start()
    bench.settle()
    assert bench.process is None
    assert bench.answer() == b"E01"
    (told,) = bench.news(News.REFUSED)
    assert "lost twice over the packet m2000000c,4" in told
    bench.start()
    assert bench.ask(b"m20000000,4") == b"00010203"
    assert asked.count(b"m2000000c,4") == 2
    bench.resume()
    assert told in bench.console


def test_a_request_that_only_waited_is_not_blamed_for_the_loss() -> None:
    """While a new backend is prepared nothing of GDB is sent: it may die as often as it likes."""
    bench = attached()
    bench.kill()
    bench.send(b"m20000000,4")
    for _ in range(5):
        bench.start()
        bench.step()
        bench.kill()
    bench.start()
    bench.settle()
    assert bench.answer() == b"00010203"
    assert bench.news(News.REFUSED) == []


def test_a_breakpoint_set_too_late_is_taken_out_again() -> None:
    """GDB was told that it is not set: so it is not."""
    bench = attached()
    bench.send(b"Z1,8000234,2")
    bench.advance(4.1)
    assert bench.answer() == b"E01"
    bench.settle()
    assert bench.board.comparators == set()


def test_a_false_stop_is_held_while_recovery_runs() -> None:
    """T00 of a poll failure never reaches GDB; after the recovery it runs on."""
    bench = attached()
    bench.resume()
    assert bench.process is not None
    bench.process.owes_stop = False
    bench.carry(bench.proxy.backend_bytes(encode(b"T00"), bench.now))
    bench.carry(bench.proxy.recovering(True, bench.now))
    bench.advance(60.0)
    assert bench.stops == []
    bench.carry(bench.proxy.recovering(False, bench.now))
    bench.settle()
    assert bench.running
    assert bench.process.owes_stop
    bench.hit()
    bench.settle()
    assert bench.stops == [b"T05"]


@pytest.mark.parametrize(("true", "stops"), [(True, [b"T00"]), (False, [])])
def test_a_stop_without_a_reason_is_looked_into(true: bool, stops: list[bytes]) -> None:
    """Without a recovery the core itself is asked: halted, GDB hears of it; running, it runs on."""
    bench = attached()
    bench.resume()
    bench.board.running = not true
    bench.carry(bench.proxy.backend_bytes(encode(b"T00"), bench.now))
    bench.advance(1.6)
    bench.settle()
    assert bench.stops == stops


LOST = b"jtag status contains invalid mode value - communication failure\n"


@pytest.mark.parametrize(("true", "stops"), [(True, [b"T05"]), (False, [])])
def test_a_stop_right_after_the_words_of_a_lost_target_is_looked_into(true: bool, stops: list[bytes]) -> None:
    """Under HLA the made-up stop carries the reason of the last true one: only OpenOCD's words tell it from a hit."""
    bench = attached()
    bench.resume()
    bench.board.running = not true
    bench.carry(bench.proxy.backend_bytes(encode(b"O" + LOST.hex().encode()), bench.now))
    bench.carry(bench.proxy.backend_bytes(encode(b"T05"), bench.now))
    assert bench.stops == []
    bench.advance(1.6)
    bench.settle()
    assert bench.stops == stops


def test_an_interrupt_during_a_held_stop_halts_the_core() -> None:
    """OpenOCD owes no stop any more, yet GDB's interrupt is answered."""
    bench = attached()
    bench.resume()
    assert bench.process is not None
    bench.process.owes_stop = False
    bench.carry(bench.proxy.backend_bytes(encode(b"T00"), bench.now))
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.settle()
    assert bench.stops == [b"T02"]
    assert not bench.board.running


def lost_stop() -> Bench:
    """A session whose core has hit a breakpoint while OpenOCD was not listening: it polls the halt and sends nothing."""
    bench = attached()
    bench.resume()
    bench.board.trap()
    assert bench.process is not None
    bench.process.reason = b"S05"
    bench.carry(bench.proxy.target_seen(bench.now, halted=True))
    return bench


def test_a_stop_that_openocd_loses_is_told_with_its_reason() -> None:
    """GDB would wait for ever; afterwards OpenOCD and GDB agree again, and the next hit is an ordinary one."""
    bench = lost_stop()
    bench.settle()
    assert bench.stops == []
    bench.advance(1.6)
    bench.settle()
    assert bench.stops == [b"S05"]
    assert bench.process is not None
    assert not bench.process.owes_stop
    assert bench.proxy.next_deadline() is None
    bench.resume()
    bench.hit()
    bench.settle()
    assert bench.stops == [b"S05", b"T05"]


def test_a_halt_whose_stop_follows_is_not_looked_into() -> None:
    """The two come on different connections: the news may be earlier than the stop."""
    bench = attached()
    bench.resume()
    bench.carry(bench.proxy.target_seen(bench.now, halted=True))
    bench.hit()
    bench.settle()
    assert bench.process is not None
    asked = len(bench.process.log)
    bench.advance(60.0)
    bench.settle()
    assert (bench.stops, len(bench.process.log)) == ([b"T05"], asked)


@pytest.mark.parametrize("told", [True, False])
def test_a_core_that_runs_again_is_left_alone(told: bool) -> None:
    """Somebody halted it for a moment (telnet): whether the news of that come or not, GDB waits on."""
    bench = attached()
    bench.resume()
    bench.carry(bench.proxy.target_seen(bench.now, halted=True))
    if told:
        bench.carry(bench.proxy.target_seen(bench.now, halted=False))
    bench.advance(60.0)
    bench.settle()
    assert (bench.stops, bench.board.running, bench.proxy.next_deadline()) == ([], True, None)


def test_a_lost_stop_does_not_wait_when_gdb_interrupts() -> None:
    """The user has lost patience first: one stop, and nothing more is owed."""
    bench = lost_stop()
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.settle()
    bench.advance(60.0)
    bench.settle()
    assert bench.stops == [b"T02"]


def test_a_lost_stop_is_forgotten_with_its_backend() -> None:
    """The next OpenOCD finds the core halted, and that is what GDB hears."""
    bench = lost_stop()
    bench.kill()
    bench.start()
    bench.settle()
    bench.advance(60.0)
    bench.settle()
    assert len(bench.stops) == 1


def test_an_interrupt_during_an_outage_is_delivered_afterwards() -> None:
    """GDB is told to wait, and then stops."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    assert "the interrupt is delivered" in bench.console
    bench.start()
    bench.settle()
    assert bench.stops == [b"T02"]


def test_an_interrupt_during_a_dialogue_that_leaves_the_core_running_is_sent_behind_it() -> None:
    """OpenOCD has examined the target anew, and hardware breakpoints are set again in the running core meanwhile."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.resume()
    bench.carry(bench.proxy.reexamined(bench.now))
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.settle()
    assert (bench.stops, bench.board.running) == ([b"T02"], False)


def test_an_interrupt_that_died_with_its_backend_is_sent_again() -> None:
    """GDB waits for a stop: the next backend hears of the interrupt too."""
    bench = attached()
    bench.resume()
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T02"]


def test_a_resume_is_not_sent_before_the_last_write_is_sure() -> None:
    """OpenOCD acknowledges `X` first: only the reply to something later proves it, and an interrupt in between is kept."""
    bench = attached()
    bench.ask(b"X20000000,8:ABCDEFGH")
    bench.send(b"vCont;c")
    bench.kill()
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.start()
    bench.settle()
    assert bytes(bench.board.ram[:8]) == b"ABCDEFGH"
    assert bench.stops == [b"T02"]


def test_probe_noise_stays_off_the_console_and_real_messages_do_not() -> None:
    """A line of OpenOCD about our own connections is dropped; a real one is printed."""
    bench = attached()
    bench.resume()
    for text in (
        b"accepting 'tcl' connection on tcp/0\n",
        b"dropped 'tcl' connection\n",
        b"clearing lockup after double fault\n",
    ):
        bench.carry(bench.proxy.backend_bytes(encode(b"O" + text.hex().encode()), bench.now))
    assert bench.console == "clearing lockup after double fault\n"
