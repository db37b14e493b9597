"""How long holders have been the way they are: a snapshot knows no past, so the past is carried along here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ocdsup.probes.holders import Holder

Key = tuple[int, int, str]
"""PID, start time in ticks (a reused PID is another process), and what has been observed."""


@dataclass(frozen=True, slots=True)
class History:
    """Since when each holder is seen idle (no GDB) or stuck (D state), monotonic seconds."""

    since: Mapping[Key, float] = field(default_factory=dict)


def remember(history: History, holders: Iterable[Holder], now: float) -> tuple[History, tuple[Holder, ...]]:
    """Return the new history and the holders with `idle_since` and `stuck_since` filled in.

    A condition that ended is forgotten, and so is a holder that is gone; seen again, its time starts anew.
    """
    since: dict[Key, float] = {}
    dated = []
    for holder in holders:
        who = (holder.pid, holder.start_ticks)
        for what, true in (("idle", holder.gdb_connected is False), ("stuck", holder.state == "D")):
            if true:
                since[(*who, what)] = history.since.get((*who, what), now)
        dated.append(replace(holder, idle_since=since.get((*who, "idle")), stuck_since=since.get((*who, "stuck"))))
    return History(since), tuple(dated)
