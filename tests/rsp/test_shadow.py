"""The shadow is the truth: a state machine of GDB, proxy and OpenOCD under random faults, and mutants that it must catch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ocdsup.rsp import replay
from ocdsup.rsp.link import Link
from ocdsup.rsp.shadow import Shadow
from ocdsup.rsp.wires import Ask
from tests.rsp.session_model import Fault, FaultyBench, SessionMachine

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
GOOD = settings(
    report_multiple_bugs=False, max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=QUIET
)
HUNT = settings(
    max_examples=600,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=QUIET,
    report_multiple_bugs=False,
)


class Faults:
    """What the machines of a run did to their benches."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: set[str] = set()
        happen = FaultyBench.happen

        def counted(bench: FaultyBench, fault: Fault) -> None:
            self.seen.add(fault.kind)
            happen(bench, fault)

        patch.setattr(FaultyBench, "happen", counted)


class CachedMachine(SessionMachine):
    """The same with kept answers and put-off removals."""

    cache = True


class TwiceMachine(SessionMachine):
    """Each OpenOCD that comes after one that died dies as well, most of them in the dialogue that restores the session."""

    twice = True


@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", [SessionMachine, CachedMachine, TwiceMachine])
def test_after_random_faults_the_belief_is_the_truth(machine: type[SessionMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Points, registers, memory and run state of the board are what GDB was told, whenever OpenOCD dies, hangs or resets."""
    faults = Faults(monkeypatch)
    run_state_machine_as_test(machine, settings=GOOD)
    assert faults.seen == {"kill", "reset", "hang"}


def _nothing(*_: object, **__: object) -> Iterator[bytes]:
    return iter(())


def _silent(*_: object, **__: object) -> None:
    return None


def _never_late(self: Link, ask: Ask, *rest: Any) -> None:
    ask.abandoned = False
    _ANSWERED(self, ask, *rest)


def _forgets_the_interrupt(self: Link, *rest: Any) -> None:
    _INTERRUPT(self, *rest)
    self._session.interrupted = False


_INTERRUPT = Link.interrupt
_ANSWERED = Link._answered
MUTANTS: dict[str, tuple[object, str, Callable[..., Any]]] = {
    "opcodes stay in RAM": (replay, "heal_ram", _nothing),
    "register writes are not repeated": (replay, "_pending_writes", _nothing),
    "register writes are repeated although they were flushed": (Shadow, "forget_registers", _silent),
    "late points are not undone": (Link, "_late", _silent),
    "late replies reach GDB": (Link, "_answered", _never_late),
    "an interrupt dies with its backend": (Link, "interrupt", _forgets_the_interrupt),
    "a stop is never owed": (replay, "reason", _nothing),
    "the registers are not read before a resume": (replay, "_read_registers", _nothing),
    "the RAM under a point is never read": (Link, "_look_under", _silent),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_model_catches_a_broken_proxy(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each seeded mistake makes the state machine fail: the test above can fail."""
    owner, attribute, replacement = MUTANTS[mutant]
    monkeypatch.setattr(owner, attribute, replacement)
    with pytest.raises(Exception):  # noqa: B017 - what fails first differs from mutant to mutant
        run_state_machine_as_test(SessionMachine, settings=HUNT)
