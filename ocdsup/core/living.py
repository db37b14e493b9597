"""A backend's life as its rows of the phase table see it: launched, ready, verified, failing, gone."""

from __future__ import annotations

from ocdsup.core import events as ev
from ocdsup.core.casualties import look, others_well
from ocdsup.core.effects import LookForProbe
from ocdsup.core.faults import FAULTS, REMARKS, Whose
from ocdsup.core.launching import afresh, again, ready, stop, watch_silence
from ocdsup.core.people import asked_profile, fresh_start
from ocdsup.core.recovering import OWN, done, trouble, verify
from ocdsup.core.state import Fault, Phase
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

EVIDENCE = 6  # lines kept to show what a verdict rests on


def launched(turn: Turn, event: ev.Launched) -> None:
    """Know the process of our backend."""
    turn.change_backend(pid=event.pid, argv=event.argv, version=event.version)
    turn.note("launched", run=event.run, pid=event.pid, argv=event.argv)


def launch_failed(turn: Turn, event: ev.LaunchFailed) -> None:
    """No process came to be: that is a fault like any other."""
    turn.forget_backend()
    trouble(turn, event.fault, event.text)


def backend_ready(turn: Turn, event: ev.BackendReady) -> None:
    """OpenOCD says it is up: ask the core."""
    ready(turn, event.targets)
    verify(turn)


def examined(turn: Turn, event: ev.Examined) -> None:
    """The mildest cure worked, or the next one is due."""
    if event.ok:
        verify(turn)
    else:
        trouble(turn, "target-not-answering")


def alive(turn: Turn, _event: ev.Alive) -> None:
    """Put the verdict on silence off."""
    if Timer.HANG in turn.state.timers:
        watch_silence(turn)


def flash_busy(turn: Turn, event: ev.FlashBusy) -> None:
    """While OpenOCD writes flash, or does something else that takes long, its silence means little."""
    state = turn.state
    if turn.backend().busy is event.busy:
        return  # saying it twice must not put the verdict on silence off
    turn.change_backend(busy=event.busy)
    if event.busy and event.flash and state.remark is not None and state.remark.code == "flash-failed":
        state.remark = None  # the next attempt has its own result
    if Timer.BEAT in state.timers:
        watch_silence(turn)


def _remember(turn: Turn, event: ev.LineFound) -> None:
    state = turn.state
    state.findings = {**state.findings, event.finding: state.findings.get(event.finding, 0) + 1}
    if event.fault is None:
        return
    state.evidence = (*state.evidence, event.text)[-EVIDENCE:]
    if event.fault in REMARKS:
        state.remark = Fault(event.fault, turn.now, FAULTS[event.fault].text, (event.text,))


def line_while_starting(turn: Turn, event: ev.LineFound) -> None:
    """Keep the line: the exit, the readiness or the deadline decides, the lines explain it."""
    _remember(turn, event)


def line_while_up(turn: Turn, event: ev.LineFound) -> None:
    """Count failed examinations; look at the bus when the probe itself complains."""
    _remember(turn, event)
    if event.finding == "target-poll-failed":
        _poll_failed(turn, event)
    elif event.finding == "target-recovered":
        _recovered(turn, event)
    elif event.fault is not None and FAULTS[event.fault].whose is Whose.PROBE and turn.state.phase is Phase.READY:
        _degrade(turn)


def _recovered(turn: Turn, event: ev.LineFound) -> None:
    state = turn.state
    state.lost = state.lost - {event.target} if event.target else frozenset()
    if any(event.target in {None, one.name} for one in state.dead):
        look(turn)
    elif state.phase is Phase.DEGRADED and not state.lost and not state.dead:
        turn.go(Phase.READY)


def _poll_failed(turn: Turn, event: ev.LineFound) -> None:
    """Count a failed examination; the repeated ones of one target within the window are the fault this program exists for.

    While another target seems well, all are asked first, and that answer decides (see `casualties`).
    """
    state, target = turn.state, event.target or ""
    if any(one.name == target for one in state.dead):
        return
    window = state.policy.window_s
    recent = (failure for failure in state.failures if turn.now - failure[0] < window)
    state.failures = (*recent, (turn.now, target))
    state.lost |= {target}
    count = sum(name == target for _, name in state.failures)
    partly = others_well(state, target)
    if count >= state.policy.failures and not partly:
        text = f"{count} failed examinations within {window:g} s on {event.target or 'the target'}"
        trouble(turn, "target-poll-failing", text)
        return
    if state.phase is Phase.READY:
        _degrade(turn)
    else:
        turn.arm(Timer.WINDOW, window)
    if count >= state.policy.failures:
        look(turn, target)


def _degrade(turn: Turn) -> None:
    turn.go(Phase.DEGRADED)
    turn.arm(Timer.WINDOW, turn.state.policy.window_s)
    turn.do(LookForProbe())  # a pulled cable looks like a dead target: only the bus can tell them apart


def exited(turn: Turn, event: ev.BackendExited) -> None:
    """OpenOCD ended unasked; before it was ready its last words say why."""
    was_ready = turn.backend().ready
    turn.forget_backend()
    if was_ready or event.fault is None:
        trouble(turn, "backend-exited", f"OpenOCD ended by itself ({event.status})", event.evidence)
    else:
        trouble(turn, event.fault, event.text, event.evidence)


def own_gone(turn: Turn, _event: ev.BackendExited | ev.LaunchFailed) -> None:
    """Our own backend is out of the way."""
    turn.forget_backend()
    done(turn, OWN)


def stopped(turn: Turn, _event: ev.BackendExited | ev.LaunchFailed) -> None:
    """The backend that was to go is gone; meanwhile somebody may want a new one."""
    turn.forget_backend()
    state = turn.state
    if state.wanted and state.borrower is None:
        fresh_start(turn, asked_profile(turn, state.reset_asked))
    else:
        stop(turn)


def stuck_gone(turn: Turn, _event: ev.BackendExited | ev.LaunchFailed) -> None:
    """What even SIGKILL did not end has gone after all, mostly because the probe was pulled."""
    turn.forget_backend()
    state = turn.state
    if not state.wanted or state.borrower is not None:
        stop(turn)
        return
    afresh(turn)
    again(turn)
