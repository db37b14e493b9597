"""Whoever starts an OpenOCD again and again is not fought with, and is told: the breaker, and what both sides hear of it.

The other side hears it in the log of its OpenOCD, which is the console of its IDE or the terminal of its loop: `echo` over the
Tcl port writes there, and nothing else happens (OpenOCD User's Guide, 12.2 Misc Commands). Ours hears it from `why` and status.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ocdsup.probes import tools
from ocdsup.probes.eviction import Decision, Verdict
from ocdsup.probes.holders import WRAPPERS, Holder

ECHO_LIMIT = 300
_BRACED = str.maketrans("", "", "{}\\")
"""What would end a braced word of Tcl, or keep it from ending."""


@dataclass(frozen=True, slots=True)
class RespawnBreaker:
    """Counts evictions per user and command line: whoever respawns the same holder would be fought with for ever."""

    limit: int = 3
    window_s: float = 60.0
    ended: tuple[tuple[str, float], ...] = ()

    def record(self, holder: Holder, now: float) -> RespawnBreaker:
        """Return the breaker after this holder was ended at `now`; what lies outside the window is forgotten."""
        recent = tuple(entry for entry in self.ended if now - entry[1] < self.window_s)
        return replace(self, ended=(*recent, (_respawn_key(holder), now)))

    def count(self, holder: Holder, now: float) -> int:
        """Return how often this command line was ended within the window."""
        key = _respawn_key(holder)
        return sum(name == key and now - at < self.window_s for name, at in self.ended)

    def tripped(self, holder: Holder, now: float) -> bool:
        """Tell whether ending this command line again would be a fight."""
        return self.count(holder, now) >= self.limit

    def check(self, holder: Holder, verdict: Verdict, now: float) -> Verdict:
        """Return the verdict, or leave the holder alone when the breaker has tripped; force is no exception."""
        if verdict.decision is not Decision.EVICT or not self.tripped(holder, now):
            return verdict
        starter = _starter(holder)
        reason = f"{starter} starts it again each time: ended {self.count(holder, now)} times in {self.window_s:.0f} s"
        again = now + self.window_s
        return Verdict(Decision.LEAVE, reason, verdict.stale, again, f"stop what respawns it: {starter}")


def _respawn_key(holder: Holder) -> str:
    return f"{holder.uid}\0{tools.respawn_key(holder.cmdline)}"


def _starter(holder: Holder) -> str:
    """Who starts it; behind a shell also whose shell that is, because the loop may be in either."""
    if holder.parent is None:
        return "something"
    named = f"PID {holder.parent.pid} ({holder.parent.name})"
    named += f" of user {holder.parent.user}" if holder.parent.user else ""
    above = next((one for one in holder.ancestry if one.name not in WRAPPERS), holder.parent)
    return named if above is holder.parent else f"{named}, from PID {above.pid} ({above.name})"


def farewell(bench: str, place: str, why: str) -> str:
    """What an OpenOCD that is asked to end leaves in its log. `place` is where the bench serves GDB, as `localhost:3333`."""
    return f"ocdsup ends this OpenOCD ({why}): bench {bench} has this probe and serves GDB at {place}; connect there instead"


def notice(bench: str, place: str) -> str:
    """What an OpenOCD that came back once too often is told: it has won, and there is a better way."""
    return (
        f"ocdsup has ended this OpenOCD again and again and leaves it alone now: bench {bench} waits for this probe. "
        f"End whatever starts OpenOCD here and connect to {place} instead"
    )


def echo(text: str) -> bytes:
    """Return Tcl that writes one line into the log of an OpenOCD, whatever the text holds, and cannot fail."""
    line = "".join(char if char.isprintable() else "?" for char in text.translate(_BRACED))
    return b"catch {echo {" + line[:ECHO_LIMIT].encode("ascii", "replace") + b"}}"
