"""The target stops answering, or starts anew, in the middle of a debug session: GDB hears what is true, when it is true."""

from __future__ import annotations

import os
import signal

import pytest

from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE
from tests.sessions.desk import (
    Desk,
    console,
    expect_interrupt_and_breakpoint,
    hits,
    let_go,
    let_run,
    reason,
    run,
    take_hold,
    value,
)

RESET_LINE = "board was reset while OpenOCD was away"


def at_blink(desk: Desk, *, hits_wanted: int = 3) -> int:
    """Attach, set a breakpoint in `blink` and run to it a few times; returns how many blinks the program counted."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    for _ in range(hits_wanted):
        hits(gdb)
    return value(gdb, "blinks")


def expect_stop_by_the_reset(desk: Desk, stop: str) -> None:
    """GDB shows a stop that it cannot take for the end of a step of its own, and has said why; registers are fresh."""
    gdb = desk.gdbs[0]
    assert (reason(stop), 'signal-name="SIGINT"' in stop) == ("signal-received", True), stop
    assert console(gdb).count(RESET_LINE) == 1
    shown = value(gdb, "$pc")
    gdb.command('-interpreter-exec console "maintenance flush register-cache"')
    assert value(gdb, "$pc") == shown
    assert desk.sim.core() == "halted"


def test_it_dies_while_the_program_runs(desk: Desk) -> None:
    """GDB waits through the recovery under reset; then it is told, and stopped at the PC that the board has now."""
    before = at_blink(desk)
    gdb = desk.gdbs[0]
    let_go(desk, gdb)
    desk.sim.control.break_("locked", boots=0)
    assert desk.rig.recovered(1)["recoveries"][-1]["rungs"] == ["restart-under-reset"]
    expect_stop_by_the_reset(desk, gdb.wait_stop(PATIENCE))
    gdb.command("-break-enable 1")
    hits(gdb)
    assert value(gdb, "blinks") < before + 3
    assert desk.sim.control.status()[0]["boots"] == 2


@pytest.mark.parametrize("command", ["continue", "step-instruction", "next", "finish"])
def test_it_dies_in_the_step_that_a_resume_begins_with(desk: Desk, command: str) -> None:
    """The stop that OpenOCD makes up (HLA: T05, with stale registers) is not passed on; the one after the reset is."""
    at_blink(desk)
    gdb = desk.gdbs[0]
    desk.sim.control.break_("locked", boots=0)
    gdb.command(f"-exec-{command}")
    expect_stop_by_the_reset(desk, gdb.wait_stop(PATIENCE))
    desk.rig.recovered(1)
    assert gdb.no_stop_waiting()
    hits(gdb)


def test_it_dies_under_a_halted_gdb(desk: Desk) -> None:
    """Nothing is sent unasked; the first resume is answered by a stop with the reset's line, the second one runs."""
    at_blink(desk)
    gdb = desk.gdbs[0]
    said = len(gdb.log)
    desk.sim.control.break_("locked", boots=0)
    desk.rig.recovered(1)
    assert [line for line in gdb.log[said:] if line.strip() != "(gdb)"] == []
    expect_stop_by_the_reset(desk, run(gdb))
    assert 'func="Reset_Handler"' in gdb.command("-stack-info-frame")
    hits(gdb)
    assert value(gdb, "blinks") == 0


def test_memory_of_a_dead_target_is_an_error_and_never_zeros(desk: Desk) -> None:
    """While the target is dead a read fails; afterwards it is the memory again."""
    at_blink(desk)
    gdb = desk.gdbs[0]
    desk.sim.control.break_("locked", boots=0)
    gdb.send("-data-read-memory-bytes magic 4")
    try:
        shown = gdb.result("read", PATIENCE)
    except Exception as error:  # noqa: BLE001 - GDB's own words for it are what is asked for
        shown = str(error)
    assert "0bd50c" in shown or "rror" in shown or "annot" in shown or "nable" in shown, shown
    assert 'contents="00000000"' not in shown
    desk.rig.recovered(1)
    assert 'contents="00400020"' in gdb.command("-data-read-memory-bytes &vectors 4")


def test_a_hang_of_openocd_is_survived(desk: Desk) -> None:
    """SIGSTOP: the hung OpenOCD is ended, and the program ran on all the time."""
    gdb = desk.gdb()
    let_run(desk, gdb)
    os.kill(desk.pid(), signal.SIGSTOP)
    desk.rig.recovered(1)
    assert desk.sim.core() == "running"
    assert gdb.no_stop_waiting()
    expect_interrupt_and_breakpoint(gdb)


def test_a_question_to_a_hung_openocd_is_answered_within_gdbs_patience(desk: Desk) -> None:
    """Six seconds of silence would make GDB pair late answers with later questions: it gets an error before, or the answer."""
    at_blink(desk)
    gdb = desk.gdbs[0]
    truth = value(gdb, "blinks")
    os.kill(desk.pid(), signal.SIGSTOP)
    gdb.send("-data-read-memory-bytes &blinks 4")
    with_error = False
    try:
        gdb.result("read", PATIENCE)
    except Exception:  # noqa: BLE001 - either is right
        with_error = True
    desk.rig.recovered(1)
    assert "gnoring packet error" not in console(gdb), with_error
    for _ in range(3):
        assert value(gdb, "blinks") == truth
    hits(gdb)


@pytest.mark.parametrize("running", [False, True], ids=["halted", "running"])
def test_the_probe_is_pulled_and_plugged_in_again(desk: Desk, running: bool) -> None:
    """The session waits for the cable, and goes on with its breakpoint."""
    before = at_blink(desk)
    gdb = desk.gdbs[0]
    if running:
        let_go(desk, gdb)
    with desk.outage():
        pass
    if running:
        take_hold(gdb)
        before = value(gdb, "blinks")
    hits(gdb)
    assert before <= value(gdb, "blinks") <= before + 1, "it stopped at the first one that came"


def test_the_reset_button_behind_a_running_gdb(desk: Desk) -> None:
    """Nobody but the board knows of it: the program starts again, and hits the breakpoint that the comparators still hold."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h main")
    gdb.command("-exec-continue")
    desk.core_is("running")
    desk.sim.control.press_reset()
    stop = gdb.wait_stop(PATIENCE)
    assert (reason(stop), 'func="main"' in stop) == ("breakpoint-hit", True), stop
    assert value(gdb, "blinks") == 0


def test_the_reset_button_in_the_step_that_a_resume_begins_with(desk: Desk) -> None:
    """OpenOCD 0.12 (dap-direct) refuses the resume that follows, finds the core halted in that moment, and loses the stop."""
    before = at_blink(desk)
    gdb = desk.gdbs[0]
    gdb.command("-exec-continue")
    desk.sim.control.press_reset()
    stop = gdb.wait_stop(PATIENCE)
    assert stop
    until("be halted", lambda: desk.sim.core() == "halted", PATIENCE)
    assert value(gdb, "blinks") <= before + 1
