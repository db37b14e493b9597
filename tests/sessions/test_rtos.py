"""Threads of an RTOS over a restart: GDB keeps its threads and the one it has selected, and goes on in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb
from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import Desk, console, hits, reason, value
from tests.sessions.two_cores import IN_GROUP, Two

ELF = Path(__file__).with_name("tasks.elf")  # the demo firmware with three tasks, built by tasks.sh
AMBIGUOUS = "without sending a thread-id"


@pytest.fixture
def rtos() -> str:
    """How the target is configured; a test may name another."""
    return "FreeRTOS"


@pytest.fixture
def desk(rig: Rig, rtos: str) -> Iterator[Desk]:
    """A developer whose OpenOCD knows the RTOS."""
    desk = Desk(rig, openocd={"commands": [f"stm32f4x.cpu configure -rtos {rtos}"]})
    try:
        yield desk
    finally:
        desk.close()


@pytest.fixture
def gdb(desk: Desk) -> Gdb:
    """Attached, the program loaded, stopped in `blink` and thereby in the thread "worker"."""
    gdb = desk.gdb(attach=False)
    gdb.command(f"-file-exec-and-symbols {ELF}")
    gdb.command(f"-target-select extended-remote localhost:{desk.port}", PATIENCE)
    gdb.wait_stop(PATIENCE, attach=True)
    gdb.command("-target-download", PATIENCE)
    gdb.command('-interpreter-exec console "monitor reset halt"')
    gdb.command("-break-insert -h blink")
    hits(gdb)
    hits(gdb)
    assert selected(gdb) == "worker"
    return gdb


def threads(gdb: Gdb) -> list[str]:
    """All threads as a user sees them: number, id, name, state and where they are."""
    return re.findall(r'{id="\d+".*?}(?=[,\]])', gdb.command("-thread-info"))


def names(gdb: Gdb) -> set[str]:
    """Their names."""
    return set(re.findall(r'name="(\w+)",frame=', gdb.command("-thread-info")))


def selected(gdb: Gdb) -> str:
    """The name of the thread that GDB acts on."""
    shown = gdb.command("-thread-info")
    number = re.search(r'current-thread-id="(\d+)"', shown)
    assert number is not None, shown
    named = re.search(rf'{{id="{number[1]}",[^{{]*?name="(\w+)"', shown)
    assert named is not None, shown
    return named[1]


def select(gdb: Gdb, name: str) -> None:
    """Select a thread by its name."""
    found = re.search(rf'{{id="(\d+)",[^{{]*?name="{name}"', gdb.command("-thread-info"))
    assert found is not None
    gdb.command(f"-thread-select {found[1]}")


def goes_on(gdb: Gdb) -> None:
    """The breakpoint is hit in its thread, and a step is one."""
    before = value(gdb, "blinks")
    hits(gdb)
    assert selected(gdb) == "worker"
    assert value(gdb, "blinks") == before + 1
    gdb.command("-exec-step-instruction")
    assert reason(gdb.wait_stop(PATIENCE)) == "end-stepping-range"
    assert selected(gdb) == "worker"
    assert names(gdb) == {"logger", "worker", "idler"}
    assert AMBIGUOUS not in console(gdb)


def test_halted_all_threads_are_as_they_were(desk: Desk, gdb: Gdb) -> None:
    """Those that do not execute too, with their own registers; nothing is printed, and the program goes on."""
    before = threads(gdb)
    assert len(before) == 3
    said = len(gdb.log)
    desk.kill_and_recover()
    assert [line for line in gdb.log[said:] if line.strip() != "(gdb)"] == []
    gdb.command('-interpreter-exec console "maintenance flush register-cache"')
    assert threads(gdb) == before
    select(gdb, "idler")
    assert value(gdb, "$r4") == 0x33
    goes_on(gdb)


def test_halted_with_another_thread_selected_its_registers_are_read(desk: Desk, gdb: Gdb) -> None:
    """The next OpenOCD is told which thread GDB has chosen."""
    select(gdb, "logger")
    assert value(gdb, "$r4") == 0x11
    desk.kill_and_recover()
    gdb.command('-interpreter-exec console "maintenance flush register-cache"')
    assert value(gdb, "$r4") == 0x11
    assert selected(gdb) == "logger"
    goes_on(gdb)


def test_running_the_breakpoint_is_hit_in_its_thread(desk: Desk, gdb: Gdb) -> None:
    """The OpenOCD that finds the program running knows the threads at its next stop."""
    gdb.command("-break-delete 1")
    gdb.command("-break-insert -h Fault_Handler")
    gdb.command("-exec-continue")
    desk.core_is("running")
    desk.kill_and_recover()
    gdb.command("-exec-interrupt")
    assert "SIGINT" in gdb.wait_stop(PATIENCE)
    assert selected(gdb) == "worker"
    gdb.command("-break-delete 2")
    gdb.command("-break-insert -h blink")
    hits(gdb)
    goes_on(gdb)


def test_in_a_step_the_thread_gets_its_stop(desk: Desk, gdb: Gdb) -> None:
    """The stop that ends it names the thread that stands there."""
    with desk.dies_in() as die:
        gdb.send("-exec-step-instruction")
        die()
    gdb.result("step", PATIENCE)
    gdb.wait_stop(PATIENCE)
    assert selected(gdb) == "worker"
    goes_on(gdb)


@pytest.mark.parametrize("running", [False, True])
def test_a_reset_is_told_in_a_thread_that_there_is(desk: Desk, gdb: Gdb, running: bool) -> None:
    """GDB can be asked for its threads before, and goes on after it; without a thread it could do neither."""
    if running:
        gdb.command("-break-delete 1")
        gdb.command("-exec-continue")
        desk.core_is("running")
    desk.rig.ocdsup("restart", "one", "--under-reset")
    desk.rig.ready()
    if not running:
        assert names(gdb) == {"logger", "worker", "idler"}
        gdb.command('-interpreter-exec console "maintenance flush register-cache"')
        value(gdb, "$pc")
        gdb.command("-exec-continue")
    stop = gdb.wait_stop(PATIENCE)
    assert reason(stop) == "signal-received"
    assert running or 'func="Reset_Handler"' in stop
    assert "ocdsup: board was reset" in console(gdb)
    if running:
        gdb.command("-break-insert -h blink")
    hits(gdb)
    goes_on(gdb)


@pytest.mark.parametrize(("mode", "rtos"), [("hla", "auto")])
def test_an_rtos_that_openocd_detects_by_itself_is_detected_again(desk: Desk, gdb: Gdb) -> None:
    """Each OpenOCD asks for the symbols of a dozen systems, and gets the answers that GDB gave the first."""
    before = threads(gdb)
    desk.kill_and_recover()
    gdb.command('-interpreter-exec console "maintenance flush register-cache"')
    assert threads(gdb) == before
    goes_on(gdb)


@pytest.mark.parametrize("mode", ["hla"])
def test_while_openocd_is_away_the_threads_are_still_there(desk: Desk, gdb: Gdb) -> None:
    """They are what GDB was told at the stop: an error would make it drop them all."""
    before = names(gdb)
    with desk.outage():
        gdb.command('-interpreter-exec console "info threads"')
        assert names(gdb) == before
        assert selected(gdb) == "worker"
    hits(gdb)
    goes_on(gdb)


HARDWARE = (
    "dual.cpu1 configure -coreid 1",
    "dual.cpu0 configure -rtos hwthread",
    "dual.cpu1 configure -rtos hwthread",
    IN_GROUP,
)


@pytest.mark.parametrize("mode", ["dap"])
def test_the_cores_of_a_group_are_threads_and_each_keeps_its_registers(rig: Rig) -> None:
    """As on an RP2040: what was written to a register of one core is not written to the other's."""
    two = Two(rig, *HARDWARE)
    gdb = two.gdb(0)
    try:
        gdb.command("-break-insert -h blink")
        hits(gdb)
        for core in (1, 2):
            gdb.command(f"-thread-select {core}")
            gdb.command(f"-data-evaluate-expression $r7={core}")
        before = threads(gdb)
        assert len(before) == 2
        two.kill_and_recover()
        gdb.command('-interpreter-exec console "maintenance flush register-cache"')
        assert threads(gdb) == before
        for core in (1, 2):
            gdb.command(f"-thread-select {core}")
            assert value(gdb, "$r7") == core
        assert [two.rig.tcl(f"targets dual.cpu{core}; reg r7").split()[-1] for core in (0, 1)] == ["0x00000001", "0x00000002"]
        gdb.command("-thread-select 1")
        place = value(gdb, "$pc")
        gdb.command("-exec-step-instruction")
        gdb.wait_stop(PATIENCE)
        assert value(gdb, "$pc") != place
        hits(gdb)
    finally:
        gdb.close()
