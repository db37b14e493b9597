"""The emulator behind its seam: what had to be learned about it, and IT blocks in lockstep."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.sim.bus import Bus, BusError, Mapped, Memory, Registers
from ocdsup.sim.cpu import Cpu, Watch, Why

FLASH, RAM, DEVICE = 0x08000000, 0x20000000, 0x40000000
EQ, NE = 0, 1


class Nor:
    """Flash that lets itself be programmed, or not."""

    allowed = True

    def program(self, address: int, size: int, value: int) -> bool:
        return self.allowed


class Recorder(Registers):
    """A device that remembers its writes, ends the run at a write of 5, and faults at offset 0x100."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.stop: Callable[[], None] = lambda: None

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0x100:
            raise BusError(DEVICE + offset, True)
        self.seen.append(value)
        if value == 5:
            self.stop()


def half(*codes: int) -> bytes:
    """Return Thumb halfwords as bytes."""
    return struct.pack(f"<{len(codes)}H", *codes)


def make(code: bytes) -> tuple[Cpu, Recorder, Nor]:
    """Return a core whose PC stands at `code` in flash."""
    nor, device = Nor(), Recorder()
    flash = bytearray(b"\xff" * 0x2000)
    flash[: len(code)] = code
    bus = Bus([Memory("flash", FLASH, flash, nor), Memory("ram", RAM, bytearray(0x2000))])
    bus.devices = [Mapped("device", DEVICE, 0x1000, device)]
    cpu = Cpu(bus)
    device.stop = cpu.stop
    cpu.reset(RAM + 0x1000, FLASH | 1)
    return cpu, device, nor


def test_a_reset_loads_stack_and_entry() -> None:
    """SP and PC come from the arguments, LR is -1, the T bit from the entry's bit 0."""
    cpu, _, _ = make(b"")
    assert (cpu.read(13), cpu.pc, cpu.read(14), cpu.xpsr) == (RAM + 0x1000, FLASH, 0xFFFFFFFF, 1 << 24)


@pytest.mark.parametrize("register", [*range(13), 14, 17, 18, 0x40, 0x5F])
def test_registers_keep_what_is_written(register: int) -> None:
    """By DCRSR number, floating-point registers included."""
    cpu, _, _ = make(b"")
    cpu.write(register, 0x13570000)
    assert cpu.read(register) == 0x13570000


def test_the_mask_registers_travel_in_one_word() -> None:
    """CONTROL, FAULTMASK, BASEPRI and PRIMASK are packed as DCRSR 20 says."""
    cpu, _, _ = make(b"")
    cpu.write(20, 2 << 24 | 1 << 16 | 0x40 << 8 | 1)
    assert cpu.read(20) == 2 << 24 | 1 << 16 | 0x40 << 8 | 1


def test_a_run_ends_after_its_count() -> None:
    """Counting is exact for straight code."""
    cpu, _, _ = make(half(*[0x3001] * 10))  # adds r0, #1
    assert cpu.run(7).why is Why.DONE
    assert (cpu.read(0), cpu.pc) == (7, FLASH + 14)


def test_code_changed_from_outside_is_seen_after_touched() -> None:
    """Without the flush the old translation would run on."""
    cpu, _, _ = make(half(0x2001, 0xE7FD))  # movs r0, #1; b .
    cpu.run(5)
    memory = cpu.bus.memory_at(FLASH)
    assert memory is not None
    memory.data[0:2] = half(0x2002)
    cpu.touched()
    cpu.run(5)
    assert cpu.read(0) == 2


def test_a_breakpoint_stops_in_front_of_the_instruction_every_time() -> None:
    """Also when the run begins on it, as with the hardware comparator."""
    cpu, _, _ = make(half(0x2001, 0x2002, 0x2003))
    cpu.break_at([FLASH + 2])
    assert cpu.run(9).why is Why.BREAKPOINT
    assert (cpu.read(0), cpu.pc) == (1, FLASH + 2)
    assert cpu.run(9).why is Why.BREAKPOINT
    assert cpu.step().why is Why.BREAKPOINT
    cpu.break_at([])
    assert cpu.step().why is Why.DONE
    assert cpu.read(0) == 2


