"""The SysTick timer of a Cortex-M core, counted in seconds of simulated time (ARMv7-M ARM B3.3)."""

from __future__ import annotations

ENABLE, TICKINT, CLKSOURCE, COUNTFLAG = 1, 2, 4, 1 << 16


class SysTick:
    """Counts down from the reload value at the core clock, and reports each time it passes zero."""

    def __init__(self, clock_hz: int) -> None:
        self.clock_hz = clock_hz
        self.reset()

    def reset(self) -> None:
        """Stop the timer and clear its registers."""
        self._ctrl = 0
        self._reload = 0
        self._left = 0.0  # seconds until the next zero
        self._flag = False

    @property
    def period(self) -> float:
        """Seconds from zero to zero; 0 while the timer cannot run."""
        return (self._reload + 1) / self._hz if self._ctrl & ENABLE and self._reload else 0.0

    def until_zero(self) -> float | None:
        """Return the seconds until the next zero, or None when there will be none."""
        return self._left if self.period else None

    def elapse(self, seconds: float) -> bool:
        """Let time pass; return whether an interrupt has become due (at most one stays pending)."""
        if not self.period:
            return False
        self._left -= seconds
        if self._left > 1e-9:
            return False
        self._left = self.period - (-self._left % self.period)
        self._flag = True
        return bool(self._ctrl & TICKINT)

    def read(self, offset: int) -> int:
        """Read CTRL (0), LOAD (4), VAL (8) or CALIB (12)."""
        match offset:
            case 0:
                value = self._ctrl | COUNTFLAG * self._flag
                self._flag = False
                return value
            case 4:
                return self._reload
            case 8:
                return int(self._left * self._hz) & 0xFFFFFF if self.period else 0
        return 0

    def write(self, offset: int, value: int) -> None:
        """Write CTRL, LOAD or VAL (any write to VAL restarts the count)."""
        match offset:
            case 0:
                started = not self.period
                self._ctrl = value & 7
                if started:
                    self._left = self.period
            case 4:
                self._reload = value & 0xFFFFFF
            case 8:
                self._left, self._flag = self.period, False

    @property
    def _hz(self) -> float:
        return self.clock_hz if self._ctrl & CLKSOURCE else self.clock_hz / 8
