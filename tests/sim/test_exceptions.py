"""The exception frame, by the architecture manual, on a register file of plain numbers."""

from __future__ import annotations

import pytest

from ocdsup.sim.bus import BusError
from ocdsup.sim.exceptions import HANDLER, THREAD_MSP, THREAD_PSP, enter, leave

T = 1 << 24
SPSEL = 2 << 24


Memory = dict[int, int]


class File:
    """Registers without any banking of their own."""

    def __init__(self, **special: int) -> None:
        self.words = {n: 0x100 + n for n in range(15)} | {15: 0x08000100, 16: T, 17: 0x20001000, 18: 0x20000800, 20: 0}
        self.words |= {int(name[1:]): value for name, value in special.items()}

    def read(self, register: int) -> int:
        return self.words[register]

    def write(self, register: int, value: int) -> None:
        self.words[register] = value


@pytest.mark.parametrize(
    ("xpsr", "masks", "stack", "link"),
    [(T, 0, 17, THREAD_MSP), (T, SPSEL, 18, THREAD_PSP), (T | 15, 0, 17, HANDLER), (T | 15, SPSEL, 17, HANDLER)],
)
def test_the_frame_goes_to_the_stack_in_use_and_lr_says_which(xpsr: int, masks: int, stack: int, link: int) -> None:
    core, memory = File(r16=xpsr, r20=masks), Memory()
    top = core.read(stack)
    enter(core, 11, 0x08000201, memory.__setitem__)
    frame = top - 0x20
    assert core.read(stack) == frame
    assert [memory[frame + 4 * n] for n in range(8)] == [0x100, 0x101, 0x102, 0x103, 0x10C, 0x10E, 0x08000100, xpsr]
    assert (core.read(14), core.read(15), core.read(16)) == (link, 0x08000200, T | 11)
    assert core.read(20) & SPSEL == 0


def test_an_odd_stack_is_aligned_and_put_back() -> None:
    """Bit 9 of the stacked xPSR remembers the four bytes."""
    core, memory = File(r17=0x20001004), Memory()
    enter(core, 15, 0x08000201, memory.__setitem__)
    assert core.read(17) == 0x20000FE0
    assert memory[0x20000FFC] == T | 0x200
    assert leave(core, core.read(14), memory.__getitem__)
    assert core.read(17) == 0x20001004
    assert core.read(16) == T


def test_the_it_state_is_stacked_and_cleared() -> None:
    core, memory = File(r16=T | 0x06000C00), Memory()
    enter(core, 15, 0x08000201, memory.__setitem__)
    assert core.read(16) == T | 15
    leave(core, core.read(14), memory.__getitem__)
    assert core.read(16) == T | 0x06000C00


@pytest.mark.parametrize(("xpsr", "masks"), [(T, 0), (T, SPSEL), (T | 3, 0)])
def test_a_return_undoes_an_entry(xpsr: int, masks: int) -> None:
    core, memory = File(r16=xpsr, r20=masks), Memory()
    before = dict(core.words)
    enter(core, 15, 0x08000201, memory.__setitem__)
    for register in (0, 1, 2, 3, 12):
        core.write(register, 0)
    assert leave(core, core.read(14), memory.__getitem__)
    assert core.words == before


@pytest.mark.parametrize("value", [0xFFFFFFF0, 0xFFFFFFF5, 0xFFFFFFFF])
def test_an_illegal_exc_return_is_refused(value: int) -> None:
    assert not leave(File(), value, lambda _: 0)


def test_a_return_to_a_mode_that_the_frame_contradicts_is_refused() -> None:
    """EXC_RETURN says thread, the stacked xPSR says handler."""
    assert not leave(File(r16=T | 15), THREAD_MSP, lambda _: T | 5)


def test_a_frame_that_cannot_be_stored_changes_no_register() -> None:
    core = File(r17=0x10)
    before = dict(core.words)

    def store(address: int, _word: int) -> None:
        raise BusError(address, True)

    with pytest.raises(BusError):
        enter(core, 15, 0x08000201, store)
    assert core.words == before
