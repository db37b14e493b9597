"""Playbooks: one GDB, a model of OpenOCD that dies at will, and what GDB sees of it."""

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import CloseClient, News, Notice, ToBackend, ToClient
from ocdsup.rsp.packets import Point, monitor_request
from ocdsup.rsp.policy import BackendUp, Monitor, OnDetach, Policy
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.shadow import Learned
from tests.rsp.debug_bench import Bench, attached
from tests.rsp.openocd_model import BKPT, RAM, RESET_PC, Board

PC = 0x08000100


def pc_of(registers: bytes) -> int:
    """Return the PC of a `g` reply."""
    return int.from_bytes(bytes.fromhex(registers.decode())[60:64], "little")


def test_an_attach_reaches_openocd_without_acks_in_whole_packets() -> None:
    """The upstream speaks no-ack mode, whatever GDB does, and GDB sees OpenOCD's own answers."""
    bench = Bench()
    bench.start()
    assert bench.attach() == b"S05"
    assert bench.process is not None
    assert bench.process.log[0] == b"QStartNoAckMode"
    assert bench.process.log.count(b"QStartNoAckMode") == 1
    assert bench.news(News.SESSION) == [""]


def test_halted_and_idle_a_restart_is_invisible() -> None:
    """Nothing reaches GDB, and points, register writes and modes are in the new process."""
    bench = attached()
    assert [bench.ask(body) for body in (b"Z1,8000234,2", b"Z2,20000000,4", b"P1=78563412")] == [b"OK"] * 3
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.comparators == {Point(1, 0x8000234, 2), Point(2, 0x20000000, 4)}
    assert bench.ask(b"p1") == b"78563412"
    assert bench.process is not None
    assert b"!" in bench.process.log
    assert b"Hg0" in bench.process.log


def test_a_breakpoint_in_ram_gets_its_original_bytes_back() -> None:
    """The opcode that the dead process left in RAM never becomes the original of the new one."""
    bench = attached()
    original = bytes(bench.board.ram[8:10])
    bench.ask(b"Z0,20000008,2")
    assert bytes(bench.board.ram[8:10]) == BKPT
    bench.kill()
    bench.start()
    bench.settle()
    assert bytes(bench.board.ram[8:10]) == BKPT
    assert bench.ask(b"z0,20000008,2") == b"OK"
    assert bytes(bench.board.ram[8:10]) == original


def test_running_the_resume_is_sent_again_and_a_breakpoint_from_before_hits() -> None:
    """GDB sees neither the loss nor OpenOCD's complaint about the second resume; the core is never halted."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.resume()
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running
    assert bench.process is not None
    assert monitor_request("halt") not in bench.process.log
    assert bench.process.log[-1] == b"vCont;c"
    bench.hit()
    bench.settle()
    assert bench.stops == [b"T05"]
    assert bench.console == ""


def test_a_watchpoint_while_running_halts_the_core_for_a_moment_only() -> None:
    """Points that a running core cannot take are set in a short halt."""
    bench = attached()
    bench.ask(b"Z2,20000000,4")
    bench.resume()
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running
    assert bench.running
    assert bench.board.comparators == {Point(2, 0x20000000, 4)}


def test_a_breakpoint_hit_while_openocd_was_away_is_reported() -> None:
    """The core stands when OpenOCD is back: GDB gets its stop."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.hit()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T05"]


