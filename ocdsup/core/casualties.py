"""Targets of one bench of which some are dead while others are well: who is, and what follows.

On a chip with several cores that is mostly no fault at all: the second core sleeps, or is not started until the first one
starts it (RP2040, STM32H745, nRF53, LPC55). A restart under reset, which is right for a board that stopped answering, would
take the healthy core from whoever debugs it, and change nothing: the firmware would leave the other core as it was. So

- a dead target is looked at again and again, by an examination without a reset, and OpenOCD is kept;
- one restart under reset is made only for a target that has answered before, and only while nobody debugs a healthy one. It is
  not repeated until a person starts the bench anew or the probe is plugged in again: what one reset does not cure, or cures for
  a minute, is how this firmware is;
- a target whose examination is deferred (`-defer-examine`) is not dead, and a mem_ap has no core that could be: its `running`
  comes from OpenOCD itself and proves nothing about the board. Nobody well is the old case, with the whole ladder.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from enum import Enum

from ocdsup.core import events as ev
from ocdsup.core.effects import VerifyCore
from ocdsup.core.faults import FAULTS
from ocdsup.core.ladder import Rung
from ocdsup.core.launching import blame, under_reset, up
from ocdsup.core.policy import UnderReset
from ocdsup.core.recovering import clear, record, trouble
from ocdsup.core.state import UP, Dead, Phase, Recovery, State, Target
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

ALIVE = frozenset({"running", "halted", "debug-running"})
DEFERRED = "examine deferred"  # OpenOCD's word (target.c, 0.10 … master); once examined and dead, such a target shows it again
LOOK_S = (1.0, 2.0, 4.0, 5.0)  # to the next look: whoever has just started a core waits for it; the last pause is repeated
# During a look OpenOCD does nothing for whoever debugs another target: for 2 ms with 0.12 and the simulated board, and longer
# where an adapter waits for an answer. So the pause is so many times as long as the look took, and LONGEST_S at most.
SHARE = 20
LONGEST_S = 60.0
ANSWER_S = 10.0  # a look that is not answered by then never will be


class Course(Enum):
    """What follows when some targets are dead."""

    LADDER = "nobody is well: the whole ladder"
    RESET = "one restart under reset"
    KEEP = "OpenOCD is kept, and the dead are looked at without a reset"


def course(new: Set[str], well: Set[str], debugged: Set[str], answered: Set[str], *, may_reset: bool) -> Course:
    """Decide about names of targets, of which those in `new` have just died.

    `answered`: they have been well before; `may_reset`: allowed, and not yet done. It is decided once: whoever debugs a healthy
    target when another one dies does not find the board reset when he is back from lunch.
    """
    if not well:
        return Course.LADDER
    if not may_reset or debugged & well or not new & answered:
        return Course.KEEP
    return Course.RESET


def judge(seen: ev.CoreVerified, known: Set[str], *, held_counts: bool) -> tuple[dict[str, str], frozenset[str]]:
    """Tell which targets are dead, with the fault that it is, and which are well.

    `known` were thought dead before. `held_counts`: one that is held in reset is dead; otherwise somebody may just have his
    finger on the button.
    """
    cores = [(name, state) for name, state in seen.states if name not in seen.coreless] or list(seen.states)
    dead = {
        name: "target-not-answering" for name, state in cores if state == "unknown" or (state == DEFERRED and name in known)
    }
    dead |= {name: "target-held-in-reset" for name, state in cores if state == "reset" and (held_counts or name in known)}
    if not seen.answers and not dead:
        dead = dict.fromkeys((name for name, _ in cores), "target-not-answering")
    return dead, frozenset(name for name, state in cores if name not in dead and state != DEFERRED)


def core_verified(turn: Turn, event: ev.CoreVerified) -> None:
    """Believe in the bench, or in the part of it that is well, or not, by what the cores answer after a start."""
    if turn.state.phase is Phase.STARTING and not turn.backend().ready:
        return
    dead, well = _take(turn, event, held_counts=True)
    if not well and (dead or not event.answers):
        held = dead and all(code == "target-held-in-reset" for code in dead.values())
        trouble(turn, "target-held-in-reset" if held else "target-not-answering")
    elif dead:
        _some_are_dead(turn, dead, well)
    else:
        turn.state.dead = ()
        up(turn)


def looked_at(turn: Turn, event: ev.CoreVerified) -> None:
    """Act on a look at the dead, or at those who have stopped answering just now."""
    state = turn.state
    took = turn.now - state.looking if state.looking is not None else 0.0
    state.looking = None
    if not event.states:  # OpenOCD itself did not answer: whether it hangs is told by its heartbeat
        if state.dead:
            turn.arm(Timer.LOOK, _pause(LOOK_S[-1], took))
        return
    dead, well = _take(turn, event, held_counts=False)
    if dead and not well:
        trouble(turn, "target-poll-failing", f"none of the targets answers: {', '.join(dead)}")
    elif dead:
        _some_are_dead(turn, dead, well, took)
    else:
        _all_are_well(turn, well)


def _pause(usual: float, took: float) -> float:
    return max(usual, min(SHARE * took, LONGEST_S))


def _take(turn: Turn, event: ev.CoreVerified, *, held_counts: bool) -> tuple[dict[str, str], frozenset[str]]:
    state = turn.state
    known = {one.name: one.code for one in state.dead} if state.phase in UP else {}
    known |= dict.fromkeys(state.lost, "target-poll-failing")
    state.targets = tuple(Target(name, seen, name not in event.coreless) for name, seen in event.states)
    dead, well = judge(event, known.keys(), held_counts=held_counts)
    state.answered |= well
    named = {name: known.get(name, code) if code == "target-not-answering" else code for name, code in dead.items()}
    return named, well


def _some_are_dead(turn: Turn, dead: dict[str, str], well: frozenset[str], took: float = 0.0) -> None:
    state = turn.state
    before = {one.name: one for one in state.dead}
    state.dead = tuple(Dead(name, code, before[name].since if name in before else turn.now) for name, code in dead.items())
    may_reset = state.policy.under_reset is not UnderReset.NEVER and not state.part_reset
    new = dead.keys() - before.keys()
    if course(new, well, set(state.debugged), state.answered, may_reset=may_reset) is Course.RESET:
        _reset_once(turn)
    else:
        _keep(turn, took, changed=before.keys() != dead.keys())


def _reset_once(turn: Turn) -> None:
    """The one restart under reset that is made for a part of the targets."""
    state = turn.state
    code = state.dead[0].code
    state.part_reset = True
    blame(turn, code, dead_text(state), state.evidence)
    turn.note("fault", fault=code, text=dead_text(state))
    state.streak += 1
    state.recovery = state.recovery or Recovery(turn.now, code)
    state.tried = (*state.tried, (code, Rung.UNDER_RESET))  # if nobody is well behind it, the ladder goes on from there
    record(turn, Rung.UNDER_RESET.value)
    state.held = False
    state.profile = under_reset(turn)
    clear(turn, looks=True)


def _keep(turn: Turn, took: float, *, changed: bool) -> None:
    state = turn.state
    if state.phase not in UP:
        up(turn, Phase.DEGRADED)
        changed = True
    elif state.phase is Phase.READY:
        turn.go(Phase.DEGRADED)
    if changed:
        state.looks = 0
        turn.note("targets_dead", targets=[f"{one.name}: {one.code}" for one in state.dead], well=_well(state))
    state.lost -= {one.name for one in state.dead}
    turn.arm(Timer.LOOK, _pause(LOOK_S[min(state.looks, len(LOOK_S) - 1)], took))


def _all_are_well(turn: Turn, well: frozenset[str]) -> None:
    state = turn.state
    if state.dead:
        turn.note("targets_back", targets=[one.name for one in state.dead])
    state.dead = ()
    turn.disarm(Timer.LOOK)
    state.lost -= well
    if state.phase is Phase.DEGRADED and not state.lost:
        turn.go(Phase.READY)


def look(turn: Turn, *suspects: str) -> None:
    """Look at the dead targets, and at `suspects`, now; by an examination without a reset."""
    state, backend = turn.state, turn.backend()
    if state.looking is not None and Timer.LOOK in state.timers:
        return  # one is under way
    names = tuple(dict.fromkeys((*(one.name for one in state.dead), *suspects)))
    state.looking = turn.now if names and not backend.busy else None
    if not names:
        return
    if backend.busy:  # OpenOCD does one thing after the other: the answer would wait for the end of a flash operation
        turn.arm(Timer.LOOK, LOOK_S[-1])
        return
    state.looks += 1
    turn.arm(Timer.LOOK, ANSWER_S)
    turn.do(VerifyCore(backend.run, names))


def others_well(state: State, name: str) -> bool:
    """Whether another target than `name` seems well: then all are asked before anything is done about this one."""
    failing = {failed for _, failed in state.failures} | {one.name for one in state.dead} | {name}
    answers = ALIVE | {"reset"}
    return bool(name) and any(one.core and one.state in answers and one.name not in failing for one in state.targets)


def _well(state: State) -> list[str]:
    dead = {one.name for one in state.dead}
    return [one.name for one in state.targets if one.core and one.name not in dead and one.state != DEFERRED]


def listed(names: Iterable[str]) -> str:
    """Names for people: `a`, `a and b`, `a, b and c`."""
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def dead_text(state: State) -> str:
    """Say which targets are dead and which are not."""
    return _said(state.dead, state)


def _said(dead: tuple[Dead, ...], state: State) -> str:
    held, well = dead[0].code == "target-held-in-reset", _well(state)
    one, many = ("is held in reset", "are held in reset") if held else ("does not answer", "do not answer")
    names = listed(each.name for each in dead)
    return f"{names} {many if len(dead) > 1 else one}, {listed(well)} {'answer' if len(well) > 1 else 'answers'}"


def dead_reasons(state: State) -> dict[str, str]:
    """What the debuggers of each dead target are told, by its name; nothing unless the bench is in use without it."""
    if state.phase not in UP:
        return {}
    then = "ocdsup looks at it every few seconds, and `ocdsup why` tells what to do"
    return {one.name: f"{_said((one,), state)}; {then}" for one in state.dead}


def dead_advice(state: State) -> tuple[str, ...]:
    """What hands and firmware can do about the dead targets, most likely cure first."""
    names, well = [one.name for one in state.dead], listed(_well(state))
    steps = FAULTS[state.dead[0].code].of_several
    if state.policy.under_reset is not UnderReset.NEVER:
        steps = (*steps, "only if nothing else wakes {dead}: `ocdsup restart --under-reset`, which resets {well} as well")
    return tuple(step.format(dead=listed(names), first=names[0], well=well) for step in steps)
