"""From a fault to the next cure: blame, choose a rung, clear the way, launch."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core import events as ev
from ocdsup.core.effects import Examine, LookForHolders, LookForProbe, Profile, ResetUsb, UsbCure, VerifyCore
from ocdsup.core.faults import FAULTS, Whose
from ocdsup.core.ladder import Need, Rung, next_rung
from ocdsup.core.launching import (
    again,
    blame,
    block,
    default_profile,
    is_stuck,
    launch,
    rest_failed,
    under_reset,
    wedged,
)
from ocdsup.core.policy import AfterRecovery, UnderReset
from ocdsup.core.state import Phase, Recovery
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

CURE_S = 5.0  # a cure over Tcl that took longer did not work
USB_S = 20.0  # for a USB cure, which has a shorter deadline of its own, and for the probe to be back on the bus
OBSTACLES = frozenset({"probe-absent", "probe-denied", "wrong-target", "port-in-use"})  # no restart can help
OWN, PROBE, HOLDERS, USB = "own", "probe", "holders", "usb"
_USB_CURES = {cure.value: cure for cure in UsbCure}


def trouble(turn: Turn, code: str, text: str | None = None, evidence: tuple[str, ...] = ()) -> None:
    """The bench cannot be used because of `code`: find and start the cure."""
    state = turn.state
    blame(turn, code, text, evidence or state.evidence)
    turn.note("fault", fault=code, text=state.fault.text if state.fault else "")
    state.streak += 1
    if FAULTS[code].whose is Whose.CONFIG or code in OBSTACLES or _for_good(turn):
        clear(turn, looks=False)
    else:
        climb(turn, code)


def _for_good(turn: Turn) -> bool:
    """Whether OpenOCD was given up for such faults already; then this was its one try for now."""
    fault = turn.state.fault
    return turn.state.given_up and fault is not None and FAULTS[fault.code].whose is Whose.BACKEND


def climb(turn: Turn, code: str) -> None:
    """Take the next rung of the ladder for `code`."""
    state = turn.state
    choice = next_rung(code, state.tried, _able(turn))
    if state.recovery is None:
        state.recovery = Recovery(turn.now, code)
    if not choice.exhausted:  # repeats of the last rung change no later choice, and an outage may last for months
        state.tried = (*state.tried, (code, choice.rung))
    state.exhausted = choice.exhausted
    turn.note("rung_chosen", fault=code, rung=choice.rung.value, exhausted=choice.exhausted)
    if choice.rung is not Rung.EVICT:  # an eviction is recorded when a process really was ended
        record(turn, choice.rung.value)
    if choice.rung is Rung.EXAMINE:
        turn.go(Phase.CURING)
        turn.arm(Timer.PHASE, CURE_S)
        turn.do(Examine(turn.backend().run))
        return
    # OpenOCD's own end does not let a halted core run; every cure that may reset or power it does.
    state.held = choice.rung is Rung.HOLD_HALTED or (state.held and choice.rung in {Rung.RESTART, Rung.EVICT})
    state.profile = _profile(turn, choice.rung)
    clear(turn, looks=choice.looks, usb=_USB_CURES.get(choice.rung.value))


def record(turn: Turn, rung: str) -> None:
    """Write a rung into the running recovery; endless repeats of the last one count as one."""
    recovery = turn.state.recovery
    if recovery is None:
        return
    if not (turn.state.exhausted and recovery.rungs and recovery.rungs[-1] == rung):
        turn.state.recovery = replace(recovery, rungs=(*recovery.rungs, rung))


def _able(turn: Turn) -> frozenset[Need]:
    state = turn.state
    needs = {
        Need.BACKEND: state.backend is not None and state.backend.ready,
        Need.UNDER_RESET: state.policy.under_reset is not UnderReset.NEVER,
        Need.USB: state.has_usb and state.policy.usb_reset and not state.usb_stuck,
        Need.FREE_CORE: state.policy.after_recovery is not AfterRecovery.RUN,
    }
    return frozenset(need for need, met in needs.items() if met)


def _profile(turn: Turn, rung: Rung) -> Profile:
    match rung:
        case Rung.UNDER_RESET:
            return under_reset(turn)
        case Rung.SLOW_UNDER_RESET:
            return under_reset(turn, turn.state.policy.slow_speed_khz)
        case Rung.HOLD_HALTED:
            return Profile(under_reset=True, after="halt")
        case Rung.EVICT:
            return turn.state.profile  # the start that failed was right, only the probe was taken
        case _:
            return default_profile(turn)


def clear(turn: Turn, *, looks: bool, usb: UsbCure | None = None, once_more: bool = False) -> None:
    """Remove what is in the way: our own backend, and with `looks` the stale holders of the probe; then cure its USB device.

    `once_more`: then try what was given up.
    """
    state = turn.state
    if is_stuck(turn):
        wedged(turn)
        return
    _forget_looks(turn)
    state.once_more = once_more
    waits = set()
    turn.go(Phase.CLEARING)
    if state.backend is not None:
        waits.add(OWN)
        turn.stop_backend()
    if looks:
        waits |= {PROBE, HOLDERS}
        turn.do(LookForProbe(), LookForHolders())
    state.usb_cure = usb
    if usb is not None:
        waits.add(USB)
        if state.backend is None:
            turn.do(ResetUsb(usb))
    state.waits = frozenset(waits)
    turn.arm(Timer.PHASE, 2 * state.policy.grace_s + (CURE_S if usb is None else USB_S))
    if not waits:
        cleared(turn)


def _forget_looks(turn: Turn) -> None:
    """What was in the way some time ago must not block the next launch; the identity stays, to notice a replug."""
    state = turn.state
    state.world_was_bad = False
    state.holders = ()
    state.unseen = ""
    if state.probe is not None and bad_presence(state.probe):
        state.probe = None


def done(turn: Turn, what: str) -> None:
    """One thing that CLEARING waited for is over."""
    state = turn.state
    if what == OWN and state.usb_cure is not None and USB in state.waits:
        turn.do(ResetUsb(state.usb_cure))  # not while our own backend has the device open
    state.waits -= {what}
    if not state.waits:
        cleared(turn)


def overdue(turn: Turn) -> None:
    """Answers that did not come are no reason to wait for ever; only our own backend must be gone."""
    state = turn.state
    turn.note("clearing_overdue", waits=sorted(state.waits))
    state.waits &= {OWN}
    if state.waits:
        turn.arm(Timer.PHASE, CURE_S)
        turn.stop_backend(hard=True)
    else:
        cleared(turn)


def cleared(turn: Turn) -> None:
    """The way is as free as it gets: rest if it is not free enough, else launch."""
    state = turn.state
    fault = state.fault
    if fault is not None and (FAULTS[fault.code].whose is Whose.CONFIG or (_for_good(turn) and not state.once_more)):
        rest_failed(turn)
    elif fault is not None and fault.code in OBSTACLES:
        block(turn, fault.code, fault.text)
    elif obstacle := _obstacle(turn):
        block(turn, *obstacle)
    elif state.once_more:
        launch(turn)
    else:
        again(turn)


_BAD_PRESENCE = {
    ev.Presence.ABSENT: "probe-absent",
    ev.Presence.AMBIGUOUS: "probe-absent",
    ev.Presence.DENIED: "probe-denied",
}


def bad_presence(seen: ev.ProbeSeen) -> str | None:
    """The fault that a look at the bus means, if any."""
    return _BAD_PRESENCE.get(seen.presence)


def _obstacle(turn: Turn) -> tuple[str, str | None] | None:
    """What the last looks found in the way: (fault, text)."""
    state = turn.state
    if state.probe is not None and (code := bad_presence(state.probe)):
        return code, state.probe.text or None
    if state.holders:
        return "probe-held", held_text(state.holders)
    if state.usb_stuck:
        return "probe-wedged", state.usb_stuck
    if state.fault is not None and state.fault.code == "probe-wedged" and state.exhausted:
        return "probe-wedged", state.fault.text
    return None


def held_text(holders: tuple[ev.HolderSeen, ...]) -> str:
    """Who has the probe and why they were left alone."""
    who = ", ".join(f"{h.who}{f', since {h.since}' if h.since else ''} ({h.why})" for h in holders)
    return f"held by {who}"


def verify(turn: Turn) -> None:
    """Ask whether the core really answers."""
    turn.do(VerifyCore(turn.backend().run))