def test_a_core_that_only_the_attach_has_halted_runs_on() -> None:
    """`?` says S02: the default gdb-attach event halted it, and nobody else."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.board.running = False
    bench.start()
    assert bench.process is not None
    bench.process.reason = b"S02"
    bench.settle()
    assert bench.stops == []
    assert bench.board.running


@pytest.mark.parametrize("body", [b"vCont;s", b"s", b"vCont;r8000100,8000110:1"])
def test_a_step_that_died_is_answered_by_a_stop(body: bytes) -> None:
    """The step may have been made or not; GDB is told to look."""
    bench = attached()
    bench.send(body)
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T05"]


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


def test_a_breakpoint_set_too_late_is_taken_out_again() -> None:
    """GDB was told that it is not set: so it is not."""
    bench = attached()
    bench.send(b"Z1,8000234,2")
    bench.advance(4.1)
    assert bench.answer() == b"E01"
    bench.settle()
    assert bench.board.comparators == set()


def test_a_flash_transaction_fails_once_and_is_never_sent_again() -> None:
    """The rest of a broken `load` is answered E05; the next `load` works; `vFlashDone` never meets a fresh process."""
    bench = attached()
    assert bench.ask(b"vFlashErase:08000000,00000400") == b"OK"
    bench.send(b"vFlashWrite:08000000:abc")
    bench.kill()
    assert bench.answer() == b"E05"
    bench.start()
    bench.settle()
    assert bench.ask(b"vFlashDone") == b"E05"
    replies = [bench.ask(b) for b in (b"vFlashErase:08000000,00000400", b"vFlashWrite:08000000:abcd", b"vFlashDone")]
    assert replies == [b"OK"] * 3
    assert bench.board.flashed == b"abcd"


def test_between_two_flash_packets_the_loss_is_told_at_the_next_one() -> None:
    """Nothing is sent unasked; the next packet of the transaction fails."""
    bench = attached()
    bench.ask(b"vFlashErase:08000000,00000400")
    bench.ask(b"vFlashWrite:08000000:abcd")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.ask(b"vFlashDone") == b"E05"
    assert bench.process is not None


def test_the_last_block_of_a_ram_load_is_written_again() -> None:
    """OpenOCD acknowledges `X` before it writes; what it took to its grave is repeated."""
    bench = attached()
    bench.ask(b"X20000000,8:ABCDEFGH")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.ask(b"m20000000,8") == b"4142434445464748"


def test_after_a_reset_while_running_gdb_gets_a_line_and_a_stop() -> None:
    """The truth: the board was reset, and stands at its new PC with all points set."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.resume()
    bench.kill()
    bench.start(reset=True, halt=False)
    bench.settle()
    assert bench.stops == [b"T05"]
    assert "ocdsup: board was reset" in bench.console
    assert not bench.board.running
    assert bench.board.comparators == {Point(1, 0x8000234, 2)}
    assert pc_of(bench.ask(b"g")) == RESET_PC


def test_after_a_reset_while_running_gdb_may_run_on_by_policy() -> None:
    """With `stop_after_reset` off, only the line is printed."""
    bench = attached(Policy(stop_after_reset=False))
    bench.resume()
    bench.kill()
    bench.start(reset=True, halt=True)
    bench.settle()
    assert bench.stops == []
    assert "ocdsup: board was reset" in bench.console
    assert bench.board.running


def test_after_a_reset_while_idle_the_first_resume_is_a_stop() -> None:
    """Nothing unasked; the first resume does not run on stale registers; the second one runs."""
    bench = attached()
    bench.ask(b"P1=78563412")
    bench.kill()
    bench.start(reset=True)
    bench.settle()
    bench.resume()
    assert bench.stops == [b"T05"]
    assert "ocdsup: board was reset" in bench.console
    assert not bench.board.running
    registers = bench.ask(b"g")
    assert pc_of(registers) == RESET_PC
    assert registers[8:16] == b"00000000"
    bench.resume()
    assert bench.board.running


def test_after_the_users_own_reset_the_first_resume_runs() -> None:
    """`monitor reset halt` says it all: GDB's user knows."""
    bench = attached()
    bench.kill()
    bench.start(reset=True)
    bench.settle()
    bench.ask(monitor_request("reset halt"))
    bench.resume()
    assert bench.board.running
    assert bench.stops == []


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


