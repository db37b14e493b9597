"""The loop around `step`: order, re-entrancy, the one timer, and mistakes of ours that must not end a bench."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from copy import copy
from typing import Any

import pytest

from ocdsup.core.effects import Beat, Effect, Kill, LookForProbe, Note
from ocdsup.core.events import Alive, Event, StartAsked, StopAsked, Tick
from ocdsup.core.state import Phase, State
from ocdsup.core.timers import Timer
from ocdsup.runtime import driver as module
from ocdsup.runtime.driver import Driver

Until = Callable[[Callable[[], object]], Awaitable[None]]
Step = Callable[[State, Event, float], tuple[State, tuple[Effect, ...]]]
BOARD_TEXT = "board says \x1b[31m"


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append(("error", event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for _, name, fields in self.lines if name == event]


class World:
    """A driver with a step of the test's own, and a record of all it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = Log()
        self.done: list[object] = []
        self.events: list[Event] = []
        self.rule: Step = lambda state, _event, _now: (state, ())
        self.on_effect: Callable[[Effect], None] = lambda _effect: None
        self.on_change: Callable[[State, State], None] = lambda _before, _after: None
        monkeypatch.setattr(module, "step", self._step)
        self.driver = Driver(State(), self._perform, self._changed, self.log)

    def _step(self, state: State, event: Event, now: float) -> tuple[State, tuple[Effect, ...]]:
        self.events.append(event)
        return self.rule(state, event, now)

    def _perform(self, effect: Effect) -> None:
        self.done.append(effect)
        self.on_effect(effect)

    def _changed(self, before: State, after: State) -> None:
        self.done.append("changed")
        self.on_change(before, after)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bench whose decisions the test writes."""
    made = World(monkeypatch)
    yield made
    made.driver.close()


def with_deadline(state: State, at: float | None) -> State:
    """Return the state waiting for `at`."""
    new = copy(state)
    new.timers = {} if at is None else {Timer.BEAT: at}
    return new


async def test_effects_are_performed_in_their_order_before_the_change_is_told(world: World) -> None:
    """First the world, then the watchers; a note is logged and not performed."""
    world.rule = lambda state, _event, _now: (state, (Beat(1), Note("probe_back", {"seen": 2}), Kill(1)))
    world.driver.post(StartAsked())
    assert world.done == [Beat(1), Kill(1), "changed"]
    assert world.log.named("probe_back") == [{"seen": 2}]


async def test_a_new_phase_is_logged_with_both_names(world: World) -> None:
    """Constants only; an unchanged phase says nothing."""

    def start(state: State, _event: Event, _now: float) -> tuple[State, tuple[Effect, ...]]:
        new = copy(state)
        new.phase = Phase.STARTING
        return new, ()

    world.rule = start
    world.driver.post(StartAsked())
    world.driver.post(StartAsked())
    assert world.log.named("phase_changed") == [{"old": "stopped", "new": "starting", "event_type": "StartAsked"}]


async def test_an_event_posted_by_an_effect_is_decided_after_the_present_one(world: World) -> None:
    """Re-entrancy never interleaves two decisions."""
    world.rule = lambda state, event, _now: (state, (Beat(1), Kill(1)) if isinstance(event, StartAsked) else (LookForProbe(),))
    world.on_effect = lambda effect: world.driver.post(Alive(1)) if isinstance(effect, Beat) else None
    world.driver.post(StartAsked())
    assert world.done == [Beat(1), Kill(1), "changed", LookForProbe(), "changed"]
    assert [type(event) for event in world.events] == [StartAsked, Alive]


async def test_a_deadline_becomes_one_tick_and_is_not_early(world: World, until: Until) -> None:
    """The timer is the earliest deadline of the state, on the loop's own clock."""
    loop = asyncio.get_running_loop()
    at = loop.time() + 0.02
    seen: list[float] = []

    def rule(state: State, event: Event, now: float) -> tuple[State, tuple[Effect, ...]]:
        if isinstance(event, Tick):
            seen.append(now)
            return with_deadline(state, None), ()
        return with_deadline(state, at), ()

    world.rule = rule
    world.driver.post(StartAsked())
    await until(lambda: seen)
    assert len(seen) == 1
    assert seen[0] >= at - 0.001


async def test_the_timer_follows_the_state(world: World, until: Until) -> None:
    """A nearer deadline replaces a far one; a deadline that is taken back never fires."""
    loop = asyncio.get_running_loop()
    deadlines = iter([loop.time() + 1000, loop.time(), None])
    world.rule = lambda state, _event, _now: (with_deadline(state, next(deadlines)), ())
    world.driver.post(StartAsked())
    world.driver.post(StartAsked())
    await until(lambda: len(world.events) == 3)
    assert [type(event) for event in world.events] == [StartAsked, StartAsked, Tick]
    assert _timers() == []


async def test_an_unchanged_deadline_keeps_its_timer(world: World) -> None:
    """A line of log from OpenOCD does not cost a new timer each."""
    at = asyncio.get_running_loop().time() + 1000
    world.rule = lambda state, _event, _now: (with_deadline(state, at), ())
    for _ in range(5):
        world.driver.post(StartAsked())
    assert len(_timers()) == 1


