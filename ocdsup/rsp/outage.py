"""A server of somebody else that went away: for how long a debugger that waits for its program waits for the server as well.

A debugger that waits for a stop says nothing and is told nothing: without an end to it, an IDE whose server was ended for good
shows a running program for ever, and a script hangs. With it, GDB reads what it reads without a proxy: that its connection was
closed, which every IDE takes for the end of the session. OpenOCD's supervisor brings its backend back, and needs no such end.
"""

from dataclasses import dataclass

from .packets import Row
from .policy import Policy


@dataclass(slots=True)
class Outage:
    """The time that is left until the session ends; `until` (seconds) is None while nobody waits."""

    policy: Policy
    until: float | None = None

    def begins(self, why: str, now: float) -> str:
        """Note that a debugger waits for a stop while the server is away, and `why`; return what it is told, one line."""
        if self.policy.transparent and self.until is None:
            self.until = now + self.policy.wait_for
        return f"ocdsup: {why}; the program goes on when it is back{self._within(self.policy.wait_for)}\n"

    def hurries(self, why: str, now: float) -> str:
        """Note that its user wants the program to stop: what cannot be done soon is given up; return what he is told."""
        if self.policy.transparent:
            soon = now + self.policy.answer_within
            self.until = soon if self.until is None else min(self.until, soon)
        return f"ocdsup: {why}; the interrupt is delivered when it is back{self._within(self.policy.answer_within)}\n"

    def leaves(self, row: Row, *, served: bool) -> bool:
        """Tell whether a debugger wants to leave its program, of which nothing is there to be left: its session can end now."""
        return self.policy.transparent and not served and row.name in ("D", "vKill", "k")

    def ends(self, *, served: bool) -> None:
        """Note that the server may be there again."""
        if served:
            self.until = None

    def over(self, now: float) -> bool:
        """Tell whether the server has been away for too long."""
        return self.until is not None and self.until <= now

    def _within(self, seconds: float) -> str:
        return f", or the session ends in {seconds:g} s" if self.policy.transparent else ""
