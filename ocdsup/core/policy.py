"""The plain numbers that bound one bench; the daemon fills them from the `recovery:` part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UnderReset(StrEnum):
    """Whether a start may hold NRST low while it connects."""

    AUTO = "auto"  # only as a cure
    ALWAYS = "always"  # every start: boards whose firmware locks the pins at once
    NEVER = "never"  # families that do not support it (stm32h7x.cfg, OpenOCD 0.12, says so)


class AfterRecovery(StrEnum):
    """In which state a recovery that reset the target leaves it."""

    AUTO = "auto"
    RUN = "run"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds and budgets of one bench. All durations are seconds."""

    failures: int = 3
    window_s: float = 10.0
    start_timeout_s: float = 15.0
    hang_timeout_s: float = 15.0
    busy_limit_s: float = 1000.0  # as long as GDB waits for an answer to a flash request (remote.c remote_flash_timeout)
    grace_s: float = 7.0
    backoff_first_s: float = 0.5
    backoff_factor: float = 2.0
    backoff_limit_s: float = 30.0
    restarts: int = 10
    period_s: float = 300.0
    under_reset: UnderReset = UnderReset.AUTO
    slow_speed_khz: int = 240
    usb_reset: bool = True
    after_recovery: AfterRecovery = AfterRecovery.AUTO

    def silence_s(self, *, busy: bool) -> float:
        """Seconds without a sign of life after which a backend counts as hung."""
        return max(self.busy_limit_s, self.hang_timeout_s) if busy else self.hang_timeout_s

    @property
    def beat_s(self) -> float:
        """Seconds between two heartbeats: five chances to answer before the backend counts as hung."""
        return self.hang_timeout_s / 5

    def backoff_s(self, streak: int) -> float:
        """Pause before the launch that follows `streak` failures in a row, 0 … `backoff_limit_s`.

        The first two retries are immediate: most crashes are single, and a debug session waits.
        """
        if streak <= 2:
            return 0.0
        # Twenty doublings are beyond every limit; a larger exponent would overflow a float after a long night.
        return min(self.backoff_first_s * self.backoff_factor ** min(streak - 3, 20), self.backoff_limit_s)