@pytest.mark.parametrize("running", [False, True])
def test_after_a_reexamination_the_comparators_are_set_again(running: bool) -> None:
    """The points that OpenOCD zeroed without knowing are back at once, and the run state is as it was."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.ask(b"Z2,20000000,4")
    if running:
        bench.resume()
    assert bench.process is not None
    bench.process.reexamine()
    bench.carry(bench.proxy.reexamined(bench.now))
    bench.settle()
    assert bench.board.comparators == {Point(1, 0x8000234, 2), Point(2, 0x20000000, 4)}
    assert bench.board.running is running
    assert bench.running is running
    assert bench.stops == []


@pytest.mark.parametrize(
    ("body", "reply"), [(b"p63", b"E01"), (b"Z5,20000000,4", b""), (b"m20", b"E01"), (b"vFlashDone", b"E05"), (b"Zx", b"E01")]
)
def test_what_would_end_the_connection_is_answered_here(body: bytes, reply: bytes) -> None:
    """OpenOCD never sees it, and the session goes on."""
    bench = attached()
    assert bench.ask(body) == reply
    assert bench.process is not None
    assert body not in bench.process.log
    assert bench.ask(b"m20000000,4") == b"00010203"


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


def test_settings_by_monitor_are_made_again() -> None:
    """What a new process has forgotten is said again, in the last form only; actions are not."""
    bench = attached()
    for line in ("arm semihosting disable", "arm semihosting enable", "mdw 0x20000000", "reset halt", "adapter speed 100"):
        assert bench.ask(monitor_request(line)) == b"OK"
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.process is not None
    asked = [body for body in bench.process.log if body.startswith(b"qRcmd")]
    assert asked == [monitor_request("arm semihosting enable"), monitor_request("adapter speed 100")]


@pytest.mark.parametrize(
    ("policy", "line", "reply"),
    [
        (Monitor.FULL, "exec id", b"OK"),
        (Monitor.SAFE, "exec id", b"E01"),
        (Monitor.SAFE, "reset halt", b"OK"),
        (Monitor.SAFE, "reset [exec id]", b"E01"),
        (Monitor.OFF, "reset halt", b"E01"),
    ],
)
def test_monitor_passes_by_policy(policy: Monitor, line: str, reply: bytes) -> None:
    """A refused line says why on the console and never reaches OpenOCD."""
    bench = attached(Policy(monitor=policy))
    assert bench.ask(monitor_request(line)) == reply
    assert bench.process is not None
    assert (monitor_request(line) in bench.process.log) is (reply == b"OK")
    assert ("monitor: " in bench.console) is (reply != b"OK")


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


def test_an_attach_during_a_long_outage_ends_with_a_clear_error() -> None:
    """GDB prints the reason and is let go; it does not wait for every packet anew."""
    bench = Bench()
    bench.carry(bench.proxy.backend_lost("the probe is unplugged", bench.now))
    began = bench.now
    assert bench.attach() == b"E.ocdsup: OpenOCD is away (the probe is unplugged)"
    assert bench.closed == "OpenOCD is away (the probe is unplugged)"
    assert bench.now - began < 4.1


@pytest.mark.parametrize(
    ("policy", "running", "after"),
    [
        (OnDetach.RESUME, False, True), (OnDetach.RESUME, True, True), (OnDetach.HALT, True, False),
        (OnDetach.HALT, False, False), (OnDetach.LEAVE, True, True), (OnDetach.LEAVE, False, False),
    ],
)  # fmt: skip
def test_when_gdb_dies_the_core_is_left_as_the_policy_says(policy: OnDetach, running: bool, after: bool) -> None:
    """All points are taken out first, RAM is as it was, and the backend is closed only after that."""
    bench = attached(Policy(on_detach=policy))
    before = bytes(bench.board.ram)
    for body in (b"Z1,8000234,2", b"Z2,20000010,4", b"Z0,20000008,2"):
        bench.ask(body)
    if running:
        bench.resume()
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert bench.backend_closed == "GDB has gone"
    assert bench.board.running is after
    assert bench.board.comparators == set()
    assert bytes(bench.board.ram) == before


@pytest.mark.parametrize(("policy", "after"), [(OnDetach.RESUME, True), (OnDetach.HALT, False), (OnDetach.LEAVE, False)])
def test_a_detach_leaves_the_core_as_the_policy_says(policy: OnDetach, after: bool) -> None:
    """OpenOCD itself would only say OK; GDB's OK comes when it is done."""
    bench = attached(Policy(on_detach=policy))
    assert bench.ask(b"D") == b"OK"
    assert bench.board.running is after


def test_a_backend_that_never_finishes_its_greeting_is_given_up() -> None:
    """A dialogue that hangs ends with the connection closed from our side."""
    bench = attached()
    bench.kill()
    bench.carry(bench.proxy.backend_ready(BackendUp(), bench.now))
    bench.advance(8.1)
    assert bench.backend_closed == "the backend does not answer"
    bench.start()
    bench.settle()
    assert bench.ask(b"m20000000,4") == b"00010203"


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


def test_the_monitor_command_that_killed_openocd_is_answered() -> None:
    """The user reads what happened; the command is not repeated."""
    bench = attached()
    assert bench.ask(monitor_request("crash")) == b"E01"
    assert "OpenOCD is away" in bench.console


def test_the_run_state_that_monitor_made_is_kept() -> None:
    """`monitor resume` lets the core run behind GDB's back: a restart does not halt it."""
    bench = attached(Policy(), Board())
    bench.ask(monitor_request("resume"))
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running


def test_reads_of_ram_see_it_as_it_is_after_a_restart() -> None:
    """Memory beside a breakpoint is untouched by the replay."""
    bench = attached()
    before = bytes(bench.board.ram)
    bench.ask(b"Z0,%x,2" % (RAM + 8))
    bench.kill()
    bench.start()
    bench.settle()
    bench.ask(b"z0,%x,2" % (RAM + 8))
    assert bytes(bench.board.ram) == before
