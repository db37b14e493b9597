"""Outages per target: what the polling lines of all versions mean together, because single lines lie.

0.8 prints one line per failed poll. From 0.9 on a failed poll prints "Polling … failed" and, only if the examination that
follows fails too, "Examination failed"; the round that succeeds prints the first line once more (target.c, handle_target).
"""

from __future__ import annotations

from dataclasses import dataclass

from ocdsup.openocd.rule import Outage

# Not every core says that an examination succeeded; silence must say it then. One that fails is silent for as long as the USB
# transfers take: 12 s were seen with a probe that hangs (0.12.0).
SETTLED_S = 15.0
TARGETS = 64  # remembered at once; names are foreign text
UNNAMED = ""


@dataclass(slots=True)
class _State:
    tried_at: float | None = None  # a poll failed, the examination is not over
    failures: int = 0  # failed examinations since the target last answered


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a line settled: an examination failed (for the `failures`-th time in a row), or the target is back."""

    target: str
    failed: bool
    failures: int


class Outages:
    """Counts failed examinations, not lines, for every target of one backend."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._last = UNNAMED  # 0.9-0.12 do not name the target whose examination failed: it is the one just polled

    def take(self, move: Outage, target: str | None, now: float) -> Verdict | None:
        """Take one polling line; tell what it settles, if anything."""
        name = self._last if target is None else target
        match move:
            case Outage.BEGIN:
                self._last = name
                self._state(name).tried_at = now
                return None
            case Outage.CONFIRM | Outage.WHOLE:
                state = self._state(name)
                state.tried_at = None
                state.failures += 1
                return Verdict(name, True, state.failures)
            case Outage.BACK:
                return self._back(name)

    def settle(self, now: float) -> list[Verdict]:
        """Tell which targets are back because nothing followed their failed poll for SETTLED_S seconds."""
        due = [name for name, state in self._states.items() if state.tried_at is not None]
        return [
            verdict for name in due if now - (self._states[name].tried_at or 0.0) >= SETTLED_S and (verdict := self._back(name))
        ]

    @property
    def open(self) -> bool:
        """Whether a failed poll waits for the result of its examination."""
        return any(state.tried_at is not None for state in self._states.values())

    @property
    def deadline(self) -> float | None:
        """When `settle` has something to say, monotonic seconds; None when nothing is open."""
        open_at = [state.tried_at for state in self._states.values() if state.tried_at is not None]
        return min(open_at) + SETTLED_S if open_at else None

    def _back(self, name: str) -> Verdict | None:
        state = self._states.get(name)
        if state is None or (state.tried_at is None and not state.failures):
            return None
        failures = state.failures
        state.tried_at, state.failures = None, 0
        return Verdict(name, False, failures)

    def _state(self, name: str) -> _State:
        if name not in self._states and len(self._states) >= TARGETS:
            del self._states[next(iter(self._states))]
        return self._states.setdefault(name, _State())
