"""Starting, bringing up and resting: everything between the wish for a backend and a verified core."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core.effects import Launch, LookForHolders, LookForProbe, Profile, RestoreResetConfig
from ocdsup.core.faults import FAULTS, Whose
from ocdsup.core.policy import AfterRecovery, UnderReset
from ocdsup.core.state import Backend, Fault, Phase, Signalled, Target
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

HISTORY = 20  # recoveries kept for the status
RENEWED_S = 5.0  # shortest pause between two launches beyond the intensity, each after the PC has shown something better
GIVEN_UP_S = 600.0  # shortest pause between two tries of a bench that was given up
_BLINK_S = 0.1  # shortest pause: a budget that frees itself "now" must not be missed by a rounding error, again and again

# What is looked at again while a bench is blocked, and how often in seconds. A look costs no restart.
RECHECK_S: dict[str, float] = {
    "probe-absent": 1.0,
    "probe-denied": 5.0,
    "probe-held": 2.0,
    "probe-wedged": 1.0,
    "wrong-target": 30.0,
    "port-in-use": 5.0,
}

# How a start finds the core's state of before a loan again.
AS_BEFORE = {"halted": "hold", "running": "resume"}


def default_profile(turn: Turn) -> Profile:
    """How this bench starts when nothing is wrong."""
    if turn.state.policy.under_reset is UnderReset.ALWAYS:
        return under_reset(turn)
    return Profile()


def under_reset(turn: Turn, speed_khz: int | None = None) -> Profile:
    """A start that resets the board and leaves it as its user had it: of several cores only those halted that were."""
    after, state = after_reset(turn), turn.state
    by_session = after == "halt" and state.policy.after_recovery is AfterRecovery.AUTO
    return Profile(True, speed_khz, after, some_of(turn, state.session_cores) if by_session else ())


def some_of(turn: Turn, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Names of some of the bench's targets; none when it is all of them."""
    return () if {target.name for target in turn.state.targets} <= set(targets) else targets


def after_reset(turn: Turn) -> str:
    """`halt` or `run` for a start that resets the board: as its user left it, unless the policy says otherwise."""
    wish = turn.state.policy.after_recovery
    if wish is not AfterRecovery.AUTO:
        return str(wish.value)
    return "halt" if turn.state.session_halted else "run"


def afresh(turn: Turn) -> None:
    """The world changed, or a person asked: earlier failures no longer count."""
    state = turn.state
    state.streak = 0
    state.tried = ()
    state.exhausted = False
    state.given_up = False
    state.held = False


def renewed(turn: Turn) -> None:
    """The PC shows that what was in the way is over: a probe is back, or its holder is gone. So the fault is over too."""
    afresh(turn)
    turn.state.fault = None
    turn.state.renewed = True
    turn.state.part_reset = False


def again(turn: Turn) -> None:
    """Launch now, or as soon as the back-off allows. Nothing of ours may be running."""
    delay = turn.state.policy.backoff_s(turn.state.streak)
    if delay > 0:
        wait(turn, delay)
    else:
        launch(turn)


def wait(turn: Turn, delay_s: float) -> None:
    """Rest in back-off for `delay_s` seconds."""
    turn.go(Phase.BACKOFF)
    turn.arm(Timer.PHASE, delay_s)
    turn.note("backing_off", delay_s=round(delay_s, 3), streak=turn.state.streak)


def launch(turn: Turn) -> None:
    """Start a backend, if the intensity allows one more."""
    state = turn.state
    assert state.backend is None, "two backends would fight for one probe"
    state.launches = tuple(at for at in state.launches if turn.now - at < state.policy.period_s)
    if (wait_s := _spent_s(turn)) > 0:
        _spent(turn, wait_s)
        return
    state.renewed = False
    state.launches = (*state.launches, turn.now)
    state.run += 1
    state.restarts += state.run > 1
    state.evidence = ()
    state.failures = ()
    state.lost = frozenset()
    state.looking = None
    state.remark = None
    state.backend = Backend(state.run, state.profile, turn.now)
    turn.go(Phase.STARTING)
    turn.arm(Timer.PHASE, state.policy.start_timeout_s)
    turn.do(Launch(state.run, state.profile))


def _spent_s(turn: Turn) -> float:
    """Seconds until the intensity allows a launch. One that the PC itself has renewed waits for RENEWED_S only.

    A person who plugs the probe in does not wait minutes for failures of before; a plug that comes and goes makes no storm.
    """
    state, policy = turn.state, turn.state.policy
    if len(state.launches) < policy.restarts:
        return 0.0
    at = state.launches[0] + policy.period_s
    if state.renewed:
        at = min(at, state.launches[-1] + RENEWED_S)
    return at - turn.now


def _spent(turn: Turn, wait_s: float) -> None:
    """The intensity is used up: give up on OpenOCD itself, but only slow down for a board that may return any hour."""
    state = turn.state
    if state.fault is not None and FAULTS[state.fault.code].whose is Whose.BACKEND:
        rest_failed(turn)
        return
    wait(turn, max(_BLINK_S, wait_s))


def rest_failed(turn: Turn) -> None:
    """Rest until a person or a new configuration changes something.

    What made OpenOCD hang or crash may heal without either (a server that is restarted, a board that is swapped), and nothing
    but OpenOCD would notice. So a bench that was given up is tried once in a while; a wrong configuration does not heal.
    """
    state = turn.state
    turn.go(Phase.FAILED)
    state.given_up = state.fault is not None and FAULTS[state.fault.code].whose is Whose.BACKEND
    if state.given_up:
        turn.arm(Timer.RECHECK, max(GIVEN_UP_S, state.policy.period_s))
    close_recovery(turn, "failed")
    turn.note("gave_up", fault=state.fault.code if state.fault else None)


