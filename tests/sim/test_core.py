"""Run control, exceptions, sleep, lockup and reset of a whole core, seen through its debug registers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.sim.board import Board
from ocdsup.sim.core import BKPT, DWTTRAP, HALTED, VCATCH
from ocdsup.sim.scs import AIRCR
from tests.sim.machine import (
    CODE,
    DEBUGEN,
    FLASH,
    HALT,
    MASKINTS,
    RAM,
    S_HALT,
    S_LOCKUP,
    S_RESET,
    S_RETIRE,
    S_SLEEP,
    STEP,
    Debugger,
    half,
)  # fmt: skip

Make = Callable[..., Board]
COUNT = half(0x3001, 0xE7FD)  # adds r0, #1; b -
SLEEP = half(0xBF30, 0xE7FD)  # wfi; b -
DFSR, CFSR, HFSR, ICSR, SHCSR = 0xE000ED30, 0xE000ED28, 0xE000ED2C, 0xE000ED04, 0xE000ED24
PENDSV_SET = 1 << 28


def test_the_core_runs_after_power_on_and_halts_on_request(board: Make) -> None:
    """C_HALT reads 1 after the halt, S_RETIRE_ST before it."""
    debug = Debugger(board(COUNT))
    debug.pass_(0.02)
    assert debug.state() & (S_HALT | S_RETIRE) == S_RETIRE
    debug.halt()
    assert debug.state() & (S_HALT | HALT | DEBUGEN) == S_HALT | HALT | DEBUGEN
    assert debug.peek(DFSR) == HALTED
    assert debug.register(0) > 100


def test_a_halted_core_stays_where_it_is_and_goes_on(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.halt()
    before = debug.register(0)
    debug.pass_(1.0)
    assert debug.register(0) == before
    debug.run()
    debug.pass_(0.05)
    assert debug.register(0) > before


def test_dhcsr_ignores_writes_without_its_key(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.poke(0xE000EDF0, DEBUGEN | HALT)
    assert debug.state() & (S_HALT | DEBUGEN) == 0


def test_a_step_is_one_instruction_and_c_halt_reads_1_behind_it(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.start()
    assert [debug.step() for _ in range(3)] == [CODE + 2, CODE, CODE + 2]
    debug.control(DEBUGEN | STEP)
    assert debug.state() & (S_HALT | HALT) == S_HALT | HALT


def test_a_step_over_wfi_does_not_sleep(board: Make) -> None:
    debug = Debugger(board(SLEEP))
    debug.start()
    assert debug.step() == CODE + 2
    assert debug.state() & S_SLEEP == 0


def test_clearing_debugen_lets_the_core_run(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.halt()
    debug.control(0)
    assert debug.state() & S_HALT == 0


def test_a_breakpoint_set_while_running_stops_the_core(board: Make) -> None:
    """FPB writes act at once; the PC is that of the instruction not yet executed."""
    debug = Debugger(board(COUNT))
    debug.run()
    debug.pass_(0.01)
    debug.poke(0xE0002008, 0x88000000 | (CODE + 2 & 0x1FFFFFFC) | 1)
    debug.poke(0xE0002000, 3)
    debug.pass_(0.01)
    assert debug.state() & S_HALT
    assert (debug.register(15), debug.peek(DFSR)) == (CODE + 2, BKPT)


def test_comparators_do_nothing_without_debugen(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.poke(0xE0002008, 0x48000000 | CODE & 0x1FFFFFFC | 1)
    debug.poke(0xE0002000, 3)
    debug.pass_(0.02)
    assert debug.state() & S_HALT == 0


def test_a_bkpt_in_ram_stops_the_core(board: Make) -> None:
    """Written from outside into code that has run already."""
    debug = Debugger(board(half(0x4700)))  # bx r0
    debug.start()
    for at, word in ((0, 0xE7FE3001), (4, 0xE7FEBF00)):
        debug.poke(RAM + at, word)
    debug.set_register(0, RAM | 1)
    debug.run()
    debug.pass_(0.01)
    debug.halt()
    debug.poke(RAM, 0xBE013001)
    debug.set_register(15, RAM)
    debug.run()
    debug.pass_(0.01)
    assert debug.state() & S_HALT
    assert (debug.register(15), debug.peek(DFSR) & BKPT) == (RAM + 2, BKPT)


def test_a_watchpoint_stops_and_says_which(board: Make) -> None:
    debug = Debugger(board(half(0x6001, 0x3101, 0xE7FC)))  # str r1, [r0]; adds r1, #1; b -
    debug.start()
    debug.set_register(0, RAM + 0x20)
    for at, value in ((0x20, RAM + 0x20), (0x24, 2), (0x28, 6)):
        debug.poke(0xE0001000 + at, value)
    debug.run()
    debug.pass_(0.01)
    assert debug.state() & S_HALT
    assert debug.peek(DFSR) & DWTTRAP
    assert debug.peek(0xE0001028) >> 24 & 1
    assert debug.register(15) == CODE + 2


# ---- sleep and SysTick ----


def test_wfi_sleeps_until_an_interrupt(board: Make) -> None:
    """The handler at 0x48 counts in r4; the core sleeps again behind it."""
    code = SLEEP + half(0xBF00, 0xBF00, 0x3401, 0x4770)  # handler: adds r4, #1; bx lr
    debug = Debugger(board(code, handlers={15: 0x48}))
    debug.pass_(0.02)
    assert debug.state() & S_SLEEP
    debug.poke(0xE000E014, 159_999)
    debug.poke(0xE000E018, 0)
    debug.poke(0xE000E010, 7)
    debug.board.core.sleeping = True
    debug.pass_(0.055)
    assert debug.state() & S_SLEEP
    debug.halt()
    assert debug.register(4) == 5


def test_a_sleeping_core_can_be_halted_behind_the_wfi(board: Make) -> None:
    debug = Debugger(board(SLEEP))
    debug.pass_(0.02)
    debug.halt()
    assert debug.state() & (S_HALT | S_SLEEP) == S_HALT
    assert debug.register(15) == CODE + 2


def test_wfi_with_a_masked_interrupt_goes_on_without_taking_it(board: Make) -> None:
    """PRIMASK holds the handler back but not the wake-up."""
    debug = Debugger(board(half(0xB672, 0xBF30, 0x3501, 0xE7FC), handlers={14: 0x40}))  # cpsid i; wfi; adds r5, #1; b wfi
    debug.pass_(0.02)
    debug.poke(ICSR, PENDSV_SET)
    debug.pass_(0.05)
    debug.halt()
    assert debug.register(5) > 1


def test_an_idle_core_wants_to_be_called_rarely(board: Make) -> None:
    """A sleeping core waits for SysTick, a halted one for nobody."""
    debug = Debugger(board(SLEEP))
    debug.pass_(0.02)
    assert debug.board.core.wake_in() is None
    debug.board.core.systick.write(4, 1_599_999)
    debug.board.core.systick.write(0, 7)
    assert debug.board.core.wake_in() == pytest.approx(0.1, abs=0.001)
    debug.halt()
    assert debug.board.core.wake_in() is None


# ---- exceptions ----


def test_svc_calls_its_handler_and_comes_back(board: Make) -> None:
    code = half(0xDF00, 0x3501, 0xE7FE, 0xBF00, 0x3401, 0x4770)
    debug = Debugger(board(code, handlers={11: 0x48}))
    debug.pass_(0.02)
    debug.halt()
    assert (debug.register(4), debug.register(5), debug.register(16) & 0x1FF) == (1, 1, 0)


def test_pendsv_set_by_the_firmware_is_taken_behind_the_store(board: Make) -> None:
    """Not at the end of the slice: the next instruction already sees r4."""
    code = half(0x6008, 0x4625, 0xE7FE, 0xBF00, 0x3401, 0x4770)  # str r0, [r1]; mov r5, r4; b .
    debug = Debugger(board(code, handlers={14: 0x48}))
    debug.start()
    debug.set_register(4, 0)
    debug.set_register(0, PENDSV_SET)
    debug.set_register(1, ICSR)
    debug.run()
    debug.pass_(0.02)
    debug.halt()
    assert (debug.register(4), debug.register(5)) == (1, 1)


def test_a_step_enters_a_pending_exception_unless_masked(board: Make) -> None:
    debug = Debugger(board(half(0xBF00, 0xBF00, 0xE7FE, 0xBF00, 0x3401, 0x4770), handlers={14: 0x48}))
    debug.start()
    debug.poke(ICSR, PENDSV_SET)
    assert debug.step() == CODE + 2
    debug.control(DEBUGEN | STEP)
    assert (debug.register(15), debug.register(16) & 0x1FF) == (CODE + 8, 14)


def test_maskints_holds_interrupts_back_while_running(board: Make) -> None:
    debug = Debugger(board(COUNT + half(0xBF00, 0xBF00, 0x3401, 0x4770), handlers={14: 0x48}))
    debug.halt()
    debug.set_register(4, 0)
    debug.control(DEBUGEN | HALT | MASKINTS)
    debug.control(DEBUGEN | MASKINTS)
    debug.poke(ICSR, PENDSV_SET)
    debug.pass_(0.02)
    debug.halt()
    assert debug.register(4) == 0


@pytest.mark.parametrize(
    ("code", "cfsr"),
    [
        (half(0xDE00), 1 << 16),
        (half(0x4718), 1 << 17),
        (half(0x6801), 1 << 9 | 1 << 15),
        (half(0x4700), 1 << 8),
        (half(0x4710), 1 << 18),
    ],
)
def test_faults_escalate_to_hardfault_and_say_why(board: Make, code: bytes, cfsr: int) -> None:
    """r0 points nowhere, r2 holds an EXC_RETURN in thread mode, r3 an address without the T bit."""
    debug = Debugger(board(code.ljust(8, b"\0") + half(0xE7FE), handlers={3: 0x48}))
    debug.start()
    for register, value in ((0, 0x60000001 if code == half(0x4700) else 0x60000000), (2, 0xFFFFFFF9), (3, CODE + 8)):
        debug.set_register(register, value)
    debug.run()
    debug.pass_(0.02)
    debug.halt()
    assert debug.register(16) & 0x1FF == 3
    assert debug.peek(CFSR) == cfsr
    assert debug.peek(HFSR) & 1 << 30


def test_an_enabled_usage_fault_gets_its_own_handler(board: Make) -> None:
    debug = Debugger(board(half(0xDE00, 0, 0, 0, 0xE7FE), handlers={6: 0x48}))
    debug.start()
    debug.poke(SHCSR, 1 << 18)
    debug.run()
    debug.pass_(0.02)
    debug.halt()
    assert debug.register(16) & 0x1FF == 6


def test_a_fault_inside_the_hardfault_handler_is_lockup(board: Make) -> None:
    debug = Debugger(board(half(0xDE00), handlers={3: 0x40}))
    debug.pass_(0.02)
    assert debug.state() & S_LOCKUP
    debug.halt()
    assert (debug.state() & (S_LOCKUP | S_HALT), debug.register(15)) == (S_HALT, 0xFFFFFFFE)


def test_a_stack_that_cannot_take_the_frame_is_lockup(board: Make) -> None:
    """The handler cannot even be entered."""
    debug = Debugger(board(half(0x4685, 0xDE00), handlers={3: 0x40}))  # mov sp, r0 (0); udf
    debug.pass_(0.02)
    assert debug.state() & S_LOCKUP


def test_empty_flash_locks_up(board: Make) -> None:
    """Both vectors read FFFFFFFF, as on a new chip."""
    made = board(COUNT)
    made.flash_memory.data[:8] = b"\xff" * 8
    debug = Debugger(made)
    made.reset()
    debug.pass_(0.02)
    assert debug.state() & S_LOCKUP


def test_vector_catch_stops_at_a_hard_fault(board: Make) -> None:
    debug = Debugger(board(half(0xDE00, 0, 0, 0, 0xE7FE), handlers={3: 0x48}))
    debug.halt()
    debug.poke(0xE000EDFC, 1 << 10)
    debug.board.reset()
    debug.control(DEBUGEN)
    debug.pass_(0.02)
    assert debug.state() & S_HALT
    assert (debug.register(15), debug.peek(DFSR) & VCATCH) == (CODE + 8, VCATCH)


# ---- reset ----


@pytest.mark.parametrize("how", ["aircr", "nrst"])
def test_vector_catch_halts_at_the_first_instruction(board: Make, how: str) -> None:
    debug = Debugger(board(COUNT))
    debug.pass_(0.02)
    debug.catch_reset()
    if how == "aircr":
        debug.poke(AIRCR, 0x05FA0004)
    else:
        debug.board.drive_nrst(True)
        debug.board.drive_nrst(False)
    assert debug.state() & S_HALT
    assert (debug.register(15), debug.register(0), debug.register(13)) == (CODE, 0, RAM + 0x4000)


def test_vectreset_restarts_a_halted_core_and_leaves_the_peripherals(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.poke(0x40020000, 7)
    debug.poke(AIRCR, 0x05FA0001)
    assert debug.register(0) > 0
    debug.catch_reset()
    debug.halt()
    debug.poke(AIRCR, 0x05FA0001)
    assert debug.state() & S_HALT
    assert (debug.register(15), debug.register(0), debug.peek(0x40020000)) == (CODE, 0, 7)


def test_s_reset_st_is_sticky_until_read(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.state()
    debug.poke(AIRCR, 0x05FA0004)
    debug.pass_(0.02)
    assert debug.state() & S_RESET
    assert not debug.state() & S_RESET


def test_aircr_needs_its_key(board: Make) -> None:
    debug = Debugger(board(COUNT))
    boots = debug.board.boots
    debug.poke(AIRCR, 4)
    assert debug.board.boots == boots


def test_the_firmware_can_reset_itself(board: Make) -> None:
    debug = Debugger(board(half(0x6008, 0xE7FE)))  # str r0, [r1]; b .
    debug.start()
    debug.set_register(0, 0x05FA0004)
    debug.set_register(1, AIRCR)
    boots = debug.board.boots
    debug.run()
    debug.pass_(0.005)
    assert debug.board.boots == boots + 1


def test_debug_units_survive_a_system_reset_and_lose_power(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.catch_reset()
    debug.poke(0xE0002008, 0x48000101)
    debug.board.reset()
    assert (debug.peek(0xE000EDFC), debug.peek(0xE0002008)) == (1 << 24 | 1, 0x48000101)
    debug.board.power_cycle()
    assert (debug.peek(0xE000EDFC), debug.peek(0xE0002008)) == (0, 0)


def test_time_counts_from_the_boot_and_only_while_running(board: Make) -> None:
    debug = Debugger(board(COUNT))
    debug.board.reset()
    debug.pass_(0.1)
    debug.halt()
    debug.pass_(5.0)
    assert debug.board.core.uptime(debug.now) == pytest.approx(0.1, abs=0.02)
    assert debug.register(15) > FLASH
