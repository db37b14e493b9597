"""Who asks for an eviction is told what became of the holders that were judged for him, and of no others."""

from __future__ import annotations

import asyncio

import pytest

from ocdsup.core import events as ev
from ocdsup.runtime.evictions import Evictions
from tests.runtime.kept_log import KeptLog


def holder(pid: int, *, evict: bool, why: str = "orphaned") -> ev.HolderSeen:
    return ev.HolderSeen(pid, 100 + pid, "openocd", "bench", "10:00", stale=True, evict=evict, why=why)


class Desk:
    """An eviction that is asked for, and what the bench hears meanwhile."""

    def __init__(self) -> None:
        self.posted: list[ev.Event] = []
        self.log = KeptLog()
        self.evictions = Evictions(self.posted.append, self.log)

    async def asked(self, *heard: ev.Event, force: bool = True, limit_s: float = 20) -> object:
        task = asyncio.create_task(self.evictions.ask(force=force, limit_s=limit_s, by="bob"))
        while not self.posted:  # noqa: ASYNC110  # the task sets no event when it has begun
            await asyncio.sleep(0)
        for event in heard:
            self.evictions.heard(event)
            await asyncio.sleep(0)
        return await task


BUSY = holder(1, evict=False, why="a GDB session is live")
RECHECK = ev.HoldersSeen((BUSY,))
FORCED = ev.HoldersSeen((holder(1, evict=True),), forced=True)
GONE = ev.HolderEnded(1, ended=True, how="term", text="")


async def test_the_look_of_a_recheck_that_was_under_way_does_not_answer_a_person_who_insists() -> None:
    desk = Desk()
    assert await desk.asked(RECHECK, FORCED, GONE) == (FORCED.holders, frozenset({1}))
    assert desk.posted == [ev.EvictAsked(True, "bob")]


async def test_nor_does_the_look_of_somebody_who_insists_answer_one_who_does_not() -> None:
    assert await Desk().asked(FORCED, RECHECK, force=False) == ((BUSY,), frozenset())


@pytest.mark.parametrize(
    "stranger",
    [ev.HolderEnded(9, ended=True, how="term", text=""), ev.HolderEnded(9, ended=False, how="refused", text="no right")],
    ids=["ended", "refused"],
)
async def test_the_end_of_another_process_is_no_answer_about_this_one(stranger: ev.HolderEnded) -> None:
    assert await Desk().asked(FORCED, stranger, GONE) == (FORCED.holders, frozenset({1}))


async def test_what_was_tried_before_the_look_is_no_answer_about_what_follows_from_it() -> None:
    before = ev.HolderEnded(1, ended=False, how="left-alone", text="a GDB session is live")
    assert await Desk().asked(before, FORCED, GONE) == (FORCED.holders, frozenset({1}))


async def test_who_was_left_alone_is_told_with_the_reason_and_nobody_listens_any_more() -> None:
    desk = Desk()
    left = ev.HolderEnded(1, ended=False, how="left-alone", text="a telnet client is connected")
    assert await desk.asked(FORCED, left) == ((holder(1, evict=True, why="a telnet client is connected"),), frozenset())
    assert desk.evictions._followers == []


async def test_an_end_that_does_not_come_is_said_and_nobody_listens_any_more() -> None:
    desk = Desk()
    assert await desk.asked(FORCED, limit_s=0.05) == (FORCED.holders, frozenset())
    assert desk.log.named("evict_unfinished") == [{"limit_s": 0.05}]
    assert desk.evictions._followers == []


async def test_a_look_that_does_not_come_is_not_taken_for_one_that_has_found_nobody() -> None:
    desk = Desk()
    with pytest.raises(TimeoutError):
        await desk.asked(RECHECK, limit_s=0.05)
    assert desk.log.named("evict_unfinished") == [{"limit_s": 0.05}]
    assert desk.evictions._followers == []
