"""The breakpoint and watchpoint units: FPB and DWT (ARMv7-M ARM C1.8, C1.11)."""

from __future__ import annotations

from ocdsup.sim.cpu import Watch

_READ, _WRITE, _ACCESS, _PC = 5, 6, 7, 4


class Fpb:
    """Flash patch and breakpoint unit: six code comparators, two literal ones (kept, without effect)."""

    CODE, LITERAL = 6, 2

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The state after power on; a system reset does not touch the unit."""
        self.enabled = False
        self._comp = [0] * (self.CODE + self.LITERAL)
        self._remap = 0

    def addresses(self) -> set[int]:
        """Return the instruction addresses that stop the core."""
        if not self.enabled:
            return set()
        found: set[int] = set()
        for comp in self._comp[: self.CODE]:
            if comp & 1:
                base = comp & 0x1FFFFFFC
                found |= {base} if comp >> 30 & 1 else set()
                found |= {base + 2} if comp >> 31 & 1 else set()
        return found

    def read(self, offset: int) -> int:
        """Read FP_CTRL (0), FP_REMAP (4) or a comparator (8...)."""
        if offset == 0:
            return self.LITERAL << 8 | self.CODE << 4 | self.enabled
        if offset == 4:
            return self._remap
        index = (offset - 8) // 4
        return self._comp[index] if index < len(self._comp) else 0

    def write(self, offset: int, value: int) -> None:
        """Write a register; FP_CTRL only with its key bit 1 set."""
        if offset == 0:
            if value & 2:
                self.enabled = bool(value & 1)
        elif offset == 4:
            self._remap = value & 0x1FFFFFE0
        elif (offset - 8) // 4 < len(self._comp):
            self._comp[(offset - 8) // 4] = value & 0xDFFFFFFD


class Dwt:
    """Data watchpoint and trace unit: four comparators and a cycle counter."""

    COUNT = 4

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The state after power on; a system reset does not touch the unit."""
        self._ctrl = 0
        self.cycles = 0
        self._comp = [0] * self.COUNT
        self._mask = [0] * self.COUNT
        self._function = [0] * self.COUNT

    def watches(self) -> set[Watch]:
        """Return the address ranges whose accesses stop the core."""
        found = set()
        for index in range(self.COUNT):
            kind = self._function[index] & 0xF
            if kind in (_READ, _WRITE, _ACCESS):
                begin, end = self._range(index)
                found.add(Watch(begin, end, kind != _WRITE, kind != _READ))
        return found

    def addresses(self) -> set[int]:
        """Return the instruction addresses that stop the core."""
        return {self._comp[n] & ~1 for n in range(self.COUNT) if self._function[n] & 0xF == _PC}

    def hit(self, address: int) -> None:
        """Set MATCHED in every comparator that covers `address`."""
        for index in range(self.COUNT):
            begin, end = self._range(index)
            if self._function[index] & 0xF and begin <= address <= end:
                self._function[index] |= 1 << 24

    def count(self, instructions: int) -> None:
        """Let the cycle counter follow; one instruction counts as one cycle."""
        if self._ctrl & 1:
            self.cycles = (self.cycles + instructions) & 0xFFFFFFFF

    def _range(self, index: int) -> tuple[int, int]:
        size = 1 << self._mask[index]
        begin = self._comp[index] & ~(size - 1)
        return begin, begin + size - 1

    def read(self, offset: int) -> int:
        """Read DWT_CTRL (0), DWT_CYCCNT (4) or a comparator's COMP, MASK, FUNCTION (0x20 + 16 n ...)."""
        if offset == 0:
            return self.COUNT << 28 | self._ctrl
        if offset == 4:
            return self.cycles
        index, part = divmod(offset - 0x20, 16)
        if not 0 <= index < self.COUNT:
            return 0
        if part == 8:
            value = self._function[index]
            self._function[index] &= ~(1 << 24)
            return value
        return (self._comp[index], self._mask[index])[part // 4] if part < 8 else 0

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == 0:
            self._ctrl = value & 0x0FFFFFFF
        elif offset == 4:
            self.cycles = value
        elif 0 <= (offset - 0x20) // 16 < self.COUNT:
            index, part = divmod(offset - 0x20, 16)
            if part == 0:
                self._comp[index] = value
            elif part == 4:
                self._mask[index] = value & 0x1F
            elif part == 8:
                self._function[index] = value & 0xFFF