def block(turn: Turn, code: str, text: str | None = None) -> None:
    """Rest until the obstacle `code` goes away; it is looked at regularly, which spends no restarts."""
    state = turn.state
    blame(turn, code, text)
    state.world_was_bad = False
    turn.go(Phase.BLOCKED)
    turn.arm(Timer.RECHECK, RECHECK_S[code])
    close_recovery(turn, "blocked")
    turn.note("blocked", fault=code, text=state.fault.text if state.fault else "")


def recheck(turn: Turn) -> None:
    """Look at the obstacle again."""
    code = turn.state.fault.code if turn.state.fault else "probe-absent"
    turn.arm(Timer.RECHECK, RECHECK_S[code])
    match code:
        case "probe-held":
            turn.do(LookForProbe(), LookForHolders())
        case "probe-absent" | "probe-denied" | "probe-wedged":
            turn.do(LookForProbe())
        case "wrong-target":
            again(turn)  # only OpenOCD can tell which chip is connected now
        case "port-in-use" if turn.state.ports_taken is None:
            again(turn)  # it was a private port of OpenOCD, which nobody but OpenOCD tries
        case _:
            pass  # a stable port: its listener tries by itself and says PortsOpened


def blame(turn: Turn, code: str, text: str | None = None, evidence: tuple[str, ...] = ()) -> None:
    """Make `code` the fault of the bench; the same fault keeps its age and, without news, its evidence."""
    old = turn.state.fault
    same = old is not None and old.code == code
    since = old.since if old is not None and same else turn.now
    kept = old.evidence if old is not None and same else ()
    turn.state.fault = Fault(code, since, text or FAULTS[code].text, evidence or kept)


def ready(turn: Turn, targets: tuple[str, ...]) -> None:
    """OpenOCD says it is up: believe it only when the core answers."""
    turn.change_backend(ready=True)
    turn.state.targets = tuple(Target(name) for name in targets)
    backend = turn.backend()
    turn.note("backend_ready", run=backend.run, took_s=round(turn.now - backend.since, 3))


def up(turn: Turn, phase: Phase = Phase.READY) -> None:
    """The core answers as it should, or of several at least one does (`DEGRADED`): the bench can be used."""
    state = turn.state
    backend = turn.backend()
    if backend.profile.under_reset:
        turn.do(RestoreResetConfig(backend.run))
    if state.profile.after in AS_BEFORE.values():
        state.profile = default_profile(turn)  # that state is found again; what the core does from now on is its own affair
    state.fault = None
    state.usb_stuck = ""
    state.failures = ()
    turn.go(phase)
    close_recovery(turn, "recovered" if phase is Phase.READY else phase.value)
    turn.arm(Timer.BEAT, state.policy.beat_s)
    watch_silence(turn)
    turn.arm(Timer.STABLE, state.policy.window_s)
    turn.note("bench_ready", run=backend.run)


def watch_silence(turn: Turn) -> None:
    """Begin to wait for a sign of life."""
    turn.arm(Timer.HANG, turn.state.policy.silence_s(busy=turn.backend().busy))


def close_recovery(turn: Turn, outcome: str) -> None:
    """Write the running recovery, if any, into the history."""
    state = turn.state
    if state.recovery is None:
        return
    took = turn.now - state.recovery.at
    done = replace(state.recovery, took_s=took, outcome=outcome)
    state.history = (*state.history, done)[-HISTORY:]
    state.recovery = None
    state.recoveries += outcome == "recovered"
    turn.note("recovery_over", fault=done.fault, outcome=outcome, took_s=round(took, 3), rungs=done.rungs)


def stop(turn: Turn) -> None:
    """Come to rest: nothing runs and nothing is wanted, or the probe is lent."""
    if turn.state.backend is not None:
        if is_stuck(turn):
            wedged(turn)  # the truth: the probe is not free, and only its own end makes it so
            return
        turn.go(Phase.STOPPING)
        turn.stop_backend()
        return
    turn.state.fault = None
    turn.state.remark = None
    close_recovery(turn, "stopped")
    turn.go(Phase.LENT if turn.state.borrower is not None else Phase.STOPPED)


def harsher(turn: Turn) -> None:
    """The signal had its grace: the next one, and at the end the truth that nothing ends this process."""
    backend = turn.backend()
    turn.disarm(Timer.STOP)
    match backend.signalled:
        case Signalled.TERM:
            turn.stop_backend(hard=True)
        case Signalled.KILL:
            turn.change_backend(signalled=Signalled.STUCK)
            turn.note("backend_stuck", run=backend.run, pid=backend.pid)
            wedged(turn)
        case _:
            pass


def is_stuck(turn: Turn) -> bool:
    """Whether our backend survived SIGKILL: nothing can be launched or lent beside it."""
    backend = turn.state.backend
    return backend is not None and backend.signalled is Signalled.STUCK


def wedged(turn: Turn) -> None:
    """Rest until the kernel lets our backend go, or the end of a launch that never came to a process is heard of."""
    pid = turn.backend().pid
    if pid is None:
        text = "the launch that was given up has not ended: the look at the probe, or the question for OpenOCD's version, hangs"
    else:
        text = f"OpenOCD (PID {pid}) sits in the kernel on a transfer that never ends, beyond even SIGKILL"
    block(turn, "probe-wedged", text)
