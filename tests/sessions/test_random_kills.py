"""Fifty kills at random moments of a breakpoint loop: not one GDB error, not one hit lost, not one invented."""

from __future__ import annotations

import os
import random
import signal
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from tests.bench.rig import PATIENCE, Bench
from tests.sessions.desk import Desk, console, hits, value

KILLS = 50


def replaced(pid: int, bench: Bench) -> bool:
    """Whether another OpenOCD runs."""
    return bool(bench["backend"]) and bench["backend"]["pid"] != pid


def kill_at_random(desk: Desk, seed: int, done: Future[int]) -> None:
    """End every OpenOCD that comes up, each at some moment of the quarter second after it is ready."""
    dice = random.Random(seed)
    pause = threading.Event()
    try:
        for _ in range(KILLS):
            pid = desk.pid()
            pause.wait(dice.uniform(0, 0.25))
            os.kill(pid, signal.SIGKILL)
            desk.rig.until("see it replaced", partial(replaced, pid))
        done.set_result(KILLS)
    except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
        done.set_exception(error)


@pytest.mark.parametrize("mode", ["dap"])
def test_what_a_killed_openocd_left_in_a_step_does_not_step_again(desk: Desk) -> None:
    """DHCSR still says C_STEP: OpenOCD 0.12 finds the core halted, leaves that bit alone, and its first resume is a step."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    count = value(gdb, "blinks")
    gdb.command("-exec-step-instruction")  # away from the breakpoint: GDB's next resume does not begin with a step of its own
    gdb.wait_stop(PATIENCE)
    gdb.command('-interpreter-exec console "monitor mww 0xe000edf0 0xa05f0005"')
    desk.kill_and_recover()
    hits(gdb)
    assert value(gdb, "blinks") == count + 1


@pytest.mark.timeout(300)
def test_fifty_kills_and_every_hit_counts(desk: Desk) -> None:
    """The firmware counts its calls of `blink`: between two stops there is exactly one, and in a step there is none."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    count = value(gdb, "blinks")
    done: Future[int] = Future()
    killer = threading.Thread(target=kill_at_random, args=(desk, 20260101, done))
    killer.start()
    try:
        while not done.done():
            hits(gdb)
            assert value(gdb, "blinks") == count + 1
            count += 1
    finally:
        killer.join()
    assert done.result() == KILLS
    desk.rig.ready()
    hits(gdb)
    assert value(gdb, "blinks") == count + 1
    said = console(gdb)
    assert "rror" not in said, said
    assert "gnoring" not in said, said
    assert desk.rig.status()["counters"]["restarts"] >= KILLS
