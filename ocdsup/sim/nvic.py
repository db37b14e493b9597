"""Which exception runs: pending, enabled, active and priorities (ARMv7-M ARM B1.5, B3.4)."""

from __future__ import annotations

RESET, NMI, HARDFAULT, MEMMANAGE, BUSFAULT, USAGEFAULT = 1, 2, 3, 4, 5, 6
SVCALL, DEBUGMON, PENDSV, SYSTICK, FIRST_IRQ = 11, 12, 14, 15, 16
IRQS = 96  # STM32F407 has 82 lines; registers come in words of 32
IDLE = 256  # execution priority of thread mode: every exception may preempt
_FIXED = {RESET: -3, NMI: -2, HARDFAULT: -1}
_ALWAYS = {RESET, NMI, HARDFAULT, SVCALL, DEBUGMON, PENDSV, SYSTICK}
_SHCSR_ENABLE = {MEMMANAGE: 16, BUSFAULT: 17, USAGEFAULT: 18}
_SHCSR_ACTIVE = {MEMMANAGE: 0, BUSFAULT: 1, USAGEFAULT: 3, SVCALL: 7, DEBUGMON: 8, PENDSV: 10, SYSTICK: 11}


class Nvic:
    """The state of every exception, by exception number (interrupt line n is number 16 + n)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing pending, nothing enabled beyond what always is, all priorities 0."""
        self.pending: set[int] = set()
        self.active: list[int] = []
        self._enabled: set[int] = set(_ALWAYS)
        self._priority = dict.fromkeys(range(FIRST_IRQ + IRQS), 0)
        self.group = 0  # AIRCR.PRIGROUP

    def group_priority(self, number: int) -> int:
        """Return the preemption priority of an exception; smaller wins."""
        if number in _FIXED:
            return _FIXED[number]
        return self._priority[number] & self._group_mask()

    def _group_mask(self) -> int:
        return ~((2 << self.group) - 1) & 0xFF

    def execution_priority(self, masks: int) -> int:
        """Return the current priority; `masks` is CONTROL, FAULTMASK, BASEPRI, PRIMASK as DCRSR 20 packs them."""
        level = min((self.group_priority(n) for n in self.active), default=IDLE)
        base = masks >> 8 & 0xFF & self._group_mask()
        if base:
            level = min(level, base)
        if masks & 1:
            level = min(level, 0)
        if masks >> 16 & 1:
            level = min(level, -1)
        return level

    def next(self, level: int) -> int | None:
        """Return the pending, enabled exception that may preempt `level`; ties go to the lower number."""
        ready = [n for n in self.pending if n in self._enabled and self.group_priority(n) < level]
        return min(ready, key=lambda n: (self._rank(n), n), default=None)

    def _rank(self, number: int) -> int:
        return _FIXED.get(number, self._priority[number])

    def enabled(self, number: int) -> bool:
        """Return whether an exception may be taken at all."""
        return number in self._enabled

    def enter(self, number: int) -> None:
        """Make an exception active."""
        self.pending.discard(number)
        self.active.append(number)

    def leave(self, number: int) -> None:
        """End an active exception."""
        if number in self.active:
            self.active.remove(number)

    # ---- registers: words of 32 lines, and bytes of priority ----

    def bits(self, which: str, word: int) -> int:
        """Return 32 lines of 'enabled', 'pending' or 'active' as a register."""
        group = {"enabled": self._enabled, "pending": self.pending, "active": set(self.active)}[which]
        first = FIRST_IRQ + 32 * word
        return sum(1 << n for n in range(32) if first + n in group)

    def set_bits(self, which: str, word: int, value: int, on: bool) -> None:
        """Switch the lines whose bits are set in `value` on or off."""
        group = self._enabled if which == "enabled" else self.pending
        first = FIRST_IRQ + 32 * word
        chosen = {first + n for n in range(32) if value >> n & 1 and first + n < FIRST_IRQ + IRQS}
        if on:
            group |= chosen
        else:
            group -= chosen

    def priorities(self, first: int) -> int:
        """Return the priority bytes of four exceptions as a register."""
        return sum(self._priority.get(first + n, 0) << 8 * n for n in range(4))

    def set_priorities(self, first: int, value: int) -> None:
        """Set four priority bytes; only the upper four bits exist on these parts."""
        for n in range(4):
            if first + n in self._priority and first + n not in _FIXED:
                self._priority[first + n] = value >> 8 * n & 0xF0

    def shcsr(self) -> int:
        """Return the system handler control and state register."""
        enabled = sum(1 << bit for n, bit in _SHCSR_ENABLE.items() if n in self._enabled)
        return enabled | sum(1 << bit for n, bit in _SHCSR_ACTIVE.items() if n in self.active)

    def set_shcsr(self, value: int) -> None:
        """Enable or disable the configurable faults."""
        for number, bit in _SHCSR_ENABLE.items():
            if value >> bit & 1:
                self._enabled.add(number)
            else:
                self._enabled.discard(number)

    def icsr(self, exception: int) -> int:
        """Return the interrupt control and state register while `exception` runs."""
        pending = self.next(IDLE) or 0
        flags = (PENDSV in self.pending) << 28 | (SYSTICK in self.pending) << 26 | (NMI in self.pending) << 31
        outer = len(self.active) <= 1
        return flags | any(n >= FIRST_IRQ for n in self.pending) << 22 | pending << 12 | outer << 11 | exception

    def set_icsr(self, value: int) -> None:
        """Set or clear the pending state of NMI, PendSV and SysTick."""
        for bit, number in ((31, NMI), (28, PENDSV), (26, SYSTICK)):
            if value >> bit & 1:
                self.pending.add(number)
        for bit, number in ((27, PENDSV), (25, SYSTICK)):
            if value >> bit & 1:
                self.pending.discard(number)
