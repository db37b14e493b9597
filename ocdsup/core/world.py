"""What the PC shows, and what its rows of the phase table make of it: bus, holders, USB reset, ports, plain facts."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core import events as ev
from ocdsup.core.casualties import ALIVE, look
from ocdsup.core.evicting import end_of, evict_first, holder_ended, holders_seen
from ocdsup.core.faults import FAULTS, Whose
from ocdsup.core.launching import RECHECK_S, afresh, again, blame, block, default_profile, renewed
from ocdsup.core.recovering import (
    HOLDERS,
    PROBE,
    USB,
    bad_presence,
    climb,
    done,
    held_text,
    trouble,
)
from ocdsup.core.state import UP, Fault
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

SOONEST_S = 0.05  # a verdict that changes "now" must not become a busy loop
_LOOKED_FOR = frozenset({"probe-absent", "probe-denied", "probe-wedged", "probe-held"})  # blocks that a look at the bus can end
_ENOUGH_V = 1.65  # lowest supply the STM32 families debug at (ST, AN4488); OpenOCD warns below 1.5 V


def _code(turn: Turn) -> str | None:
    return turn.state.fault.code if turn.state.fault is not None else None


def probe_seen_while_up(turn: Turn, event: ev.ProbeSeen) -> None:
    """A probe that is gone explains the failures; an ambiguous or forbidden one is still open in our OpenOCD."""
    if event.presence is not ev.Presence.AMBIGUOUS:
        turn.state.probe = event
    if event.presence is ev.Presence.ABSENT:
        trouble(turn, "probe-absent", event.text or None)


def probe_seen_while_waiting(turn: Turn, event: ev.ProbeSeen) -> None:
    """Waiting for a probe that is gone is pointless, and so is waiting once it was plugged in again."""
    state = turn.state
    before, state.probe = state.probe, event
    if code := bad_presence(event):
        turn.note("fault", fault=code, text=event.text)
        block(turn, code, event.text or None)
    elif _replugged(before, event):
        renewed(turn)
        state.profile = default_profile(turn)
        again(turn)


def probe_seen_while_failed(turn: Turn, event: ev.ProbeSeen) -> None:
    """A probe that was plugged in again may be why OpenOCD crashed or hung; no plug cures a configuration."""
    state = turn.state
    before, state.probe = state.probe, event
    back = _replugged(before, event) or (before is not None and before.presence is ev.Presence.ABSENT)
    if not back or bad_presence(event) or state.fault is None or FAULTS[state.fault.code].whose is not Whose.BACKEND:
        return
    renewed(turn)
    state.profile = default_profile(turn)
    again(turn)


def _replugged(before: ev.ProbeSeen | None, event: ev.ProbeSeen) -> bool:
    return before is not None and before.identity != "" and event.identity not in {"", before.identity}


def probe_seen_while_clearing(turn: Turn, event: ev.ProbeSeen) -> None:
    """The look at the bus is done; what it means is judged when the way is clear."""
    turn.state.probe = event
    done(turn, PROBE)


def probe_seen_while_blocked(turn: Turn, event: ev.ProbeSeen) -> None:
    """End the block when the probe is back, or call the obstacle by its new name."""
    state = turn.state
    before, state.probe = state.probe, event
    if _code(turn) not in _LOOKED_FOR or state.backend is not None:
        return  # with a backend: an OpenOCD that even SIGKILL did not end still has the old device
    if code := bad_presence(event):
        if code != _code(turn):
            block(turn, code, event.text or None)
        elif event.text:
            blame(turn, code, event.text)  # our own look names the probe or the server; OpenOCD's last words often do not
        state.world_was_bad = True
    elif _code(turn) != "probe-held":
        _probe_is_there(turn, event, replugged=before is not None and before.identity != event.identity)


def _probe_is_there(turn: Turn, event: ev.ProbeSeen, *, replugged: bool) -> None:
    state = turn.state
    changed = replugged or state.world_was_bad
    if changed:
        state.usb_stuck = ""
    if _code(turn) == "probe-wedged" and not changed and state.has_usb and event.presence is ev.Presence.PRESENT:
        if state.usb_stuck or turn.now - state.since < state.policy.backoff_limit_s:
            return  # the same wedged device; a probe without a bus can only be tried
        state.streak = 0  # it may have been a passing trouble: one try now, then `blocked` again for as long
    if changed:
        renewed(turn)
        state.profile = default_profile(turn)
    again(turn)


def holders_seen_while_clearing(turn: Turn, event: ev.HoldersSeen) -> None:
    """End those holders that may be ended, before the launch."""
    holders_seen(turn, event)
    done(turn, HOLDERS)


def holders_seen_while_blocked(turn: Turn, event: ev.HoldersSeen) -> None:
    """End holders that became stale; launch when the probe is free."""
    state = turn.state
    if state.backend is not None:
        holders_seen(turn, event)
    elif evict_first(turn, event):
        return
    elif _code(turn) == "probe-held":
        _still_held(turn, event)


def _still_held(turn: Turn, event: ev.HoldersSeen) -> None:
    state = turn.state
    if event.holders:
        state.world_was_bad = True
        state.fault = replace(state.fault, text=held_text(state.holders)) if state.fault else None
        if event.again_at is not None:
            turn.arm(Timer.RECHECK, min(RECHECK_S["probe-held"], max(SOONEST_S, event.again_at - turn.now)))
        return
    if state.world_was_bad:
        renewed(turn)
    again(turn)


def holders_seen_aside(turn: Turn, event: ev.HoldersSeen) -> None:
    """A person asked for evictions while the bench does something else, which is not disturbed."""
    holders_seen(turn, event)


def holder_ended_while_clearing(turn: Turn, event: ev.HolderEnded) -> None:
    """One obstacle less, or one that stays."""
    holder_ended(turn, event)
    done(turn, end_of(event.pid))


def holder_ended_while_waiting(turn: Turn, event: ev.HolderEnded) -> None:
    """The probe is free again, so the rest of the back-off is pointless."""
    holder_ended(turn, event)
    if event.ended and _code(turn) == "probe-held":
        afresh(turn)
        again(turn)


def holder_ended_aside(turn: Turn, event: ev.HolderEnded) -> None:
    """Remember the end of a holder that nothing here waits for."""
    holder_ended(turn, event)


def usb_was_reset(turn: Turn, event: ev.UsbWasReset) -> None:
    """The USB cure is over; whether it helped shows at the next start. One that could not be done is no cure: the next one."""
    state = turn.state
    cure = state.usb_cure.value if state.usb_cure is not None else ""
    turn.note("usb_reset", cure=cure, ok=event.ok, text=event.text)
    if USB not in state.waits:
        return  # it belongs to an earlier recovery
    if event.identity:  # a new device number that is our own doing, and no replug by hand
        state.probe = ev.ProbeSeen(ev.Presence.PRESENT, "", event.identity, state.probe.location if state.probe else None)
    if event.wedged:
        state.usb_stuck = event.text
    if event.ok or event.wedged or state.fault is None or state.waits != {USB}:
        done(turn, USB)
    else:
        climb(turn, state.fault.code)


def usb_came_free(turn: Turn, event: ev.UsbWasReset) -> None:
    """The kernel has let go of a USB cure that sat in it, which a replug does, or time."""
    state = turn.state
    if not state.usb_stuck or event.wedged:
        return
    turn.note("usb_came_free", text=event.text)
    state.usb_stuck = ""
    if _code(turn) == "probe-wedged" and state.backend is None:
        state.streak = 0
        again(turn)


def ports_opened(turn: Turn, event: ev.PortsOpened) -> None:
    """The stable ports are ours: a bench that waited for them starts."""
    ports_are_open(turn, event)
    if _code(turn) == "port-in-use":
        turn.state.fault = None
        afresh(turn)
        again(turn)


def ports_are_open(turn: Turn, _event: ev.PortsOpened) -> None:
    """Remember that the stable ports are ours."""
    turn.state.ports_taken = None


def port_taken(turn: Turn, event: ev.PortTaken) -> None:
    """Remember who has a stable port; the next start waits for it, a running backend is not ended for it."""
    state = turn.state
    state.ports_taken = event.text
    if state.fault is not None and state.fault.code == "port-in-use":
        state.fault = Fault("port-in-use", state.fault.since, event.text)
    turn.note("port_taken", text=event.text)


def target_seen(turn: Turn, event: ev.TargetSeen) -> None:
    """Remember the state of a core."""
    state = turn.state
    if any(dead.name == event.target for dead in state.dead):
        if event.state in ALIVE and state.phase in UP:
            look(turn)  # somebody has examined it
        return
    state.targets = tuple(replace(t, state=event.state) if t.name == event.target else t for t in state.targets)


def voltage_seen(turn: Turn, event: ev.VoltageSeen) -> None:
    """Remember the supply voltage; a sufficient one clears the remark about a low one."""
    state = turn.state
    state.voltage = event.volts
    if event.volts >= _ENOUGH_V and state.remark is not None and state.remark.code == "target-unpowered":
        state.remark = None


def sessions_changed(turn: Turn, event: ev.SessionsChanged) -> None:
    """Remember who debugs, which decides how a recovery leaves the core. Who comes to a dead target finds it looked at."""
    state = turn.state
    new = set(event.debugged) - set(state.debugged)
    state.sessions = event.counts
    state.session_halted = event.halted
    state.session_cores = event.cores
    state.debugged = event.debugged
    if state.phase in UP and any(dead.name in new for dead in state.dead):
        look(turn)