def test_a_watchpoint_stops_behind_the_finished_instruction() -> None:
    """The store, the write-back and the PC are all done."""
    cpu, _, _ = make(half(0xF840, 0x1B04, 0x2003))  # str r1, [r0], #4; movs r0, #3
    cpu.write(0, RAM + 0x10)
    cpu.write(1, 0x77)
    cpu.watch([Watch(RAM + 0x10, RAM + 0x13, on_read=False, on_write=True)])
    stop = cpu.run(9)
    assert (stop.why, stop.address) == (Why.WATCHPOINT, RAM + 0x10)
    assert (cpu.read(0), cpu.pc, cpu.bus.read(RAM + 0x10, 4)) == (RAM + 0x14, FLASH + 4, 0x77)


@pytest.mark.parametrize(("on_read", "on_write", "stops"), [(True, False, True), (False, True, False)])
def test_a_watchpoint_tells_reads_from_writes(on_read: bool, on_write: bool, stops: bool) -> None:
    """A load hits read and access watchpoints only."""
    cpu, _, _ = make(half(0x6801, 0x2003, 0xE7FE))  # ldr r1, [r0]; movs r0, #3; b .
    cpu.write(0, RAM + 0x10)
    cpu.watch([Watch(RAM + 0x10, RAM + 0x13, on_read, on_write)])
    assert (cpu.run(2).why is Why.WATCHPOINT) is stops


def test_a_stop_from_a_device_leaves_no_half_done_instruction() -> None:
    """The write happens once, although the emulator has to run the instruction twice."""
    cpu, device, _ = make(half(0xF840, 0x1B04, 0x2003))  # str r1, [r0], #4
    cpu.write(0, DEVICE)
    cpu.write(1, 5)
    assert cpu.run(9).why is Why.STOPPED
    assert (device.seen, cpu.read(0), cpu.pc) == ([5], DEVICE + 4, FLASH + 4)


def test_a_device_fault_stops_in_front_of_the_instruction() -> None:
    """The PC and the base register are those of the faulting instruction."""
    cpu, _, _ = make(half(0xF840, 0x1B04))
    cpu.write(0, DEVICE + 0x100)
    stop = cpu.run(9)
    assert (stop.why, stop.address, cpu.pc, cpu.read(0)) == (Why.DATA, DEVICE + 0x100, FLASH, DEVICE + 0x100)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (half(0xBE01), Why.BKPT),
        (half(0xDF00), Why.SVC),
        (half(0xDE00), Why.UNDEFINED),
        (half(0xFFFF, 0xFFFF), Why.UNDEFINED),
        (half(0x6801), Why.DATA),  # ldr r1, [r0] from 0x60000000
        (half(0x4700), Why.FETCH),  # bx r0 to 0x60000001
        (half(0x4710), Why.EXC_RETURN),  # bx r2
        (half(0x4718), Why.STATE),  # bx r3 without the T bit
        (half(0xBF30), Why.WFI),
    ],
)
def test_every_reason_to_stop_is_told(code: bytes, why: Why) -> None:
    """A single step names why it ended."""
    cpu, _, _ = make(code)
    cpu.write(0, 0x60000001 if why is Why.FETCH else 0x60000000)
    cpu.write(2, 0xFFFFFFF9)
    cpu.write(3, FLASH + 0x100)
    stop = cpu.step()
    if why in (Why.FETCH, Why.STATE) and stop.why is Why.DONE:
        stop = cpu.step()  # the branch itself is fine, its target is not
    assert stop.why is why


@pytest.mark.parametrize("hint", [0xBF00, 0xBF10, 0xBF20, 0xBF40])
def test_other_hints_are_passed_over(hint: int) -> None:
    """NOP, YIELD, WFE and SEV have nothing to wait for on one core."""
    cpu, _, _ = make(half(hint, 0x2007, 0xE7FE))
    assert cpu.step().why in (Why.DONE, Why.STOPPED)
    assert cpu.pc == FLASH + 2
    cpu.run(5)
    assert cpu.read(0) == 7


def test_floating_point_instructions_work() -> None:
    """vmov s0, r0; vadd.f32 s0, s0, s0: 1.0 becomes 2.0."""
    cpu, _, _ = make(half(0xEE00, 0x0A10, 0xEE30, 0x0A00, 0xE7FE))
    cpu.write(0, 0x3F800000)
    cpu.run(3)
    assert cpu.read(0x40) == 0x40000000


@pytest.mark.parametrize("target", [DEVICE | 1, DEVICE + 0x101])
def test_a_jump_into_a_device_is_a_fetch_fault(target: int) -> None:
    cpu, _, _ = make(half(0x4700))
    cpu.write(0, target)
    assert cpu.run(9).why is Why.FETCH


