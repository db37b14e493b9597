"""Background tasks are kept, heard of when they fail, and over when they are cancelled."""

import asyncio
import gc

import pytest

from ocdsup.runtime.tasks import Tasks


class Reports:
    """Keeps the failures."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []

    def __call__(self, name: str, error: BaseException) -> None:
        self.failures.append((name, str(error)))


@pytest.fixture
def reports() -> Reports:
    """Return a place for failures."""
    return Reports()


async def test_a_task_that_nobody_keeps_is_not_collected(reports: Reports) -> None:
    """The event loop itself holds tasks only weakly."""
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.get_running_loop().create_future() if done.is_set() else await asyncio.sleep(0)
        done.set()

    Tasks(reports).spawn("work", work())
    gc.collect()
    await asyncio.wait_for(done.wait(), 10)
    assert reports.failures == []


async def test_a_failure_is_reported_once_with_the_name_of_the_task(reports: Reports) -> None:
    """Nothing dies in silence."""

    async def work() -> None:
        raise ValueError("the board is on fire")

    task = Tasks(reports).spawn("examine", work())
    await asyncio.wait([task])
    assert reports.failures == [("examine", "the board is on fire")]


async def test_a_cancelled_task_is_no_failure(reports: Reports) -> None:
    """Ending is not failing."""
    tasks = Tasks(reports)
    task = tasks.spawn("wait", asyncio.Event().wait())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert task.cancelled()
    assert reports.failures == []


async def test_cancelling_waits_for_the_ends_of_all(reports: Reports) -> None:
    """What tasks do while they end is done when `cancel` returns; failures in it are reported."""
    tasks, ended = Tasks(reports), list[int]()

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)
            if number == 2:
                raise ValueError("while ending")

    for number in range(3):
        tasks.spawn(f"work-{number}", work(number))
    await asyncio.sleep(0)
    await tasks.cancel()
    assert sorted(ended) == [0, 1, 2]
    assert reports.failures == [("work-2", "while ending")]


async def test_what_a_task_starts_while_it_ends_is_cancelled_too(reports: Reports) -> None:
    """Nothing outlives `cancel`."""
    tasks, late = Tasks(reports), list[asyncio.Task[object]]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            late.append(tasks.spawn("late", asyncio.Event().wait()))

    tasks.spawn("work", work())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert late[0].done()


async def test_a_task_may_cancel_all_the_others(reports: Reports) -> None:
    """It does not wait for itself."""
    tasks = Tasks(reports)
    other = tasks.spawn("other", asyncio.Event().wait())
    await asyncio.wait_for(tasks.spawn("stop", tasks.cancel()), 10)
    assert other.cancelled()
    assert reports.failures == []


async def test_cancelling_nothing_is_nothing(reports: Reports) -> None:
    """Also twice."""
    tasks = Tasks(reports)
    await tasks.cancel()
    await tasks.cancel()
    assert reports.failures == []
