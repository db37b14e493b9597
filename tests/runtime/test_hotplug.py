"""What came or went on USB is told to the benches that have a probe there, soon and again until udev has settled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from ocdsup.runtime import hotplug
from ocdsup.runtime.hotplug import HotPlug
from ocdsup.runtime.tasks import Tasks

Until = Callable[[Callable[[], object]], Awaitable[None]]


@dataclass
class Bench:
    """Counts what it is told."""

    has_usb: bool = True
    told: int = 0

    def bus_changed(self) -> None:
        """One more."""
        self.told += 1


@dataclass
class Watch:
    """A bus that changes when the test says so; with a pipe it can be waited for, as udev's socket."""

    pipe: tuple[int, int] | None = None
    news: list[bool] = field(default_factory=list)
    looks: int = 0
    closed: int = 0

    def fileno(self) -> int | None:
        """The reading end."""
        return self.pipe[0] if self.pipe else None

    def changed(self) -> bool:
        """What the test has said."""
        self.looks += 1
        if self.pipe:
            os.read(self.pipe[0], 100)
        return self.news.pop(0) if self.news else False

    def close(self) -> None:
        """Counted."""
        self.closed += 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is closed again."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotplug, "SETTLE_S", (0.0, 0.0))
    monkeypatch.setattr(hotplug, "POLL_S", 0.0)


def watching(watch: Watch, *benches: Bench) -> HotPlug:
    tasks = Tasks(lambda name, error: pytest.fail(f"{name}: {error!r}"))
    return HotPlug(lambda: benches, tasks, lambda: watch)


async def test_at_the_start_the_present_state_is_looked_at(pipe: tuple[int, int]) -> None:
    watch, bench, other = Watch(pipe), Bench(), Bench(has_usb=False)
    plug = watching(watch, bench, other)
    plug.begin()
    assert (bench.told, other.told) == (1, 0)
    plug.close()


async def test_a_change_is_told_at_once_and_again_while_udev_settles(until: Until, pipe: tuple[int, int]) -> None:
    watch, bench, other = Watch(pipe, [True]), Bench(), Bench(has_usb=False)
    plug = watching(watch, bench, other)
    plug.begin()
    os.write(pipe[1], b"add")
    await until(lambda: bench.told == 1 + 3)
    assert other.told == 0
    plug.close()
    assert (watch.closed, bench.told) == (1, 1 + 3)


async def test_what_is_no_change_of_a_device_is_told_to_nobody(until: Until, pipe: tuple[int, int]) -> None:
    watch, bench = Watch(pipe, [False, True]), Bench()
    plug = watching(watch, bench)
    plug.begin()
    os.write(pipe[1], b"change")
    await until(lambda: watch.looks == 1)
    assert bench.told == 1
    os.write(pipe[1], b"remove")
    await until(lambda: bench.told == 1 + 3)
    plug.close()


async def test_without_udev_the_bus_is_looked_at_now_and_then(until: Until) -> None:
    watch, bench = Watch(None, [False, False, True]), Bench()
    plug = watching(watch, bench)
    plug.begin()
    await until(lambda: bench.told == 1 + 3)
    plug.close()
    looks, over = watch.looks, asyncio.Event()
    asyncio.get_running_loop().call_later(
        hotplug.POLL_S, over.set
    )  # due when the next look would have been, had it been asked for
    await over.wait()
    assert watch.looks == looks


async def test_a_look_that_fails_is_not_the_last(until: Until) -> None:
    """Out of descriptors for a moment."""

    class Failing(Watch):
        def changed(self) -> bool:
            if self.looks == 1:
                self.looks += 1
                raise OSError(24, "Too many open files")
            return super().changed()

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
    watch, bench = Failing(None, [False, True]), Bench()
    plug = watching(watch, bench)
    plug.begin()
    await until(lambda: bench.told == 1 + 3)
    plug.close()
    assert [str(failure) for failure in failures] == ["[Errno 24] Too many open files"]


async def test_another_change_begins_the_settling_anew(
    until: Until, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotplug, "SETTLE_S", (600.0,))
    watch, bench = Watch(pipe, [True, True]), Bench()
    plug = watching(watch, bench)
    plug.begin()
    os.write(pipe[1], b"remove")
    await until(lambda: bench.told == 2)
    first = plug._settling
    os.write(pipe[1], b"remove")
    await until(lambda: bench.told == 3)
    assert first is not None
    assert first.cancelled()
    assert plug._settling is not None
    assert not plug._settling.done()
    plug.close()


async def test_nobody_is_woken_for_benches_whose_probes_are_not_on_usb() -> None:
    watch, bench = Watch(), Bench(has_usb=False)
    plug = watching(watch, bench)
    plug.begin()
    assert watch.looks == 0
    bench.has_usb = True
    plug.begin()
    plug.begin()
    assert watch.looks == 1
    bench.has_usb = False
    plug.begin()
    plug.close()
    assert watch.closed == 1
