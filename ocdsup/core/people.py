"""What people and programs ask of a bench, and what its row of the phase table does about it."""

from __future__ import annotations

from ocdsup.core import events as ev
from ocdsup.core.effects import LookForHolders, Profile
from ocdsup.core.launching import AS_BEFORE, afresh, close_recovery, default_profile, some_of, stop, under_reset
from ocdsup.core.policy import UnderReset
from ocdsup.core.recovering import clear
from ocdsup.core.state import Fault, Phase
from ocdsup.core.turn import Turn


def start(turn: Turn, _event: ev.StartAsked) -> None:
    """Start a bench that is down or has given up."""
    turn.state.wanted = True
    fresh_start(turn, default_profile(turn))


def want(turn: Turn, _event: ev.StartAsked) -> None:
    """Remember the wish; the end of what is going on now will honour it."""
    turn.state.wanted = True


def want_restart(turn: Turn, event: ev.RestartAsked) -> None:
    """Remember the wish and its manner."""
    turn.state.wanted = True
    turn.state.reset_asked = event.under_reset


def unwant(turn: Turn, _event: ev.StopAsked) -> None:
    """Remember that nobody wants the bench any more."""
    turn.state.wanted = False
    turn.state.reset_asked = False


def stop_asked(turn: Turn, _event: ev.StopAsked) -> None:
    """Bring the bench down, whatever it is doing."""
    turn.state.wanted = False
    stop(turn)


def restart(turn: Turn, event: ev.RestartAsked) -> None:
    """Start over now, with budgets and ladder as new."""
    turn.state.wanted = True
    fresh_start(turn, asked_profile(turn, event.under_reset))


def asked_profile(turn: Turn, under: bool) -> Profile:
    """How to start for a person who asked for a start under reset, or did not."""
    if not under:
        return default_profile(turn)
    if turn.state.policy.under_reset is UnderReset.NEVER:
        turn.note("under_reset_refused", reason="recovery.under_reset is never for this bench")
        return default_profile(turn)
    return under_reset(turn)


def fresh_start(turn: Turn, profile: Profile) -> None:
    """Launch `profile` as if nothing had ever failed: a person wants it now."""
    state = turn.state
    close_recovery(turn, "interrupted")
    afresh(turn)
    state.launches = ()
    state.fault = None
    state.reset_asked = False
    state.profile = profile
    state.probe = None
    state.refused = frozenset()
    state.answered = frozenset()
    state.dead = ()
    state.part_reset = False
    state.usb_stuck = ""
    if state.ports_taken is not None:
        state.fault = Fault("port-in-use", turn.now, state.ports_taken)
    clear(turn, looks=False)


def lend(turn: Turn, event: ev.LendAsked) -> None:
    """Free the probe for another tool; how the core was left is to be found again afterwards."""
    state = turn.state
    if state.borrower is None and state.backend is not None and state.backend.ready:
        halted = {target.name for target in state.targets if target.state == "halted"} | set(state.session_cores)
        cores = {target.state for target in state.targets} & AS_BEFORE.keys()  # what is dead or deferred has no say
        held = state.session_halted or cores == {"halted", "running"}
        state.core_before = "halted" if held else cores.pop() if len(cores) == 1 else None
        state.cores_before = some_of(turn, tuple(target.name for target in state.targets if target.name in halted))
    elif state.borrower is None:
        state.core_before = _BEFORE.get(state.profile.after)  # the start that was to bring it back did not get there
        state.cores_before = state.profile.held
    state.borrower = event.borrower
    turn.note("lent", borrower=event.borrower)
    stop(turn)


def pass_on(turn: Turn, event: ev.LendAsked) -> None:
    """Let the next borrower have the probe, without a backend in between."""
    turn.note("passed_on", borrower=event.borrower, previous=turn.state.borrower)
    turn.state.borrower = event.borrower


def lend_ended(turn: Turn, _event: ev.LendEnded) -> None:
    """Take the probe back, if the bench is wanted."""
    state = turn.state
    turn.note("lend_ended", borrower=state.borrower)
    state.borrower = None
    if state.phase is not Phase.LENT:
        state.core_before = None  # nobody touched it
        return  # our backend is still going; its end decides
    if state.wanted:
        fresh_start(turn, _profile_after_loan(turn))
    else:
        state.core_before = None
        stop(turn)


_BEFORE = {after: core for core, after in AS_BEFORE.items()}


def _profile_after_loan(turn: Turn) -> Profile:
    """A borrower leaves the core as it likes: halted stays halted and running runs, unless every start resets anyway."""
    before, turn.state.core_before = turn.state.core_before, None
    usual = asked_profile(turn, turn.state.reset_asked)
    if usual.under_reset or before not in AS_BEFORE:
        return usual
    return Profile(after=AS_BEFORE[before], held=turn.state.cores_before if before == "halted" else ())


def evict_asked(turn: Turn, event: ev.EvictAsked) -> None:
    """Look who has the probe; the answer ends those whom the policy (or `force`) allows, also whom it has tried in vain."""
    turn.state.refused = frozenset()
    if turn.state.phase is not Phase.CLEARING:  # which waits for these answers with a deadline of its own
        turn.state.waits = frozenset()
    turn.note("evict_asked", by=event.by, force=event.force)
    turn.do(LookForHolders(force=event.force))


def policy_changed(turn: Turn, event: ev.PolicyChanged) -> None:
    """Take over a new configuration; a bench that had given up tries again with it."""
    state = turn.state
    state.policy = event.policy
    resting = state.phase in {Phase.STOPPED, Phase.STOPPING, Phase.LENT}
    if state.wanted and not resting and (event.relaunch or state.phase is Phase.FAILED):
        fresh_start(turn, default_profile(turn))