def _timers() -> list[asyncio.TimerHandle]:
    """The timers the loop waits for."""
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def broken(*_args: object) -> Any:
    raise ValueError(BOARD_TEXT)


async def test_a_step_that_raises_loses_its_event_and_nothing_else(world: World) -> None:
    """The state stays, the next event is decided, and the log names our code but repeats no foreign text."""
    before = world.driver.state
    world.rule = broken
    world.driver.post(StartAsked())
    assert world.driver.state is before
    (failure,) = world.log.named("bench.step_failed")
    assert (failure["about"], failure["phase"], failure["error"]) == ("StartAsked", "stopped", "ValueError")
    assert "test_driver.py:" in failure["where"]
    assert BOARD_TEXT not in repr(failure)
    world.rule = lambda state, _event, _now: (state, (Beat(1),))
    world.driver.post(StopAsked())
    assert Beat(1) in world.done


async def test_an_effect_that_raises_does_not_keep_the_others_from_being_performed(world: World) -> None:
    """Each effect stands alone, and the watchers are told."""

    def fail_at_beat(effect: Effect) -> None:
        if isinstance(effect, Beat):
            broken()

    world.on_effect = fail_at_beat
    world.rule = lambda state, _event, _now: (state, (Beat(1), Kill(1)))
    world.driver.post(StartAsked())
    assert world.done == [Beat(1), Kill(1), "changed"]
    assert [line["about"] for line in world.log.named("bench.step_failed")] == ["Beat"]


async def test_a_watcher_that_raises_does_not_stop_the_bench(world: World) -> None:
    """Telling of a change is not part of the decision."""
    world.on_change = broken
    world.driver.post(StartAsked())
    world.driver.post(StopAsked())
    assert len(world.events) == 2
    assert len(world.log.named("bench.step_failed")) == 2


async def test_a_note_that_cannot_be_logged_does_not_stop_the_bench(world: World) -> None:
    """Not even a field named like an argument of the logger."""
    world.rule = lambda state, _event, _now: (state, (Note("odd", {"event": "twice"}), Kill(1)))
    world.driver.post(StartAsked())
    assert Kill(1) in world.done


async def test_a_deadline_whose_step_raises_is_not_retried_at_once_and_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """The loop is not kept busy by a mistake; the tick is tried again a little later, and then it is over."""
    loop = asyncio.get_running_loop()
    world.rule = lambda state, _event, _now: (with_deadline(state, loop.time()), ())
    world.driver.post(StartAsked())
    world.rule = broken
    await until(lambda: len(world.events) == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(world.events) == 2
    (timer,) = _timers()
    assert timer.when() > loop.time() + 0.5 * module.RETRY_S
    monkeypatch.setattr(loop, "time", lambda: timer.when() + 0.1)
    world.rule = lambda state, _event, _now: (with_deadline(state, None), ())
    await until(lambda: len(world.events) == 3)
    assert isinstance(world.events[-1], Tick)
    assert _timers() == []


async def test_a_closed_driver_decides_nothing_and_waits_for_nothing(world: World) -> None:
    """No timer is left, and events of a world that is going down are ignored."""
    world.rule = lambda state, _event, _now: (with_deadline(state, asyncio.get_running_loop().time() + 1000), ())
    world.driver.post(StartAsked())
    world.driver.close()
    world.driver.post(StopAsked())
    assert len(world.events) == 1
    assert _timers() == []


async def test_closing_within_an_effect_ends_it_there(world: World) -> None:
    """What waited in the inbox is not decided, and no timer is armed behind the close."""

    def close(_effect: Effect) -> None:
        world.driver.post(Alive(1))
        world.driver.close()

    world.on_effect = close
    world.rule = lambda state, _event, _now: (with_deadline(state, asyncio.get_running_loop().time() + 1000), (Beat(1),))
    world.driver.post(StartAsked())
    assert len(world.events) == 1
    assert _timers() == []


@pytest.fixture
def bugs() -> Iterator[list[object]]:
    """What the loop reports as never handled."""
    kept: list[object] = []
    yield kept
    assert kept == []


async def test_the_real_core_starts_and_stops_through_the_driver(bugs: list[object]) -> None:
    """Driver and core fit: a wanted bench starts, looks or launches, and can be stopped again."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: bugs.append(context))
    log, effects = Log(), list[Effect]()
    driver = Driver(State(since=asyncio.get_running_loop().time()), effects.append, lambda _before, _after: None, log)
    driver.post(StartAsked())
    assert driver.state.phase is not Phase.STOPPED
    assert effects
    assert len(_timers()) == 1
    driver.post(StopAsked())
    assert driver.state.wanted is False
    driver.close()
    assert log.named("bench.step_failed") == []


async def test_it_is_known_how_late_a_decision_is(world: World) -> None:
    """A step that fails for ever leaves its deadline behind; that is what the watchdog has to learn of."""
    loop = asyncio.get_running_loop()
    assert world.driver.late_s() == 0.0
    world.driver.state = with_deadline(world.driver.state, loop.time() + 60)
    assert world.driver.late_s() == 0.0
    world.driver.state = with_deadline(world.driver.state, loop.time() - 60)
    assert world.driver.late_s() >= 60
    world.driver.close()
    assert world.driver.late_s() == 0.0
