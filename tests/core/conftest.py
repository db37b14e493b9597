"""A bench that is told events one by one (`Bench`), and a whole simulated PC that answers it (`World`)."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from ocdsup.core import bench as decision
from ocdsup.core import effects as fx
from ocdsup.core import events as ev
from ocdsup.core.faults import FAULTS
from ocdsup.core.launching import RENEWED_S
from ocdsup.core.policy import Policy
from ocdsup.core.state import UP, Phase, State
from ocdsup.core.status import Clock, Facts, snapshot
from ocdsup.core.timers import Timer
from ocdsup.core.why import why

FACTS = Facts("nucleo", "0483:374b", "066B", None, (3333,), 4444, None)
PHASES = frozenset(["stopped", "starting", "ready", "degraded", "recovering", "backoff", "blocked", "lent", "failed"])
PERSON = (ev.StartAsked, ev.StopAsked, ev.RestartAsked, ev.LendAsked, ev.LendEnded, ev.EvictAsked, ev.PolicyChanged)
Step = Callable[[State, ev.Event, float], tuple[State, tuple[fx.Effect, ...]]]


class Bench:
    """Tells a bench what happens and remembers what it asked for, notes apart."""

    def __init__(self, policy: Policy | None = None, *, has_usb: bool = True) -> None:
        self.state = State(policy=policy or Policy(), has_usb=has_usb)
        self.now = 1000.0
        self.notes: list[fx.Note] = []

    def phase(self) -> Phase:
        return self.state.phase

    @property
    def run(self) -> int:
        return self.state.run

    def code(self) -> str | None:
        return self.state.fault.code if self.state.fault else None

    def say(self, *events: ev.Event) -> list[fx.Effect]:
        """Tell events now; what was asked for in return."""
        asked: list[fx.Effect] = []
        for event in events:
            self.state, effects = decision.step(self.state, event, self.now)
            self.notes += [e for e in effects if isinstance(e, fx.Note)]
            asked += [e for e in effects if not isinstance(e, fx.Note)]
        return asked

    def wait(self, seconds: float) -> list[fx.Effect]:
        """Let time pass, ticking at every deadline; what was asked for meanwhile."""
        end, asked = self.now + seconds, list[fx.Effect]()
        while (at := decision.next_deadline(self.state)) is not None and at <= end:
            self.now = max(self.now, at)
            asked += self.say(ev.Tick())
        self.now = end
        return asked

    def next_in(self) -> float | None:
        """Seconds to the next deadline."""
        at = decision.next_deadline(self.state)
        return None if at is None else round(at - self.now, 6)

    def born(self) -> list[fx.Effect]:
        return self.say(ev.Launched(self.run, 4000 + self.run, ("openocd",), "0.12.0"))

    def ready(self) -> list[fx.Effect]:
        return self.born() + self.say(ev.BackendReady(self.run, ("stm32f4x.cpu",)))

    def verified(self, core: str = "running", *, answers: bool = True) -> list[fx.Effect]:
        return self.say(ev.CoreVerified(self.run, (("stm32f4x.cpu", core),), answers))

    def comes_up(self) -> list[fx.Effect]:
        return self.ready() + self.verified()

    def start(self) -> None:
        self.say(ev.StartAsked())
        self.comes_up()
        assert self.phase() is Phase.READY

    def poll_fails(self, times: int = 1) -> list[fx.Effect]:
        line = "Polling target stm32f4x.cpu failed, trying to reexamine"
        found = ev.LineFound(self.run, "target-poll-failed", "target-poll-failing", line, "stm32f4x.cpu")
        return self.say(*[found] * times)

    def dies(self, fault: str | None = None, text: str = "last words") -> list[fx.Effect]:
        return self.say(ev.BackendExited(self.run, "exit 1", fault, text))

    def probe(self, presence: ev.Presence = ev.Presence.PRESENT, identity: str = "1:7") -> list[fx.Effect]:
        return self.say(ev.ProbeSeen(presence, "seen", identity))

    def holders(self, *holders: ev.HolderSeen) -> list[fx.Effect]:
        return self.say(ev.HoldersSeen(holders))

    def snapshot(self) -> dict[str, Any]:
        return snapshot(self.state, FACTS, Clock(self.now, 1.8e9))


@dataclass(slots=True)
class Proc:
    """One simulated OpenOCD."""

    run: int
    profile: fx.Profile
    ready_at: float | None = None
    hung_at: float | None = None


@dataclass(slots=True)
class Truth:
    """What is really the case, which the bench only learns by asking."""

    probe: bool = True
    identity: int = 7
    board: str = "ok"  # ok · silent (one start under reset cures it) · locked (by running firmware) · dead
    openocd: str = "ok"  # ok · crashes · mute (never ready) · missing · rejects
    holder: ev.HolderSeen | None = None
    holder_resists: bool = False
    wedged: bool = False  # the probe answers no transfer
    kernel_holds: bool = False  # SIGKILL does not end OpenOCD
    loses: float = 0.0  # share of answers that never come


@dataclass(slots=True)
class World:
    """A PC with one probe and one board. It answers effects late, out of order or never, and checks every promise of `step`."""

    random: Random
    policy: Policy = field(default_factory=Policy)
    step: Step = decision.step
    now: float = 5000.0
    state: State = field(init=False)
    truth: Truth = field(default_factory=Truth)
    proc: Proc | None = None
    queue: list[tuple[float, int, ev.Event]] = field(default_factory=list)
    told: int = 0
    launches: list[float] = field(default_factory=list)
    seen: dict[type[ev.Event], object] = field(default_factory=dict)
    renewed: bool = False  # since the last launch a look has shown something else than the look before
    absent_launches: int = 0
    launched_total: int = 0
    watched_from: float = 0.0
    past: deque[ev.Event] = field(default_factory=lambda: deque(maxlen=20))

    def __post_init__(self) -> None:
        self.state = State(policy=self.policy)

    # The world's own life ------------------------------------------------------------------------------------------

    def later(self, event: ev.Event, longest_s: float = 0.5, *, sure: bool = False) -> None:
        """Deliver `event` within `longest_s`, or lose it."""
        if sure or self.random.random() >= self.truth.loses:
            self.told += 1
            heapq.heappush(self.queue, (self.now + self.random.uniform(0.001, longest_s), self.told, event))

    def run(self, seconds: float) -> None:
        """Let time pass: deliveries, deadlines, and polls of the target about once a second."""
        end = self.now + seconds
        poll_at = self.now
        while self.now < end:
            at = decision.next_deadline(self.state)
            times = [end, poll_at, *([at] if at is not None else []), *([self.queue[0][0]] if self.queue else [])]
            self.now = max(self.now, min(times))
            if self.queue and self.queue[0][0] <= self.now:
                self.deliver(heapq.heappop(self.queue)[2])
            elif at is not None and at <= self.now:
                self.tick(at)
            elif poll_at <= self.now:
                poll_at = self.now + self.random.uniform(0.3, 1.5)
                self.poll()

    def tick(self, at: float) -> None:
        self.say(ev.Tick())
        after = decision.next_deadline(self.state)
        assert after is None or after > at, f"the deadline {at} of phase {self.state.phase} came again: a busy loop"
        assert after is None or after > self.now, "a deadline in the past"

    def deliver(self, event: ev.Event) -> None:
        """Deliver an answer, unless its sender is gone by now; the end of a process is delivered exactly once."""
        run = getattr(event, "run", None)
        if isinstance(event, ev.BackendExited | ev.LaunchFailed):
            if self.proc is None or self.proc.run != run:
                return
            self.proc = None
        if isinstance(event, ev.BackendReady) and self.proc is not None and self.proc.run == run:
            self.proc.ready_at = self.now
        self.past.append(event)
        self.say(event)

    def poll(self) -> None:
        proc = self.proc
        if proc is None or proc.ready_at is None or proc.hung_at is not None:
            return
        if not self.answers(proc):
            self.later(ev.LineFound(proc.run, "target-poll-failed", "target-poll-failing", "Polling failed", "cpu"), 0.1)
        elif self.state.phase is Phase.DEGRADED:
            self.later(ev.LineFound(proc.run, "target-recovered", None, "Examination succeed", "cpu"), 0.1)

    def answers(self, proc: Proc) -> bool:
        """Whether the core answers this OpenOCD now."""
        truth = self.truth
        if not truth.probe or truth.wedged or truth.board == "dead":
            return False
        if truth.board == "locked":
            fresh = proc.ready_at is not None and self.now - proc.ready_at < 2.0
            return proc.profile.under_reset and (proc.profile.after == "halt" or fresh)
        if truth.board == "silent" and proc.profile.under_reset:
            truth.board = "ok"
        return truth.board == "ok"

    def heal(self) -> None:
        """Everything is well again, and a person did what only hands can do: replug, correct the configuration, start."""
        self.truth = Truth(probe=False, identity=self.truth.identity + 1)
        if self.proc is not None:
            self.later(ev.BackendExited(self.proc.run, "killed", None, ""), sure=True)
        self.run(40.0)
        self.truth.probe = True
        self.say(ev.LendEnded())
        self.say(ev.StartAsked())
        self.say(ev.PortsOpened())
        self.run(5.0)

    # Answers to effects --------------------------------------------------------------------------------------------

    def perform(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Launch():
                self.start(effect)
            case fx.Terminate() | fx.Kill():
                self.signal(effect)
            case fx.Beat() | fx.VerifyCore() | fx.Examine():
                self.ask(effect)
            case fx.LookForProbe():
                seen = ev.Presence.PRESENT if self.truth.probe else ev.Presence.ABSENT
                self.later(ev.ProbeSeen(seen, "", f"1:{self.truth.identity}" if self.truth.probe else ""))
            case fx.LookForHolders():
                self.later(ev.HoldersSeen((self.truth.holder,) if self.truth.holder else ()))
            case fx.EndHolder():
                self.end_holder(effect.pid)
            case fx.ResetUsb():
                self.later(self.cure_usb(), 2.0)
            case _:
                pass

    def cure_usb(self) -> ev.UsbWasReset:
        """It helps, or not, or cannot be done, or gives the probe a new number, or sits in the kernel for a while."""
        assert not self.state.usb_stuck, "a USB cure although the last one sits in the kernel"
        how = self.random.choices(("helps", "does not", "cannot", "renumbers", "sticks"), (5, 4, 1, 1, 1))[0]
        self.truth.wedged = self.truth.wedged and how not in {"helps", "renumbers"}
        self.truth.identity += how == "renumbers"
        identity = f"1:{self.truth.identity}" if how == "renumbers" else ""
        if how == "sticks":
            self.later(ev.UsbWasReset(False, "the kernel lets it go"), 60.0)
        return ev.UsbWasReset(how not in {"cannot", "sticks"}, how, how == "sticks", identity)

    def end_holder(self, pid: int) -> None:
        known = self.truth.holder
        if known is not None and known.pid == pid and not self.truth.holder_resists:
            self.truth.holder = None
        ended = self.truth.holder is None
        self.later(ev.HolderEnded(pid, ended, "term" if ended else "refused", "not permitted"), 9.0)

    def start(self, launch: fx.Launch) -> None:
        assert self.proc is None, "two backends"
        self.proc = Proc(launch.run, launch.profile)
        self.launches = [at for at in self.launches if self.now - at < self.state.policy.period_s]
        self.launches.append(self.now)
        self.launched_total += 1
        self.absent_launches += not self.truth.probe
        self.check_intensity()
        assert self.absent_launches <= 4, "restarts are spent although the probe is absent"
        assert not launch.profile.under_reset or launch.profile.after in {"run", "halt"}, "left in reset"
        if self.truth.openocd == "missing":
            self.later(ev.LaunchFailed(launch.run, "backend-missing", "no openocd"), sure=True)
            return
        self.later(ev.Launched(launch.run, 4000 + launch.run, ("openocd",), "0.12.0"), 0.05, sure=True)
        if fault := self.start_fault():
            self.later(ev.BackendExited(launch.run, "exit 1", *fault), 1.0, sure=True)
        elif self.truth.openocd != "mute":
            self.later(ev.BackendReady(launch.run, ("cpu",)), 1.0)

    def check_intensity(self) -> None:
        """No more launches than the intensity allows; beyond it one for each change of the world, in good order."""
        at = self.launches
        paced = self.renewed and len(at) > 1 and at[-1] - at[-2] > RENEWED_S - 1e-6
        assert len(at) <= self.state.policy.restarts or paced, "more launches than the intensity allows"
        self.renewed = False

    def start_fault(self) -> tuple[str | None, str] | None:
        truth = self.truth
        for bad, fault in (
            (not truth.probe, "probe-absent"),
            (truth.holder is not None, "probe-held"),
            (truth.wedged, "probe-wedged"),
            (truth.openocd == "rejects", "config-rejected"),
            (truth.openocd == "crashes", None),
        ):
            if bad:
                return fault, "last words"
        return None

    def signal(self, effect: fx.Terminate | fx.Kill) -> None:
        assert self.proc is not None, "a signal to nobody"
        assert self.proc.run == effect.run, "a signal to a backend that is gone"
        deaf = self.proc.hung_at is not None and isinstance(effect, fx.Terminate)
        if not deaf and not self.truth.kernel_holds:
            self.later(ev.BackendExited(effect.run, "killed", None, ""), 3.0, sure=True)

    def ask(self, effect: fx.Beat | fx.VerifyCore | fx.Examine) -> None:
        proc = self.proc
        assert proc is not None, "a question to nobody"
        assert proc.run == effect.run, "a question to a backend that is gone"
        if proc.hung_at is not None:
            return
        answers = self.answers(proc)
        core = (("cpu", "running" if answers else "unknown"),)
        match effect:
            case fx.Beat():
                self.later(ev.Alive(proc.run))
            case fx.VerifyCore():
                self.later(ev.CoreVerified(proc.run, core, answers))
            case fx.Examine():
                self.later(ev.Examined(proc.run, answers))

    # Promises ------------------------------------------------------------------------------------------------------

    def say(self, event: ev.Event) -> None:
        """One step, every promise about it, and the effects."""
        before = self.state
        if isinstance(event, PERSON) or before.phase is Phase.STOPPING:
            self.launches, self.absent_launches = [], 0  # budgets are for the machine, not for people
        if isinstance(event, ev.ProbeSeen) and event.presence is ev.Presence.PRESENT:
            self.absent_launches = 0
        if isinstance(event, ev.ProbeSeen | ev.HoldersSeen):
            self.renewed |= self.seen.get(type(event), event) != event
            self.seen[type(event)] = event
        self.state, effects = self.step(before, event, self.now)
        if before.phase not in {Phase.READY, Phase.DEGRADED}:
            self.watched_from = self.now
        self.check(before, effects)
        for effect in effects:
            self.perform(effect)

    def check(self, before: State, effects: tuple[fx.Effect, ...]) -> None:
        state, phase = self.state, self.state.phase
        if phase not in {Phase.STOPPED, Phase.LENT, Phase.FAILED}:
            assert decision.next_deadline(state) is not None, f"{phase} neither rests nor has a deadline"
        else:
            assert self.proc is None, f"{phase} while OpenOCD still has the probe"
        if phase in UP and before.phase in {Phase.STARTING, Phase.CURING}:
            self.check_arrival(effects)
        if phase in {Phase.BLOCKED, Phase.FAILED}:
            assert state.fault is not None, f"{phase} without a reason"
        if phase in {Phase.READY, Phase.DEGRADED}:
            self.check_up()
        assert len(state.tried) < 40, "the ladder never ends"
        self.check_snapshot()

    def check_arrival(self, effects: tuple[fx.Effect, ...]) -> None:
        backend = self.state.backend
        assert backend is not None
        restored = fx.RestoreResetConfig(backend.run) in effects
        assert restored or not backend.profile.under_reset, "under reset to stay"

    def check_up(self) -> None:
        state, proc = self.state, self.proc
        assert proc is not None, "ready, but nothing runs"
        assert state.fault is None or state.phase is Phase.DEGRADED, "ready with a fault"
        assert state.backend is not None
        if proc.hung_at is None or state.backend.busy:
            self.watched_from = self.now
        assert self.now - self.watched_from < 1.5 * state.policy.hang_timeout_s, "hung, and nobody notices"
        stable_s = state.policy.window_s + state.policy.beat_s
        if self.now - max(state.since, state.backend.since) > stable_s + state.policy.start_timeout_s:
            assert state.streak == 0, "old failures count for ever"
        if not state.backend.busy:
            assert Timer.HANG in state.timers, "up without a watch on silence"

    def check_snapshot(self) -> None:
        shown = snapshot(self.state, FACTS, Clock(self.now, 1.8e9))
        json.dumps(shown, allow_nan=False)
        assert shown["phase"] in PHASES
        assert shown["fault"] is None or shown["fault"]["code"] in FAULTS
        assert shown["next_try_s"] is None or shown["next_try_s"] >= 0
        assert why(shown).startswith("nucleo: ")


@pytest.fixture
def make_bench() -> type[Bench]:
    """A bench with a policy of its own."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A bench that was never started, with the default policy."""
    return Bench()


@pytest.fixture
def up(bench: Bench) -> Bench:
    """A bench that is ready."""
    bench.start()
    return bench


@pytest.fixture
def make_world() -> type[World]:
    """A simulated PC that answers a bench."""
    return World
