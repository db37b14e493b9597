"""A core that runs although GDB believes that it is halted: the reset button, a brown-out, `resume` on telnet."""

from __future__ import annotations

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import News
from ocdsup.rsp.packets import text_packet
from ocdsup.rsp.policy import Policy
from tests.rsp.debug_bench import Bench, attached

WORD = "ocdsup: the core has run behind GDB's back"


def press_reset(bench: Bench) -> None:
    """The button: the core runs from its reset vector, and OpenOCD sends no word of it."""
    bench.board.reset(halt=False)


def see(bench: Bench, *, halted: bool) -> None:
    """OpenOCD's poll has found the core like this."""
    bench.carry(bench.proxy.target_seen(bench.now, halted=halted))
    bench.settle()


@pytest.mark.parametrize("resume", [b"vCont;c", b"vCont;s", b"c", b"s"])
def test_the_first_resume_is_answered_by_a_stop_that_says_why(resume: bytes) -> None:
    """On running, GDB would go on with registers and a stack that are history."""
    bench = attached()
    press_reset(bench)
    see(bench, halted=False)
    assert (bench.console, bench.stops) == ("", []), "nothing is sent unasked"
    bench.resume(resume)
    assert (bench.stops, bench.board.running) == ([b"T02"], False)
    assert bench.console.startswith(WORD)
    assert int(bench.ask(b"pf")[:2], 16) == bench.board.registers[15] & 0xFF
    bench.resume(b"vCont;c")
    assert (len(bench.stops), bench.board.running) == (1, True)
    assert bench.console.count(WORD) == 1


def test_points_that_gdb_sets_before_it_resumes_are_set_in_a_halted_core() -> None:
    """OpenOCD sets no watchpoint in a running one: GDB would say that the hardware has no room for it."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    press_reset(bench)
    bench.board.comparators.clear()
    see(bench, halted=False)
    assert bench.ask(b"Z2,20000010,4") == b"OK"
    assert len(bench.board.comparators) == 2
    bench.resume()
    assert bench.stops == [b"T02"]


def test_a_step_that_openocd_does_not_make_is_answered() -> None:
    """Nobody has seen the core run: OpenOCD says so to GDB's user, and nothing to GDB (0.12 gdb_handle_vcont_packet)."""
    bench = attached()
    press_reset(bench)
    bench.resume(b"vCont;s:1")
    assert (bench.stops, bench.board.running) == ([b"T02"], False)
    assert bench.console == WORD + " (the board was reset, or somebody resumed it) and is halted again\n"


def test_a_core_that_was_let_run_is_left_running_by_the_next_openocd_and_gdb_hears_of_it_then() -> None:
    bench = attached()
    press_reset(bench)
    see(bench, halted=False)
    bench.kill()
    bench.start(halt=False)
    bench.settle()
    assert bench.board.running
    bench.resume()
    assert (bench.stops, bench.board.running) == ([b"T02"], False)
    assert bench.console.count(WORD) == 1


def test_an_openocd_that_dies_while_it_halts_the_core_again_is_followed_by_one_that_does() -> None:
    """However far the first one came."""
    for steps in range(8):
        bench = attached()
        press_reset(bench)
        see(bench, halted=False)
        bench.send(b"vCont;c")
        for _ in range(steps):
            bench.step()
        if bench.stops:
            break
        bench.kill()
        bench.start(halt=False)
        bench.settle()
        assert (bench.stops, bench.board.running) == ([b"T02"], False)
        assert "behind GDB's back" in bench.console or "the core ran while OpenOCD was away" in bench.console
    assert steps > 3


def test_what_was_seen_before_the_last_stop_proves_nothing() -> None:
    """The two connections to OpenOCD are not in step: it is asked again on GDB's own."""
    bench = attached()
    see(bench, halted=False)
    bench.resume()
    assert (bench.stops, bench.board.running, bench.console) == ([], True, "")


@pytest.mark.parametrize("request_body", [b"vFlashWrite:8000000:abcd", b"qRcmd," + b"flash write_image x".hex().encode()])
def test_a_request_that_lets_the_core_run_itself_is_not_disturbed_however_long_it_takes(request_body: bytes) -> None:
    """OpenOCD's flash loader runs on the core, and each of its runs is told (0.12: debug-running, halted, debug-running …)."""
    bench = attached()
    bench.ask(b"vFlashErase:8000000,4000")
    bench.send(request_body)
    for _ in range(50):
        bench.carry(bench.proxy.target_seen(bench.now, halted=False))
        bench.advance(1.0)
        bench.carry(bench.proxy.target_seen(bench.now, halted=True))
    assert bench.backend_closed is None
    bench.settle()
    assert bench.answer() == b"OK"
    bench.resume()
    assert (bench.stops, bench.console.count(WORD)) == ([], 0)


