"""Exception entry and return: the stack frame and EXC_RETURN (ARMv7-M ARM B1.5.6 to B1.5.8).

Only the basic frame of eight words is made; the floating-point registers are not stacked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

THREAD_MSP, THREAD_PSP, HANDLER = 0xFFFFFFF9, 0xFFFFFFFD, 0xFFFFFFF1
_FRAME = (0, 1, 2, 3, 12, 14)  # r0..r3, r12, lr; then the return address and xPSR
_MSP, _PSP, _XPSR, _MASKS = 17, 18, 16, 20
_SPSEL = 2 << 24


class RegisterFile(Protocol):
    """Core registers by DCRSR number."""

    def read(self, register: int) -> int: ...

    def write(self, register: int, value: int) -> None: ...


Load = Callable[[int], int]
Store = Callable[[int, int], None]


def enter(core: RegisterFile, number: int, handler: int, store: Store) -> None:
    """Stack the frame and continue at `handler` (bit 0 = T bit) as exception `number`.

    `store(address, word)` may raise: then nothing of the core has changed.
    """
    xpsr, masks = core.read(_XPSR), core.read(_MASKS)
    threaded = xpsr & 0x1FF == 0
    on_psp = threaded and bool(masks & _SPSEL)
    stack = _PSP if on_psp else _MSP
    top = core.read(stack)
    frame = (top - 0x20) & 0xFFFFFFF8  # CCR.STKALIGN is 1 from reset on both cores
    words = [core.read(r) for r in _FRAME] + [core.read(15), xpsr & ~0x200 | (top & 4) << 7]
    for index, word in enumerate(words):
        store(frame + 4 * index, word)
    core.write(stack, frame)
    core.write(20, masks & ~_SPSEL)
    core.write(_XPSR, xpsr & ~0x0700FDFF | (handler & 1) << 24 | number)
    core.write(14, HANDLER if not threaded else THREAD_PSP if on_psp else THREAD_MSP)
    core.write(15, handler & ~1)


def leave(core: RegisterFile, value: int, load: Load) -> bool:
    """Unstack by an EXC_RETURN value; return whether it was a legal one. `load` may raise."""
    if value & 0xF not in (0x1, 0x9, 0xD):
        return False
    stack = _PSP if value & 0xF == 0xD else _MSP
    frame = core.read(stack)
    words = [load(frame + 4 * index) for index in range(8)]
    xpsr = words[7]
    if bool(xpsr & 0x1FF) != (value & 0xF == 0x1):
        return False
    masks = core.read(_MASKS)
    core.write(_XPSR, xpsr & ~0x200)  # first: SPSEL can be written in thread mode only
    if value & 0xF != 0x1:
        core.write(_MASKS, masks & ~_SPSEL | (_SPSEL if stack == _PSP else 0))
    for register, word in zip(_FRAME, words, strict=False):
        core.write(register, word)
    core.write(stack, frame + 0x20 + (4 if xpsr & 0x200 else 0))
    core.write(15, words[6])
    return True
