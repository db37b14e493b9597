"""What the rows of the phase table do. Each action is one short decision; the table says where it may lead."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core import events as ev
from ocdsup.core.effects import Beat, LookForHolders, LookForProbe, Profile
from ocdsup.core.faults import FAULTS, REMARKS, Whose
from ocdsup.core.launching import (
    afresh,
    after_reset,
    again,
    block,
    default_profile,
    harsher,
    ready,
    recheck,
    stop,
    up,
)
from ocdsup.core.recovering import (
    HOLDERS,
    OWN,
    PROBE,
    USB,
    bad_presence,
    clear,
    done,
    held_text,
    holder_ended,
    holders_seen,
    overdue,
    trouble,
    verify,
)
from ocdsup.core.state import Fault, Phase, Target
from ocdsup.core.timers import Timer, due
from ocdsup.core.turn import Turn

EVIDENCE = 6  # lines kept to show what a verdict rests on


def nothing(_turn: Turn, _event: ev.Event) -> None:
    """An event that needs no decision here."""


# People -------------------------------------------------------------------------------------------------------------


def start(turn: Turn, _event: ev.StartAsked) -> None:
    turn.state.wanted = True
    _fresh_start(turn, default_profile(turn))


def want(turn: Turn, _event: ev.StartAsked | ev.RestartAsked) -> None:
    turn.state.wanted = True


def unwant(turn: Turn, _event: ev.StopAsked) -> None:
    turn.state.wanted = False


def stop_asked(turn: Turn, _event: ev.StopAsked) -> None:
    turn.state.wanted = False
    stop(turn)


def restart(turn: Turn, event: ev.RestartAsked) -> None:
    turn.state.wanted = True
    profile = Profile(under_reset=True, after=after_reset(turn)) if event.under_reset else default_profile(turn)
    _fresh_start(turn, profile)


def _fresh_start(turn: Turn, profile: Profile) -> None:
    """A person wants it now: budgets and ladder start anew."""
    state = turn.state
    afresh(turn)
    state.launches = ()
    state.fault = None
    state.recovery = None
    state.profile = profile
    state.probe = None
    state.holders = ()
    if state.ports_taken is not None:
        state.fault = Fault("port-in-use", turn.now, state.ports_taken)
    clear(turn, looks=False)


def lend(turn: Turn, event: ev.LendAsked) -> None:
    turn.state.borrower = event.borrower
    turn.note("lent", borrower=event.borrower)
    stop(turn)


def lend_ended(turn: Turn, _event: ev.LendEnded) -> None:
    state = turn.state
    turn.note("lend_ended", borrower=state.borrower)
    state.borrower = None
    if state.phase is Phase.STOPPING:
        return  # the backend is still going; its end decides
    if state.wanted:
        _fresh_start(turn, default_profile(turn))
    else:
        stop(turn)


def evict_asked(turn: Turn, event: ev.EvictAsked) -> None:
    turn.do(LookForHolders(force=event.force))


def policy_changed(turn: Turn, event: ev.PolicyChanged) -> None:
    state = turn.state
    state.policy = event.policy
    resting = state.phase in {Phase.STOPPED, Phase.STOPPING, Phase.LENT}
    if event.relaunch and state.wanted and not resting:
        _fresh_start(turn, default_profile(turn))


# A backend's life ---------------------------------------------------------------------------------------------------


def launched(turn: Turn, event: ev.Launched) -> None:
    turn.change_backend(pid=event.pid, argv=event.argv, version=event.version)
    turn.note("launched", run=event.run, pid=event.pid, argv=event.argv)


def launch_failed(turn: Turn, event: ev.LaunchFailed) -> None:
    turn.forget_backend()
    trouble(turn, event.fault, event.text)


def backend_ready(turn: Turn, event: ev.BackendReady) -> None:
    ready(turn, event.targets)
    verify(turn)


def core_verified(turn: Turn, event: ev.CoreVerified) -> None:
    if turn.state.phase is Phase.STARTING and not turn.backend().ready:
        return
    turn.state.targets = tuple(Target(name, state) for name, state in event.states)
    states = {state for _, state in event.states}
    if not event.answers or "unknown" in states:
        trouble(turn, "target-not-answering")
    elif "reset" in states:
        trouble(turn, "target-held-in-reset")
    else:
        up(turn)


def examined(turn: Turn, event: ev.Examined) -> None:
    if event.ok:
        verify(turn)
    else:
        trouble(turn, "target-not-answering")


def alive(turn: Turn, _event: ev.Alive) -> None:
    if Timer.HANG in turn.state.timers:
        turn.arm(Timer.HANG, turn.state.policy.hang_timeout_s)


def flash_busy(turn: Turn, event: ev.FlashBusy) -> None:
    turn.change_backend(busy=event.busy)
    if event.busy:
        turn.disarm(Timer.HANG)
    elif Timer.BEAT in turn.state.timers:
        turn.arm(Timer.HANG, turn.state.policy.hang_timeout_s)


def _remember(turn: Turn, event: ev.LineFound) -> None:
    state = turn.state
    state.findings = {**state.findings, event.finding: state.findings.get(event.finding, 0) + 1}
    if event.fault is None:
        return
    state.evidence = (*state.evidence, event.text)[-EVIDENCE:]
    if event.fault in REMARKS:
        state.remark = Fault(event.fault, turn.now, FAULTS[event.fault].text, (event.text,))


def line_while_starting(turn: Turn, event: ev.LineFound) -> None:
    _remember(turn, event)  # the exit, the readiness or the deadline decides; the lines explain it


def line_while_up(turn: Turn, event: ev.LineFound) -> None:
    _remember(turn, event)
    if event.finding == "target-poll-failed":
        _poll_failed(turn, event)
    elif event.finding == "target-recovered" and turn.state.phase is Phase.DEGRADED:
        turn.go(Phase.READY)
    elif event.fault is not None and FAULTS[event.fault].whose is Whose.PROBE and turn.state.phase is Phase.READY:
        _degrade(turn)


def _poll_failed(turn: Turn, event: ev.LineFound) -> None:
    """Count a failed examination; the repeated ones within the window are the fault this program exists for."""
    state = turn.state
    recent = (at for at in state.failures if turn.now - at < state.policy.window_s)
    state.failures = (*recent, turn.now)
    if len(state.failures) >= state.policy.failures:
        text = f"{len(state.failures)} failed examinations within {state.policy.window_s:g} s on {event.target or 'the target'}"
        trouble(turn, "target-poll-failing", text)
    elif state.phase is Phase.READY:
        _degrade(turn)
    else:
        turn.arm(Timer.WINDOW, state.policy.window_s)


def _degrade(turn: Turn) -> None:
    turn.go(Phase.DEGRADED)
    turn.arm(Timer.WINDOW, turn.state.policy.window_s)
    turn.do(LookForProbe())  # a pulled cable looks like a dead target: only the bus can tell them apart


def exited(turn: Turn, event: ev.BackendExited) -> None:
    was_ready = turn.backend().ready
    turn.forget_backend()
    if was_ready or event.fault is None:
        trouble(turn, "backend-exited", f"OpenOCD ended by itself ({event.status})", event.evidence)
    else:
        trouble(turn, event.fault, event.text, event.evidence)


def own_gone(turn: Turn, _event: ev.BackendExited | ev.LaunchFailed) -> None:
    turn.forget_backend()
    done(turn, OWN)


def stopped(turn: Turn, _event: ev.BackendExited | ev.LaunchFailed) -> None:
    turn.forget_backend()
    state = turn.state
    if state.wanted and state.borrower is None:
        _fresh_start(turn, default_profile(turn))
    else:
        stop(turn)


def stuck_gone(turn: Turn, _event: ev.BackendExited) -> None:
    turn.forget_backend()
    afresh(turn)
    again(turn)


# What the PC shows --------------------------------------------------------------------------------------------------


def probe_seen_while_up(turn: Turn, event: ev.ProbeSeen) -> None:
    turn.state.probe = event
    if code := bad_presence(event):
        trouble(turn, code, event.text or None)


def probe_seen_while_clearing(turn: Turn, event: ev.ProbeSeen) -> None:
    turn.state.probe = event
    done(turn, PROBE)


def probe_seen_while_blocked(turn: Turn, event: ev.ProbeSeen) -> None:
    state = turn.state
    before = state.probe
    state.probe = event
    if state.fault is None or state.fault.code not in {"probe-absent", "probe-denied", "probe-wedged"}:
        return
    if code := bad_presence(event):
        state.world_was_bad = True
        if code != state.fault.code and state.backend is None:
            block(turn, code, event.text or None)
            state.world_was_bad = True
        return
    if state.backend is not None:
        return  # an OpenOCD that even SIGKILL did not end still has the old device
    replugged = before is not None and before.identity != event.identity
    if state.fault.code == "probe-wedged" and not (replugged or state.world_was_bad):
        return
    if replugged or state.world_was_bad:
        afresh(turn)
    again(turn)


def holders_seen_while_clearing(turn: Turn, event: ev.HoldersSeen) -> None:
    holders_seen(turn, event)
    done(turn, HOLDERS)


def holders_seen_while_blocked(turn: Turn, event: ev.HoldersSeen) -> None:
    state = turn.state
    state.waits = frozenset()
    held = state.fault is not None and state.fault.code == "probe-held"
    if any(h.evict for h in event.holders):
        turn.go(Phase.CLEARING)
        turn.arm(Timer.PHASE, 3 * state.policy.grace_s)
        holders_seen(turn, event)
        return
    state.holders = event.holders
    state.unseen = event.unseen
    if not held:
        return
    if event.holders:
        state.world_was_bad = True
        state.fault = replace(state.fault, text=held_text(event.holders)) if state.fault else None
        return
    if state.world_was_bad:
        afresh(turn)
    again(turn)


def holder_ended_while_clearing(turn: Turn, event: ev.HolderEnded) -> None:
    holder_ended(turn, event)
    done(turn, f"evict:{event.pid}")


def usb_was_reset(turn: Turn, event: ev.UsbWasReset) -> None:
    turn.note("usb_reset", ok=event.ok, text=event.text)
    done(turn, USB)


def ports_opened(turn: Turn, event: ev.PortsOpened) -> None:
    ports_are_open(turn, event)
    if turn.state.fault is not None and turn.state.fault.code == "port-in-use":
        turn.state.fault = None
        afresh(turn)
        again(turn)


def ports_are_open(turn: Turn, _event: ev.PortsOpened) -> None:
    turn.state.ports_taken = None


def port_taken(turn: Turn, event: ev.PortTaken) -> None:
    turn.state.ports_taken = event.text
    turn.note("port_taken", text=event.text)


def target_seen(turn: Turn, event: ev.TargetSeen) -> None:
    state = turn.state
    state.targets = tuple(replace(t, state=event.state) if t.name == event.target else t for t in state.targets)


def voltage_seen(turn: Turn, event: ev.VoltageSeen) -> None:
    turn.state.voltage = event.volts


def sessions_changed(turn: Turn, event: ev.SessionsChanged) -> None:
    turn.state.sessions = event.counts
    turn.state.session_halted = event.halted


# Time ---------------------------------------------------------------------------------------------------------------


def _fired(turn: Turn) -> set[Timer]:
    fired = set(due(turn.state.timers, turn.now))
    turn.disarm(*fired)
    return fired


def tick_starting(turn: Turn, _event: ev.Tick) -> None:
    if Timer.PHASE in _fired(turn):
        turn.stop_backend(hard=True)
        limit = turn.state.policy.start_timeout_s
        trouble(turn, "backend-hung", f"OpenOCD was not ready within {limit:g} s")


def tick_up(turn: Turn, _event: ev.Tick) -> None:
    fired = _fired(turn)
    state = turn.state
    if Timer.STABLE in fired:
        held = state.held
        afresh(turn)
        state.held = held  # a core that is kept halted has not shown yet that its firmware leaves the pins alone
    if Timer.WINDOW in fired:
        turn.go(Phase.READY)
    if Timer.BEAT in fired:
        turn.arm(Timer.BEAT, state.policy.beat_s)
        turn.do(Beat(turn.backend().run))
    if Timer.HANG in fired:
        turn.stop_backend(hard=True)
        trouble(turn, "backend-hung", f"no sign of life from OpenOCD for {state.policy.hang_timeout_s:g} s")


def tick_curing(turn: Turn, _event: ev.Tick) -> None:
    if Timer.PHASE in _fired(turn):
        trouble(turn, "target-not-answering")


def tick_clearing(turn: Turn, _event: ev.Tick) -> None:
    fired = _fired(turn)
    if Timer.STOP in fired:
        harsher(turn)
    if Timer.PHASE in fired and turn.state.phase is Phase.CLEARING:
        overdue(turn)


def tick_backoff(turn: Turn, _event: ev.Tick) -> None:
    if Timer.PHASE in _fired(turn):
        from ocdsup.core.launching import launch

        launch(turn)


def tick_blocked(turn: Turn, _event: ev.Tick) -> None:
    fired = _fired(turn)
    if Timer.STOP in fired:
        harsher(turn)
    if Timer.RECHECK in fired:
        recheck(turn)


def tick_stopping(turn: Turn, _event: ev.Tick) -> None:
    if Timer.STOP in _fired(turn):
        harsher(turn)