def test_what_was_seen_during_a_request_is_looked_into_behind_it() -> None:
    bench = attached()
    bench.send(b"m20000000,40")
    press_reset(bench)
    bench.carry(bench.proxy.target_seen(bench.now, halted=False))
    bench.settle()
    assert bench.answer() is not None
    bench.resume()
    assert (bench.stops, bench.board.running) == ([b"T02"], False)


@pytest.mark.parametrize("state", ["unknown", "reset", "halted", "debug-running"])
def test_a_core_that_is_not_seen_to_run_has_not_strayed(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when OpenOCD's log gets into the answer: "Examination failed, GDB will be halted. Polling again in 300ms"."""
    bench = attached()
    assert bench.process is not None
    answer = bench.process._monitor

    def glitch(line: str) -> bytes:
        if "curstate" not in line:
            return answer(line)
        assert bench.process is not None
        bench.process._out += encode(text_packet("Examination failed, GDB will be halted. Polling again in 300ms\n"))
        return state.encode().hex().encode()

    monkeypatch.setattr(bench.process, "_monitor", glitch)
    see(bench, halted=False)
    monkeypatch.undo()
    bench.resume()
    assert (bench.stops, bench.board.running, bench.console) == ([], True, "")


def test_the_log_of_a_failed_poll_is_no_halted_core(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = attached()
    press_reset(bench)
    assert bench.process is not None
    answer = bench.process._monitor

    def noisy(line: str) -> bytes:
        assert bench.process is not None
        if "curstate" in line:
            bench.process._out += encode(text_packet("Examination failed, GDB will be halted. Polling again in 300ms\n"))
        return answer(line)

    monkeypatch.setattr(bench.process, "_monitor", noisy)
    see(bench, halted=False)
    bench.resume()
    assert (bench.stops, bench.board.running) == ([b"T02"], False)


@pytest.mark.parametrize("body", [b"vCont;c", b"Z2,20000010,4"])
def test_a_core_that_cannot_be_halted_is_left_to_openocds_own_answer(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for ever, and no stop is made up."""
    bench = attached()
    press_reset(bench)
    see(bench, halted=False)
    assert bench.process is not None
    answer = bench.process._monitor
    monkeypatch.setattr(bench.process, "_monitor", lambda line: b"E01" if line == "halt" else answer(line))
    if body.startswith(b"Z"):
        assert bench.ask(body) == b"E0E"
    else:
        bench.resume(body)
    assert (bench.stops, bench.board.running) == ([], True)
    assert WORD not in bench.console


def test_a_restart_that_finds_the_core_where_it_was_left_forgets_what_was_seen() -> None:
    bench = attached()
    bench.ask(b"g")
    bench.board.running = True
    see(bench, halted=False)
    bench.board.running = False
    bench.kill()
    bench.start()
    bench.settle()
    bench.resume()
    assert (bench.stops, bench.board.running, bench.console) == ([], True, "")


@pytest.mark.parametrize("line", ["resume", "reset run"])
def test_a_core_that_gdbs_own_user_let_run_simply_runs_on(line: str) -> None:
    bench = attached()
    bench.ask(b"qRcmd," + line.encode().hex().encode())
    bench.board.running = True
    see(bench, halted=False)
    bench.resume()
    assert (bench.stops, bench.board.running) == ([], True)
    assert WORD not in bench.console


def test_a_reset_by_gdbs_own_user_makes_good_what_was_not_known() -> None:
    bench = attached()
    press_reset(bench)
    see(bench, halted=False)
    bench.ask(b"qRcmd," + b"reset halt".hex().encode())
    bench.resume()
    assert (bench.stops, bench.board.running) == ([], True)


def test_a_guest_lets_the_core_run_as_it_likes() -> None:
    bench = Bench(Policy(halt_on_attach=False))
    bench.proxy.join()
    bench.board.running = True
    bench.start(halt=False)
    bench.attach()
    see(bench, halted=False)
    bench.settle()
    assert bench.board.running
    assert bench.news(News.RESET_TOLD) == []
