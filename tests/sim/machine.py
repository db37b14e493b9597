"""Machine code and debug-port shorthands for tests that run a whole board."""

from __future__ import annotations

import struct

from ocdsup.sim.board import Board
from ocdsup.sim.scs import DCRDR, DCRSR, DEMCR, DHCSR

FLASH, RAM, CODE = 0x08000000, 0x20000000, 0x08000040
KEY = 0xA05F0000
DEBUGEN, HALT, STEP, MASKINTS = 1, 2, 4, 8
S_HALT, S_SLEEP, S_LOCKUP, S_RETIRE, S_RESET = 1 << 17, 1 << 18, 1 << 19, 1 << 24, 1 << 25
NOW = 1.0


def half(*codes: int) -> bytes:
    """Return Thumb halfwords as bytes."""
    return struct.pack(f"<{len(codes)}H", *codes)


class Debugger:
    """Reads and writes a board as a probe does, at a time that only `pass_` moves."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.now = NOW
        board.core.advance(NOW)

    def peek(self, address: int) -> int:
        return self.board.read(address, 4, self.now)

    def poke(self, address: int, value: int) -> None:
        self.board.write(address, 4, value, self.now)

    def control(self, bits: int) -> None:
        """Write DHCSR with its key."""
        self.poke(DHCSR, KEY | bits)

    def halt(self) -> None:
        self.control(DEBUGEN | HALT)

    def step(self) -> int:
        """Step one instruction with interrupts masked, as HLA does; return the new PC."""
        self.control(DEBUGEN | HALT | MASKINTS)
        self.control(DEBUGEN | STEP | MASKINTS)
        self.control(DEBUGEN | HALT)
        return self.register(15)

    def run(self) -> None:
        self.control(DEBUGEN)

    def register(self, number: int) -> int:
        self.poke(DCRSR, number)
        return self.peek(DCRDR)

    def set_register(self, number: int, value: int) -> None:
        self.poke(DCRDR, value)
        self.poke(DCRSR, 1 << 16 | number)

    def catch_reset(self) -> None:
        """Arm vector catch for the next reset."""
        self.control(DEBUGEN)
        self.poke(DEMCR, 1 << 24 | 1)

    def start(self) -> None:
        """Halt at the first instruction behind a reset, with nothing active and nothing pending."""
        self.catch_reset()
        self.board.reset()
        self.poke(DEMCR, 1 << 24)
        self.poke(0xE000ED30, 0xF)

    def pass_(self, seconds: float) -> None:
        """Let time pass in slices of 10 ms, as the server does."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(self.now + 0.01, end)
            self.board.core.advance(self.now)

    def state(self) -> int:
        return self.peek(DHCSR)