def test_an_exc_return_value_can_be_recognised() -> None:
    """Bit 0 is lost in the emulator; the rest tells the three values apart."""
    for value in (0xFFFFFFF1, 0xFFFFFFF9, 0xFFFFFFFD):
        cpu, _, _ = make(half(0x4710))
        cpu.write(2, value)
        assert cpu.run(3).address | 1 == value


def test_a_count_that_ends_behind_a_wfi_is_not_sleep() -> None:
    """The branch lands behind the WFI without executing it, again and again."""
    cpu, _, _ = make(half(0xE000, 0xBF30, 0x3001, 0xE7FD))  # b +; wfi; adds r0, #1; b -
    for _ in range(5):
        assert cpu.run(2).why is Why.DONE
    assert cpu.read(0) >= 4


def test_wfi_in_a_loop_is_sleep_from_its_second_time_on() -> None:
    """The first time counts as a NOP, which the architecture allows."""
    cpu, _, _ = make(half(0xBF30, 0xE7FD))  # wfi; b -
    cpu.run(9)
    assert cpu.run(9).why is Why.WFI
    assert cpu.pc == FLASH + 2


@pytest.mark.parametrize(("allowed", "cell"), [(True, 0x1230), (False, 0xFFF0)])
def test_a_store_into_flash_is_a_programming_operation(allowed: bool, cell: int) -> None:
    """Bits only go from 1 to 0, and a refused store changes nothing."""
    cpu, _, nor = make(half(0x8001, 0x2105))  # strh r1, [r0]; movs r1, #5
    memory = cpu.bus.memory_at(FLASH)
    assert memory is not None
    memory.data[0x100:0x102] = b"\xf0\xff"
    nor.allowed = allowed
    cpu.write(0, FLASH + 0x100)
    cpu.write(1, 0x123F)
    cpu.run(2)
    assert cpu.bus.read(FLASH + 0x100, 2) == cell
    assert cpu.pc in (FLASH + 2, FLASH + 4)


# ---- IT blocks ----


_PLAIN = st.sampled_from([0x3001, 0x3102, 0x3203, 0x1840, 0x1A09, 0x4048, 0x0052])  # no flag is set inside IT
_SETTING = st.sampled_from([0x2800, 0x2901, 0x2A07, 0x3001, 0x3901, 0x3204])
_WIDE = (0xF100, 0x0001)  # add.w r0, r0, #1


@st.composite
def _block(draw: st.DrawFn) -> list[int]:
    """Return an IT block of one to four instructions, 16 or 32 bits wide."""
    condition, length = draw(st.integers(0, 13)), draw(st.integers(1, 4))
    thens = [draw(st.booleans()) for _ in range(length - 1)]
    mask = 0
    for index, then in enumerate(thens):
        mask |= ((condition & 1) ^ (not then)) << 3 - index
    codes = [0xBF00 | condition << 4 | mask | 1 << 4 - length]
    for _ in range(length):
        codes += list(_WIDE) if draw(st.booleans()) else [draw(_PLAIN)]
    return codes


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.one_of(_block(), _SETTING.map(lambda code: [code])), min_size=1, max_size=12),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
def test_stepping_and_running_agree_instruction_by_instruction(parts: list[list[int]], start: list[int]) -> None:
    """One step moves the PC by one instruction, also over skipped ones, and ends where a free run ends."""
    code = half(*[code for part in parts for code in part], 0xBE00)
    stepped, run = make(code)[0], make(code)[0]
    for cpu in (stepped, run):
        for register, value in enumerate(start):
            cpu.write(register, value)
    sizes = _sizes(code)
    for size in sizes:
        before = stepped.pc
        assert stepped.step().why is Why.DONE
        assert stepped.pc - before == size
    assert run.run(200).why is Why.BKPT
    assert [stepped.read(n) for n in range(17)] == [run.read(n) for n in range(17)]


def _sizes(code: bytes) -> list[int]:
    """Return the sizes of the instructions up to the BKPT at the end."""
    sizes, at = [], 0
    while at < len(code) - 2:
        size = 4 if code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        sizes.append(size)
        at += size
    return sizes


def test_a_step_out_of_a_run_that_ended_inside_an_it_block_goes_on_right() -> None:
    """The IT state survives between runs: ITE EQ with Z clear skips the first and executes the second."""
    cpu, _, _ = make(half(0xBF0C, 0x2105, 0x2106, 0x2207))
    cpu.write(16, 1 << 24)
    assert [cpu.step().why for _ in range(2)] == [Why.DONE, Why.DONE]
    assert cpu.pc == FLASH + 4
    cpu.run(1)
    assert cpu.read(1) == 6
    assert cpu.xpsr & 0x0600FC00 == 0
