"""`step` keeps its promises in a simulated PC that answers late, wrongly ordered or never."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ocdsup.core import bench as decision
from ocdsup.core import casualties, launching, living, people, recovering, ticking, world
from ocdsup.core import events as ev
from ocdsup.core.backend import IGNORED, TABLE
from ocdsup.core.bench import ImpossibleStepError, next_deadline, step
from ocdsup.core.effects import RestoreResetConfig
from ocdsup.core.faults import FAULTS
from ocdsup.core.policy import Policy
from ocdsup.core.state import Phase, State
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn

if TYPE_CHECKING:
    from tests.core.conftest import Bench, World

BOARDS = ("ok", "silent", "locked", "dead")
OPENOCDS = ("ok", "crashes", "mute", "missing", "rejects")
SHORT = Policy(period_s=120.0)  # budgets that are reached within a simulated hour many times
HEALED_S = 400.0  # a whole period of the intensity, the longest back-off, and some


def holder(random: Random) -> ev.HolderSeen:
    evict = random.random() < 0.6
    pid = random.randrange(300, 400)
    return ev.HolderSeen(pid, 9000 + pid, "openocd", "bench", "2026-01-01T10:00:00+00:00", evict, evict, "seen")


def disturb(pc: World) -> None:
    """One change of the world, as nights and people bring them."""
    random, truth = pc.random, pc.truth
    changes: tuple[Callable[[], object], ...] = (
        lambda: setattr(truth, "board", random.choice(BOARDS)),
        lambda: setattr(truth, "board", "ok"),
        lambda: setattr(truth, "openocd", random.choice(OPENOCDS)),
        lambda: setattr(truth, "openocd", "ok"),
        lambda: setattr(truth, "openocd", "ok"),
        lambda: setattr(truth, "holder", holder(random)),
        lambda: setattr(truth, "holder", None),
        lambda: setattr(truth, "holder", None),
        lambda: setattr(truth, "holder_resists", not truth.holder_resists),
        lambda: setattr(truth, "wedged", not truth.wedged),
        lambda: setattr(truth, "loses", random.choice((0.0, 0.0, 0.1, 0.5))),
        lambda: kill(pc),
        lambda: hang(pc),
        lambda: stick(pc),
        lambda: pull(pc),
        lambda: plug(pc),
        lambda: noise(pc),
        lambda: noise(pc),
    )
    random.choice(changes)()


def kill(pc: World) -> None:
    if pc.proc is not None:
        pc.later(ev.BackendExited(pc.proc.run, "killed by signal 9", None, ""), sure=True)


def hang(pc: World) -> None:
    if pc.proc is not None and pc.proc.hung_at is None:
        pc.proc.hung_at = pc.now


def stick(pc: World) -> None:
    """The kernel keeps OpenOCD on a transfer until the probe is pulled."""
    hang(pc)
    pc.truth.kernel_holds = pc.proc is not None


def pull(pc: World) -> None:
    pc.truth.probe = False
    if pc.truth.kernel_holds:
        pc.truth.kernel_holds = False
        kill(pc)


def plug(pc: World) -> None:
    if not pc.truth.probe:
        pc.truth = replace(pc.truth, probe=True, identity=pc.truth.identity + 1, wedged=False)


def noise(pc: World) -> None:
    """Facts, lines and answers that nobody asked for, also of backends long gone."""
    random, run = pc.random, pc.state.run
    busy = random.random() < 0.5
    if busy and pc.proc is not None:
        pc.later(ev.FlashBusy(run, True), 0.1, sure=True)
        pc.later(ev.FlashBusy(run, False), 60.0, sure=True)
    code = random.choice(sorted(FAULTS))
    stray: tuple[ev.Event, ...] = (
        ev.LineFound(run, "stray", code, "a line"),
        ev.LineFound(run, "harmless", None, "a line"),
        ev.TargetSeen(run, "cpu", random.choice(("halted", "running", "reset", "unknown"))),
        ev.VoltageSeen(run, random.uniform(0, 3.3)),
        ev.SessionsChanged((1,), busy),
        ev.HolderEnded(random.randrange(300, 400), busy, "term", "stray"),
        ev.UsbWasReset(busy, ""),
        ev.Tick(),
        *pc.past,
    )
    pc.say(random.choice([e for e in stray if not is_sign_of(e, pc)]))


def is_sign_of(event: ev.Event, pc: World) -> bool:
    """Only the process that runs now gives signs of life, and only the kernel tells its end."""
    signs = ev.BackendExited | ev.LaunchFailed | ev.Alive
    return isinstance(event, signs) and pc.proc is not None and pc.proc.run == event.run


def person(pc: World) -> None:
    """A person does something at random; most of the time the bench is wanted afterwards."""
    verbs: tuple[ev.Event, ...] = (
        ev.StartAsked(),
        ev.StartAsked(),
        ev.StopAsked(),
        ev.RestartAsked(),
        ev.RestartAsked(under_reset=True),
        ev.LendAsked("cargo run"),
        ev.LendEnded(),
        ev.LendEnded(),
        ev.EvictAsked(),
        ev.EvictAsked(force=True),
        ev.PolicyChanged(pc.policy, relaunch=True),
        ev.PolicyChanged(pc.policy, relaunch=False),
        ev.PortTaken("PID 9 nc"),
        ev.PortsOpened(),
        ev.PortsOpened(),
    )
    pc.say(pc.random.choice(verbs))


def live(pc: World, hours: float) -> None:
    """A random life of `hours` simulated hours, with a disturbance every ten seconds and a person every two minutes."""
    end = pc.now + hours * 3600
    pc.say(ev.StartAsked())
    while pc.now < end:
        pc.run(pc.random.expovariate(1 / 10))
        disturb(pc)
        if pc.random.random() < 0.08:
            person(pc)
        if pc.random.random() < 0.02:
            heals(pc)


def heals(pc: World) -> None:
    """When all is well again, the bench is ready within bounded time."""
    pc.heal()
    pc.run(HEALED_S)
    assert pc.state.phase is Phase.READY, f"all is well, but the bench is {pc.state.phase} ({pc.state.fault})"


@pytest.mark.parametrize("seed", range(8))
def test_every_promise_holds_for_twenty_hours_of_chaos(make_world: type[World], seed: int) -> None:
    pc = make_world(Random(seed), policy=SHORT)
    live(pc, 2.5)
    heals(pc)
    assert pc.launched_total > 50


def machine(world_type: type[World], launched: list[int]) -> type[RuleBasedStateMachine]:
    """The same world in the hands of hypothesis, which shrinks what breaks a promise; `launched` gets its number of starts."""

    class BenchMachine(RuleBasedStateMachine):
        @initialize(seed=st.integers(0, 10_000))
        def wake(self, seed: int) -> None:
            self.pc = world_type(Random(seed), policy=SHORT)
            self.pc.say(ev.StartAsked())

        @rule(seconds=st.sampled_from((0.01, 0.3, 1.0, 3.0, 8.0, 20.0, 60.0)))
        def time_passes(self, seconds: float) -> None:
            self.pc.run(seconds)

        @rule(board=st.sampled_from(BOARDS), openocd=st.sampled_from(OPENOCDS))
        def breaks(self, board: str, openocd: str) -> None:
            self.pc.truth.board, self.pc.truth.openocd = board, openocd

        @rule(act=st.sampled_from((kill, hang, stick, pull, plug, noise, person, disturb)))
        def happens(self, act: Callable[[World], None]) -> None:
            act(self.pc)

        def teardown(self) -> None:
            if hasattr(self, "pc"):
                heals(self.pc)
                launched.append(self.pc.launched_total)

    return BenchMachine


def test_every_promise_holds_in_any_order_of_events(make_world: type[World]) -> None:
    launched: list[int] = []
    run_state_machine_as_test(
        machine(make_world, launched),
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
        ),
    )
    assert len(launched) >= 60
    assert min(launched) >= 1
    assert max(launched) > 10


# Mutants: mistakes that somebody could make in the core. Each must break a promise, else the promises are too weak. ---------


def lets_go_too_early(patch: pytest.MonkeyPatch) -> None:
    stop_backend = Turn.stop_backend

    def mutant(self: Turn, *, hard: bool = False) -> None:
        stop_backend(self, hard=hard)
        self.forget_backend()

    patch.setattr(Turn, "stop_backend", mutant)


def forgets_timer(timer: Timer) -> Callable[[pytest.MonkeyPatch], None]:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        arm = Turn.arm
        patch.setattr(Turn, "arm", lambda self, t, s: None if t is timer else arm(self, t, s))

    return mutate


def skips_intensity(patch: pytest.MonkeyPatch) -> None:
    launch = launching.launch

    def mutant(turn: Turn) -> None:
        turn.state.launches = ()
        launch(turn)

    for module in (launching, ticking):
        patch.setattr(module, "launch", mutant)


def stays_under_reset(patch: pytest.MonkeyPatch) -> None:
    up = launching.up

    def mutant(turn: Turn, phase: Phase = Phase.READY) -> None:
        up(turn, phase)
        turn.effects = [e for e in turn.effects if not isinstance(e, RestoreResetConfig)]

    patch.setattr(casualties, "up", mutant)


def keeps_streak(patch: pytest.MonkeyPatch) -> None:
    afresh = launching.afresh

    def mutant(turn: Turn) -> None:
        streak = turn.state.streak
        afresh(turn)
        turn.state.streak = streak

    for module in (launching, living, people, ticking, world):
        patch.setattr(module, "afresh", mutant)


def nothing_for(module: object, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, lambda *_: None)


def keeps_fired_timers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ticking, "_fired", lambda turn: {t for t, at in turn.state.timers.items() if at <= turn.now})


def restarts_for_obstacles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovering, "OBSTACLES", frozenset())
    patch.setattr(recovering, "bad_presence", lambda _seen: None)


def lends_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people, "stop", lambda turn: turn.go(Phase.LENT if turn.state.borrower else Phase.STOPPED))


def believes_old_runs(state: State, event: ev.Event, now: float) -> Any:
    fields: dict[str, Any] = {"run": state.run} if hasattr(event, "run") and state.backend is not None else {}
    return step(state, replace(event, **fields), now)


# Each with the promise that it breaks, as `World` words it.
MUTANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "launches while the old backend is dying": (lets_go_too_early, "two backends"),
    "forgets the deadline of a phase": (forgets_timer(Timer.PHASE), "neither rests nor has a deadline"),
    "forgets to look again": (forgets_timer(Timer.RECHECK), "neither rests nor has a deadline"),
    "forgets the harsher signal": (forgets_timer(Timer.STOP), "neither rests nor has a deadline"),
    "forgets the watch on silence": (forgets_timer(Timer.HANG), "without a watch on silence"),
    "skips the intensity": (skips_intensity, "more launches than the intensity allows"),
    "stays under reset": (stays_under_reset, "under reset to stay"),
    "never resets the streak": (keeps_streak, "old failures count for ever"),
    "ignores a hang": (nothing_for(ticking, "_hung"), "neither rests nor has a deadline|without a watch"),
    "never kills": (nothing_for(ticking, "harsher"), "neither rests nor has a deadline"),
    "never gives up waiting for answers": (nothing_for(ticking, "overdue"), "neither rests nor has a deadline"),
    "fires a timer for ever": (keeps_fired_timers, "a busy loop"),
    "spends restarts on an absent probe": (restarts_for_obstacles, "although the probe is absent"),
    "lends while OpenOCD still runs": (lends_at_once, "while OpenOCD still has the probe"),
    "believes events of old runs": (lambda patch: patch.setattr(decision, "step", believes_old_runs), "two backends"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_promises_catch_the_mutant(make_world: type[World], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mutate, broken = MUTANTS[name]
    mutate(monkeypatch)
    seen = set()
    for seed in range(12):
        pc = make_world(Random(seed), policy=SHORT, step=decision.step)
        try:
            live(pc, 2.0)
            heals(pc)
        except AssertionError as error:
            seen.add(str(error))
        if re.search(broken, "\n".join(seen)):
            return
    pytest.fail(f"no life broke the promise {broken!r}; broken were {seen or 'none'}")


# The frame --------------------------------------------------------------------------------------------------------


def test_an_event_of_an_older_run_changes_nothing(up: Bench) -> None:
    before = up.state
    after, effects = step(before, ev.BackendExited(up.run - 1, "exit 1", None, ""), up.now)
    assert after is before
    assert effects == ()


def test_step_does_not_change_the_state_it_was_given(up: Bench) -> None:
    before, shown = up.state, repr(up.state)
    step(before, ev.RestartAsked(), up.now)
    assert repr(before) == shown


def test_an_action_that_leaves_its_row_is_refused(up: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE[Phase.READY, ev.Alive]
    monkeypatch.setitem(TABLE, (Phase.READY, ev.Alive), replace(row, action=lambda turn, _: turn.go(Phase.FAILED)))
    with pytest.raises(ImpossibleStepError, match="Alive may not lead from ready to failed"):
        up.say(ev.Alive(up.run))


def test_an_event_that_the_table_does_not_know_is_refused(up: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(IGNORED, ev.UsbWasReset)
    with pytest.raises(ImpossibleStepError, match="UsbWasReset in phase ready"):
        up.say(ev.UsbWasReset(True, ""))


def test_a_bench_that_was_never_started_waits_for_nothing(bench: Bench) -> None:
    assert next_deadline(bench.state) is None
