"""Ending the foreign processes that have the probe, as far as the policy lets us."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core import events as ev
from ocdsup.core.effects import EndHolder
from ocdsup.core.ladder import Rung
from ocdsup.core.launching import afresh
from ocdsup.core.recovering import CURE_S, record
from ocdsup.core.state import Evicted, Phase, Recovery
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

REMEMBERED = 5  # ended processes that the status tells of
LEFT_ALONE = "left-alone"  # how an eviction ends when somebody has begun to use the holder since the verdict


def _remembered(turn: Turn, ended: ev.HolderEnded) -> tuple[Evicted, ...]:
    known = (holder for holder in turn.state.holders if holder.pid == ended.pid)
    return tuple(Evicted(turn.now, one.pid, one.name, one.user, one.why, ended.how) for one in known)


def end_of(pid: int) -> str:
    """What is waited for in `State.waits` until the end of a holder is heard of."""
    return f"evict:{pid}"


def holders_seen(turn: Turn, seen: ev.HoldersSeen) -> None:
    """Remember the holders, and end those that the policy lets us end and that did not resist before."""
    state = turn.state
    state.refused &= {(holder.pid, holder.start) for holder in seen.holders}
    state.holders = tuple(_resisting(turn, holder) for holder in seen.holders)
    state.unseen = seen.unseen
    for holder in state.holders:
        if holder.evict and end_of(holder.pid) not in state.waits:
            state.waits |= {end_of(holder.pid)}
            turn.note("evicting", pid=holder.pid, name=holder.name, user=holder.user, why=holder.why)
            turn.do(EndHolder(holder.pid, holder.start))


def _resisting(turn: Turn, holder: ev.HolderSeen) -> ev.HolderSeen:
    """A holder that could not be ended is not tried again every few seconds; a person may ask for it again."""
    if (holder.pid, holder.start) not in turn.state.refused:
        return holder
    return replace(holder, evict=False, why=f"{holder.why}; it could not be ended")


def evict_first(turn: Turn, seen: ev.HoldersSeen) -> bool:
    """From rest: clear the way of the holders that may be ended now. False when there are none."""
    state = turn.state
    state.waits = frozenset()
    was_bad = state.world_was_bad
    holders_seen(turn, seen)
    if not state.waits:
        return False
    if was_bad:
        afresh(turn)
    if state.fault is not None and state.fault.code == "probe-held":
        state.recovery = Recovery(turn.now, state.fault.code)
    turn.go(Phase.CLEARING)
    turn.arm(Timer.PHASE, 2 * state.policy.grace_s + CURE_S)
    return True


def holder_ended(turn: Turn, ended: ev.HolderEnded) -> None:
    """A holder is gone, or could not be ended; `text` says why."""
    state = turn.state
    state.waits -= {end_of(ended.pid)}
    turn.note("holder_ended", pid=ended.pid, ended=ended.ended, how=ended.how, text=ended.text)
    if ended.ended:
        if ended.how != "gone":
            state.evicted = (*state.evicted, *_remembered(turn, ended))[-REMEMBERED:]
        state.holders = tuple(h for h in state.holders if h.pid != ended.pid)
        if ended.how != "gone":
            state.evictions += 1
            state.streak = 0  # the obstacle is gone for a fact: what follows is no blind repetition, intensity bounds it
            record(turn, Rung.EVICT.value)
    else:
        if ended.how != LEFT_ALONE:  # who is in use now may be free later, and is then judged anew
            state.refused |= {(h.pid, h.start) for h in state.holders if h.pid == ended.pid}
        state.holders = tuple(replace(h, evict=False, why=ended.text) if h.pid == ended.pid else h for h in state.holders)
