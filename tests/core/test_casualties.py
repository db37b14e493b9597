"""Some targets of a bench are dead while others are well: what is done, what is left alone, what people read."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from ocdsup.core import effects as fx
from ocdsup.core import events as ev
from ocdsup.core.casualties import DEFERRED, LOOK_S, Course, course, judge, listed
from ocdsup.core.policy import Policy, UnderReset
from ocdsup.core.state import UP, Phase
from ocdsup.core.timers import Timer
from ocdsup.core.why import why
from tests.core.conftest import World

if TYPE_CHECKING:
    from tests.core.conftest import Bench

HELD, SILENT, FAILING = "target-held-in-reset", "target-not-answering", "target-poll-failing"
UNDER_RESET = fx.Profile(under_reset=True, after="run")


def seen(bench: Bench, *coreless: str, **states: str) -> list[fx.Effect]:
    """OpenOCD is asked for its targets; `_` is a blank."""
    found = tuple((name, state.replace("_", " ")) for name, state in states.items())
    return bench.say(ev.CoreVerified(bench.run, found, "unknown" not in states.values(), coreless))


def comes_up(bench: Bench, **states: str) -> list[fx.Effect]:
    return bench.born() + bench.say(ev.BackendReady(bench.run, tuple(states))) + seen(bench, **states)


def started(bench: Bench, **states: str) -> list[fx.Effect]:
    bench.say(ev.StartAsked())
    return comes_up(bench, **states)


def fails(bench: Bench, target: str, times: int = 3) -> list[fx.Effect]:
    """Failed examinations of one target."""
    line = ev.LineFound(bench.run, "target-poll-failed", FAILING, f"Polling target {target} failed", target)
    return [effect for effect in bench.say(*[line] * times) if not isinstance(effect, fx.LookForProbe)]


def dies(bench: Bench, target: str, **states: str) -> list[fx.Effect]:
    """It stops answering, and the look that follows confirms it."""
    assert fails(bench, target) == [fx.VerifyCore(bench.run, (target,))]
    return seen(bench, **states)


def sessions(bench: Bench, *debugged: str) -> list[fx.Effect]:
    return bench.say(ev.SessionsChanged((len(debugged),), False, (), debugged))


def dead(bench: Bench) -> list[tuple[str, str]]:
    return [(one.name, one.code) for one in bench.state.dead]


def clears(bench: Bench) -> list[fx.Effect]:
    """The way to the next launch is cleared: OpenOCD ends, the probe is there and free."""
    bench.probe()
    bench.holders()
    return bench.dies()


# The decision, as tables


@pytest.mark.parametrize(
    ("new", "well", "debugged", "answered", "may_reset", "wanted"),
    [
        ("b", "", "", "ab", True, Course.LADDER),
        ("ab", "", "a", "ab", False, Course.LADDER),
        ("b", "a", "", "ab", True, Course.RESET),
        ("b", "a", "b", "ab", True, Course.RESET),  # who debugs the dead one has nothing to lose
        ("bc", "a", "", "ac", True, Course.RESET),  # one of them may be reached by it
        ("", "a", "", "ab", True, Course.KEEP),  # dead for long, and it was decided then
        ("b", "a", "a", "ab", True, Course.KEEP),  # the healthy one is in use
        ("b", "ac", "c", "abc", True, Course.KEEP),
        ("b", "a", "", "a", True, Course.KEEP),  # it has never answered: nothing that a reset would undo
        ("b", "a", "", "ab", False, Course.KEEP),  # not allowed, or made already
    ],
)
def test_what_follows_when_some_are_dead(
    new: str, well: str, debugged: str, answered: str, may_reset: bool, wanted: Course
) -> None:
    assert course(set(new), set(well), set(debugged), set(answered), may_reset=may_reset) is wanted


@pytest.mark.parametrize(
    ("states", "known", "held_counts", "dead", "well"),
    [
        ("a running b halted c debug-running", "", True, {}, "abc"),
        ("a running b unknown", "", True, {"b": SILENT}, "a"),
        ("a unknown b unknown", "", True, {"a": SILENT, "b": SILENT}, ""),
        ("a running b reset", "", True, {"b": HELD}, "a"),
        ("a running b reset", "", False, {}, "ab"),  # somebody has his finger on the button
        ("a running b reset", "b", False, {"b": HELD}, "a"),
        ("a running b deferred", "", True, {}, "a"),  # not dead, and no sign of life either
        ("a unknown b deferred", "", True, {"a": SILENT}, ""),
        ("a running b deferred", "b", False, {"b": SILENT}, "a"),  # it was examined, and has died since
        ("a unknown b unknown c running", "", False, {"a": SILENT, "b": SILENT}, "c"),
        ("a unknown m running", "", True, {"a": SILENT}, ""),  # a mem_ap answers for ever
        ("a running m unknown", "", True, {}, "a"),
        ("m running", "", True, {}, "m"),  # nothing else to go by
        ("m unknown", "", True, {"m": SILENT}, ""),
    ],
)
def test_who_is_dead_and_who_is_well(states: str, known: str, held_counts: bool, dead: dict[str, str], well: str) -> None:
    words = states.replace("deferred", DEFERRED.replace(" ", "_")).split()
    pairs = tuple((name, state.replace("_", " ")) for name, state in zip(words[::2], words[1::2], strict=True))
    event = ev.CoreVerified(1, pairs, ("a", "unknown") not in pairs, ("m",))
    assert judge(event, set(known), held_counts=held_counts) == (dead, frozenset(well))


def test_who_does_not_say_which_one_is_silent_means_all() -> None:
    """A poll that failed although OpenOCD shows a state (HLA)."""
    event = ev.CoreVerified(1, (("a", "running"),), answers=False)
    assert judge(event, set(), held_counts=True) == ({"a": SILENT}, frozenset())


@pytest.mark.parametrize(("names", "text"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("", "")])
def test_names_are_listed_for_people(names: str, text: str) -> None:
    assert listed(names) == text


# Dead from the start


def test_a_core_that_never_answered_costs_no_reset_and_the_other_one_is_served_at_once(bench: Bench) -> None:
    assert started(bench, a="running", b="unknown") == [fx.VerifyCore(1)]
    assert (bench.phase(), dead(bench), bench.state.fault) == (Phase.DEGRADED, [("b", SILENT)], None)


def look_and_see(bench: Bench, times: int, **states: str) -> list[float]:
    """Answer so many looks, and every heartbeat; the seconds from one look to the next."""
    at = [bench.now]
    while len(at) <= times:
        for effect in bench.wait(0.5):
            if isinstance(effect, fx.Beat):
                bench.say(ev.Alive(bench.run))
            elif isinstance(effect, fx.VerifyCore):
                assert effect.examine == tuple(one.name for one in bench.state.dead)
                at.append(bench.now)
                seen(bench, **states)
    return [later - earlier for earlier, later in pairwise(at)]


def test_it_is_looked_at_for_ever_and_nothing_else_happens(bench: Bench) -> None:
    started(bench, a="running", b="unknown")
    assert look_and_see(bench, 200, a="running", b="unknown") == [*LOOK_S, *[LOOK_S[-1]] * 196]
    assert (bench.run, bench.phase(), bench.state.history, bench.state.looks) == (1, Phase.DEGRADED, (), 200)


def test_when_it_answers_all_is_well(bench: Bench) -> None:
    started(bench, a="running", b="unknown")
    look_and_see(bench, 3, a="running", b="unknown")
    assert fx.VerifyCore(1, ("b",)) in bench.wait(5.0)
    assert seen(bench, a="running", b="running") == []
    assert (bench.phase(), dead(bench), bench.snapshot()["fault"]) == (Phase.READY, [], None)
    assert Timer.LOOK not in bench.state.timers
    assert bench.notes[-1] == fx.Note("targets_back", {"targets": ["b"]})


@pytest.mark.parametrize("state", [DEFERRED, "running"])
def test_a_deferred_target_and_one_without_a_core_do_not_degrade_a_bench(bench: Bench, state: str) -> None:
    """A mem_ap is said to be running, whatever the board does."""
    bench.say(ev.StartAsked())
    bench.ready()
    bench.say(ev.CoreVerified(1, (("a", "running"), ("b", state)), True, () if state == DEFERRED else ("b",)))
    assert (bench.phase(), dead(bench)) == (Phase.READY, [])


def test_a_mem_ap_that_answers_does_not_keep_a_dead_core_from_its_ladder(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    assert seen(bench, "ap", a="unknown", ap="running") == [fx.Examine(1)]
    assert bench.phase() is Phase.CURING


def test_nobody_well_is_the_whole_ladder(bench: Bench) -> None:
    assert started(bench, a="unknown", b="unknown") == [fx.VerifyCore(1), fx.Examine(1)]
    bench.say(ev.Examined(1, True))
    assert seen(bench, a="unknown", b=DEFERRED) == [fx.Terminate(1), fx.LookForProbe(), fx.LookForHolders()]
    assert clears(bench) == [fx.Launch(2, UNDER_RESET)]
    comes_up(bench, a="running", b="unknown")
    assert (bench.phase(), dead(bench)) == (Phase.DEGRADED, [("b", SILENT)])
    assert bench.state.history[-1].outcome == "degraded"
    assert bench.state.recoveries == 0


def test_all_held_in_reset_is_called_so_and_one_of_two_as_well(bench: Bench) -> None:
    started(bench, a="reset", b="reset")
    assert bench.code() == HELD
    clears(bench)
    comes_up(bench, a="running", b="reset")
    assert (bench.phase(), dead(bench)) == (Phase.DEGRADED, [("b", HELD)])
    assert bench.snapshot()["summary"] == "degraded: b is held in reset, a answers"


# Dead later


@pytest.fixture
def two(bench: Bench) -> Bench:
    """A bench of two targets that are well."""
    started(bench, a="running", b="halted")
    assert bench.phase() is Phase.READY
    return bench


def test_before_anything_is_done_about_one_all_are_asked(two: Bench) -> None:
    """What polls say of one target proves nothing about the others; the look has them all."""
    sessions(two, "a")
    assert fails(two, "b", 2) == []
    assert fails(two, "b", 1) == [fx.VerifyCore(1, ("b",))]
    assert fails(two, "b", 5) == []  # one look at a time
    assert seen(two, a="unknown", b="unknown") == [fx.Terminate(1), fx.LookForProbe(), fx.LookForHolders()]
    assert (two.phase(), two.code()) == (Phase.CLEARING, FAILING)


def test_one_that_answers_the_look_is_not_dead(two: Bench) -> None:
    assert dies(two, "b", a="running", b="running") == []
    assert (two.phase(), dead(two)) == (Phase.READY, [])


def test_while_somebody_debugs_a_healthy_one_there_is_no_reset(two: Bench) -> None:
    sessions(two, "a")
    assert dies(two, "b", a="halted", b="unknown") == []
    assert (two.phase(), dead(two), two.run) == (Phase.DEGRADED, [("b", FAILING)], 1)
    look_and_see(two, 50, a="halted", b="unknown")
    assert fails(two, "b", 10) == []  # a version of OpenOCD that goes on polling it
    sessions(two)  # he has gone: that is no reason for one either
    look_and_see(two, 50, a="running", b="unknown")
    assert two.run == 1


def test_with_nobody_at_a_healthy_one_the_board_is_reset_once(two: Bench) -> None:
    sessions(two, "b")
    assert dies(two, "b", a="running", b="unknown") == [fx.Terminate(1), fx.LookForProbe(), fx.LookForHolders()]
    assert (two.phase(), two.code()) == (Phase.CLEARING, FAILING)
    assert clears(two) == [fx.Launch(2, UNDER_RESET)]
    assert comes_up(two, a="running", b="unknown")[-1] == fx.RestoreResetConfig(2)
    assert (two.phase(), two.state.history[-1].rungs) == (Phase.DEGRADED, ("restart-under-reset",))
    assert two.state.history[-1].outcome == "degraded"
    look_and_see(two, 50, a="running", b="unknown")
    assert two.run == 2


def test_what_a_reset_cured_and_dies_again_is_left_alone(two: Bench) -> None:
    """That is how its firmware is. A crash of OpenOCD meanwhile changes nothing about it."""
    dies(two, "b", a="running", b="unknown")
    clears(two)
    comes_up(two, a="running", b="running")
    assert (two.phase(), two.state.history[-1].outcome) == (Phase.READY, "recovered")
    assert dies(two, "b", a="running", b="unknown") == []
    assert (two.phase(), two.run) == (Phase.DEGRADED, 2)
    assert two.dies() == [fx.Launch(3, fx.Profile())]
    comes_up(two, a="running", b="unknown")
    assert (two.phase(), two.run) == (Phase.DEGRADED, 3)


@pytest.mark.parametrize("how", ["restart", "replug"])
def test_a_persons_start_and_a_replug_renew_the_one_reset(two: Bench, how: str) -> None:
    dies(two, "b", a="running", b="unknown")
    clears(two)
    comes_up(two, a="running", b="unknown")
    if how == "restart":
        two.say(ev.RestartAsked())
    else:
        two.probe(ev.Presence.ABSENT, "")
        two.dies()
        two.probe(ev.Presence.ABSENT, "")
        two.probe(identity="1:8")
        assert two.run == 3
    if two.phase() is Phase.CLEARING:
        two.dies()
    comes_up(two, a="running", b="running")
    dies(two, "b", a="running", b="unknown")
    assert two.phase() is Phase.CLEARING


def test_leave_to_reset_is_needed(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(under_reset=UnderReset.NEVER))
    started(bench, a="running", b="running")
    assert dies(bench, "b", a="running", b="unknown") == []
    assert (bench.phase(), bench.run) == (Phase.DEGRADED, 1)
    assert not [step for step in bench.snapshot()["advice"] if "under-reset" in step]


def test_of_three_targets_a_second_one_that_dies_joins_the_first_and_the_last_one_ends_it(bench: Bench) -> None:
    started(bench, a="running", b="running", c="running")
    sessions(bench, "a")
    dies(bench, "b", a="running", b="unknown", c="running")
    since = bench.state.dead[0].since
    bench.wait(0.5)
    assert fails(bench, "c") == [fx.VerifyCore(1, ("b", "c"))]
    seen(bench, a="running", b="unknown", c="unknown")
    assert dead(bench) == [("b", FAILING), ("c", FAILING)]
    assert bench.state.dead[0].since == since
    assert bench.snapshot()["summary"] == "degraded: b and c do not answer, a answers"
    seen(bench, a="running", b="running", c="unknown")
    assert (bench.phase(), dead(bench)) == (Phase.DEGRADED, [("c", FAILING)])
    assert fails(bench, "b") == [fx.VerifyCore(1, ("c", "b"))]
    seen(bench, a="running", b="unknown", c="unknown")
    fails(bench, "a")
    assert (bench.phase(), bench.code()) == (Phase.CLEARING, FAILING)


def test_a_failure_of_the_healthy_one_that_passes_leaves_the_bench_degraded(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    fails(two, "a", 1)
    two.say(ev.LineFound(1, "target-recovered", None, "processor detected", "a"))
    assert two.phase() is Phase.DEGRADED
    fails(two, "a", 1)
    look_and_see(two, 10, a="running", b="unknown")
    assert (two.phase(), two.run) == (Phase.DEGRADED, 1)


def test_a_deferred_target_that_died_after_its_examination_is_dead(two: Bench) -> None:
    """OpenOCD 0.12 then shows `examine deferred` again, and polls it no more."""
    sessions(two, "a")
    dies(two, "b", a="running", b=DEFERRED.replace(" ", "_"))
    assert dead(two) == [("b", FAILING)]
    look_and_see(two, 3, a="running", b=DEFERRED.replace(" ", "_"))
    assert dead(two) == [("b", FAILING)]


# What makes a look at once


def test_who_comes_to_a_dead_target_finds_it_looked_at_at_once(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    look_and_see(two, 10, a="running", b="unknown")
    assert sessions(two, "a", "b") == [fx.VerifyCore(1, ("b",))]
    seen(two, a="running", b="unknown")
    assert sessions(two, "a", "b") == []


def test_who_examines_a_dead_target_by_hand_is_believed_after_a_look(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    assert two.say(ev.TargetSeen(1, "b", "reset")) == []  # what a `reset` makes of a target that is not examined
    assert two.say(ev.TargetSeen(1, "b", "running")) == [fx.VerifyCore(1, ("b",))]
    seen(two, a="running", b="running")
    assert two.phase() is Phase.READY


def test_openocds_own_word_for_it_is_looked_into(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    assert two.say(ev.LineFound(1, "target-recovered", None, "processor detected", "b")) == [fx.VerifyCore(1, ("b",))]


def test_while_flash_is_written_nobody_looks(two: Bench) -> None:
    """OpenOCD does one thing after the other; an answer that is late by a flash operation would be taken for none."""
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    two.say(ev.FlashBusy(1, busy=True))
    assert not [effect for effect in two.wait(12.0) if isinstance(effect, fx.VerifyCore)]
    two.say(ev.FlashBusy(1, busy=False))
    assert [effect for effect in two.wait(5.0) if isinstance(effect, fx.VerifyCore)] == [fx.VerifyCore(1, ("b",))]


@pytest.mark.parametrize(("took", "pause"), [(0.01, LOOK_S[-1]), (1.0, 20.0), (9.0, 60.0)])
def test_a_look_that_takes_long_is_rare(two: Bench, took: float, pause: float) -> None:
    """A real adapter may wait for each access to a dead core, and the debugger of the healthy one with it."""
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    look_and_see(two, 10, a="running", b="unknown")
    two.say(ev.Alive(1))
    assert fx.VerifyCore(1, ("b",)) in two.wait(two.state.timers[Timer.LOOK] - two.now)
    two.wait(took)
    seen(two, a="running", b="unknown")
    assert two.state.timers[Timer.LOOK] - two.now == pytest.approx(pause)


def test_a_look_that_openocd_does_not_answer_changes_nothing_and_is_repeated(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    assert fx.VerifyCore(1, ("b",)) in two.wait(1.0)
    assert two.say(ev.CoreVerified(1, (), False)) == []
    assert (two.phase(), dead(two)) == (Phase.DEGRADED, [("b", FAILING)])
    assert fx.VerifyCore(1, ("b",)) in two.wait(LOOK_S[-1])
    two.say(ev.Alive(1))
    assert fx.VerifyCore(1, ("b",)) in two.wait(12.0)  # nor when no answer comes at all


# What people read


def test_status_and_why_name_the_dead_target_and_what_to_do(two: Bench) -> None:
    sessions(two, "a")
    dies(two, "b", a="running", b="unknown")
    shown = two.snapshot()
    assert (shown["phase"], shown["fault"]["code"]) == ("degraded", FAILING)
    assert shown["fault"]["text"] == "b does not answer, a answers"
    assert [target["fault"] for target in shown["targets"]] == [None, FAILING]
    assert shown["next_try_s"] == LOOK_S[0]
    advice = "\n".join(shown["advice"])
    for words in ("firmware of a start b", "`b configure -defer-examine`", "`b arp_examine`", "power domain", "--under-reset"):
        assert words in advice
    told = why(shown)
    assert "Fault target-poll-failing since 0 s: b does not answer, a answers." in told
    assert "ocdsup looks again in 1 s, without a reset." in told
    assert "BOOT0" not in told
    assert "tries at once" not in told


def test_a_dead_target_has_no_say_in_how_the_board_is_found_again_after_a_loan(bench: Bench) -> None:
    started(bench, a="running", b="unknown")
    bench.say(ev.LendAsked("cargo"))
    bench.dies()
    assert bench.say(ev.LendEnded()) == [fx.Launch(2, fx.Profile(after="resume"))]


# A night of it


class SecondCore(World):
    """A PC whose chip has a second core that comes and goes as its firmware likes; the first one is always well."""

    alive = True
    resets = 0

    def start(self, launch: fx.Launch) -> None:
        self.resets += launch.profile.under_reset
        super().start(launch)

    def poll(self) -> None:
        super().poll()
        proc = self.proc
        if proc is not None and proc.ready_at is not None and not self.alive and self.state.phase in UP and not self.state.dead:
            self.later(ev.LineFound(proc.run, "target-poll-failed", FAILING, "Polling failed", "cpu1"), 0.1)

    def later(self, event: ev.Event, longest_s: float = 0.5, *, sure: bool = False) -> None:
        if isinstance(event, ev.CoreVerified):
            second = "running" if self.alive else "unknown"
            event = ev.CoreVerified(event.run, (*event.states, ("cpu1", second)), self.alive)
        super().later(event, longest_s, sure=sure)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("debugged", [True, False], ids=["debugged", "nobody"])
def test_a_night_with_a_core_that_comes_and_goes_costs_one_reset_at_most(seed: int, debugged: bool) -> None:
    pc = SecondCore(Random(seed))
    pc.truth.loses = 0.05
    pc.say(ev.StartAsked())
    pc.run(20.0)
    pc.say(ev.SessionsChanged((1,), False, (), ("cpu",) if debugged else ()))
    for _ in range(40):
        pc.alive = pc.random.random() < 0.5
        pc.run(pc.random.uniform(1.0, 240.0))
    pc.alive = True
    pc.run(60.0)
    assert (pc.state.phase, pc.state.dead) == (Phase.READY, ())
    assert pc.resets == (not debugged)
