"""Many hints are one question, and no hint is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ocdsup.openocd.command import Core
from ocdsup.runtime import core_states as module
from ocdsup.runtime.core_states import CoreStates, Printed
from ocdsup.runtime.tasks import Tasks
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Asked:
    """An OpenOCD that takes questions when it is told to."""

    def __init__(self) -> None:
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.questions: list[asyncio.Future[bool]] = []
        self.states = CoreStates(self._ask, self.tasks)

    async def _ask(self) -> bool:
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Nothing asked yet; no pause between two questions."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    return Asked()


async def test_hints_while_a_question_is_open_make_one_more(asked: Asked, until: Until) -> None:
    asked.states.hint()
    await until(lambda: asked.questions)
    for _ in range(100):
        asked.states.hint()
    asked.questions[0].set_result(True)
    await until(lambda: len(asked.questions) == 2)
    asked.questions[1].set_result(True)
    await until(lambda: not asked.states._asking)
    assert len(asked.questions) == 2


@pytest.mark.parametrize(
    ("targets", "state", "asks"),
    [(0, "halted", 0), (1, "halted", 1), (1, "", 1), (1, "reset", 1), (1, "running", 0), (2, "running", 1)],
)
async def test_a_heartbeat_asks_about_every_core_but_the_only_one_that_runs(
    asked: Asked, targets: int, state: str, asks: int
) -> None:
    """Of a running core every change is told; of a halted one that the reset button let run, nothing is."""
    asked.states.seen(state)
    asked.states.beat(targets)
    await asyncio.sleep(0)
    assert len(asked.questions) == asks
    await asked.tasks.cancel()


async def test_a_question_that_was_not_taken_ends_the_asking_until_the_next_hint(asked: Asked, until: Until) -> None:
    asked.states.hint()
    await until(lambda: asked.questions)
    asked.questions[0].set_result(False)
    await until(lambda: not asked.states._asking)
    assert len(asked.questions) == 1
    asked.states.hint()
    await until(lambda: len(asked.questions) == 2)
    await asked.tasks.cancel()


async def test_the_end_of_the_bench_is_the_end_of_the_asking(asked: Asked, until: Until) -> None:
    asked.states.hint()
    await until(lambda: asked.questions)
    await asked.tasks.cancel()
    assert not asked.states._asking
    assert asked.log.named("task_failed") == []


async def test_a_printed_answer_is_awaited_and_may_come_behind_the_end_of_its_question() -> None:
    printed = Printed("look")
    heard: list[object] = []

    async def ask() -> None:
        heard.append(printed.heard("another line"))
        asyncio.get_running_loop().call_soon(lambda: heard.append(printed.heard(f"{printed.token} a 0 running b 1 unknown")))

    cores = (Core("a", answers=True, state="running"), Core("b", answers=False, state="unknown"))
    assert await printed.answer(ask) == cores
    assert heard == [None, cores]


def test_a_printed_answer_that_cannot_be_read_is_kept_out_of_the_log_all_the_same() -> None:
    """As is one that nobody waits for any more."""
    printed = Printed("look")
    assert printed.heard(f"{printed.token} {{a 0") == ()
    assert printed.heard(f"{printed.token} a 0 halted") == (Core("a", answers=True, state="halted"),)
