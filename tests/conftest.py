"""What every test is held to: it leaves no task, thread, child process or open file behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest
from hypothesis import settings

from tests.bench.rig import Rig, Sim

settings.register_profile("ocdsup", deadline=None)  # two cores that others use too: no promise about one example's time
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "ocdsup")

# Folders whose tests drive the real OpenOCD and GDB, which takes more time than a unit test on a busy machine.
REAL_TOOLS = {"bench", "dropin", "eviction", "lend", "sessions"}
REAL_TOOLS_S = 180

PATIENCE_S = 5.0  # until what is on its way out counts as left behind; reached by broken tests only
_SHARED = ("/dev/null", "/dev/urandom", "/dev/random")  # the interpreter and C libraries keep these once they need them
_OURS = ("pytest_timeout", "ThreadPoolExecutor-pytest")  # threads of the tools, not of tests
_TRACKER = "multiprocessing.resource_tracker"  # lives as long as the interpreter, by design


def files() -> dict[str, str]:
    """Open file descriptors of this process and what they are."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the descriptor of this very listing
        if target not in _SHARED and not target.startswith("/proc/"):
            found[f"fd {number} {target}"] = target
    return found


def children() -> dict[str, psutil.Process]:
    """Child processes, also those that ended and were not reaped."""
    found = {}
    for child in psutil.Process().children():
        try:
            command = " ".join(child.cmdline()) or child.name()
        except psutil.ZombieProcess:
            command = "(ended, not reaped)"
        except psutil.NoSuchProcess:
            continue
        if _TRACKER not in command:
            found[f"process {child.pid} {command[:200]}"] = child
    return found


def threads() -> dict[str, threading.Thread]:
    """Threads that run."""
    return {f"thread {t.name} {t.ident}": t for t in threading.enumerate() if not t.name.startswith(_OURS)}


def everything() -> set[str]:
    """All that a test might leave behind, as it would be reported."""
    return {*files(), *children(), *threads()}


def left(before: set[str], now: Callable[[], set[str]] = everything) -> list[str]:
    """What is there now and was not before, when it had time to go."""
    if not (more := now() - before):
        return []
    gc.collect()
    end = monotonic() + PATIENCE_S
    pause = threading.Event()
    while (more := now() - before) and monotonic() < end:
        pause.wait(0.01)
    return sorted(more)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests with real tools their mark and their time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in REAL_TOOLS and "rig" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.bench)
            item.add_marker(pytest.mark.timeout(REAL_TOOLS_S))


@pytest.fixture
def mode() -> str:
    """OpenOCD's HLA driver; a test that asks for `both` runs with either."""
    return "hla"


@pytest.fixture
def rig(tmp_path: Path, mode: str) -> Iterator[Rig]:
    """A bench PC for one test."""
    with closing(Rig(tmp_path, mode)) as made:
        yield made


@pytest.fixture
def sim(rig: Rig) -> Sim:
    """The simulated probe and board; the bench `one` on it is ready."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    return sim


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Compare what is open after the test and all its fixtures with what was open before them."""
    before = everything()
    yield
    assert left(before) == [], "the test left this behind"


@pytest.fixture(autouse=True)
def watches_tasks(request: pytest.FixtureRequest, leaves_nothing_behind: None) -> None:
    """Watch the loop of a test that has one: from before all its other fixtures until behind them."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("no_task_is_left")


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Compare the tasks of the test's loop before and after it."""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):
        await asyncio.sleep(0)  # a task that was cancelled needs a turn of the loop to end
    tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert [repr(task) for task in tasks if not task.done()] == [], "the test left tasks behind"


SNAPSHOT: dict[str, Any] = {
    "ocdsup": "0.1.0",
    "pid": 1,
    "uptime_s": 12.3,
    "benches": [
        {
            "name": "nucleo",
            "desired": "up",
            "phase": "recovering",
            "since_s": 3.24,
            "summary": "OpenOCD is being restarted",
            "fault": {
                "code": "target-poll-failing",
                "since_s": 63,
                "text": "the board does not answer",
                "evidence": ["Polling target stm32f4x.cpu failed\x1b[31m, trying to reexamine"],
            },
            "rung": "restart-under-reset",
            "next_try_s": 0.4,
            "advice": ["press NRST", "check BOOT0"],
            "probe": {
                "vid_pid": "0483:374b",
                "serial": "066B",
                "location": "1-2.3",
                "present": True,
                "holders": [
                    {"pid": 812, "name": "openocd", "user": "bench", "since": "2026-01-01T10:00:00+00:00", "stale": True}
                ],
            },
            "backend": {"pid": 4711, "version": "0.12.0", "argv": ["openocd"], "uptime_s": 3.1, "restarts": 2, "voltage": 3.25},
            "targets": [{"name": "stm32f4x.cpu", "state": "halted", "gdb_port": 3333, "gdb_sessions": 1}],
            "ports": {"gdb": [3333], "telnet": 4444, "tcl": None},
            "recoveries": [{"at": "T", "fault": "f", "rungs": ["evict", "restart"], "took_s": 0.41, "outcome": "recovered"}],
            "counters": {"restarts": 2},
        }
    ],
}


@pytest.fixture
def snapshot() -> dict[str, Any]:
    """Return a snapshot as the contract has it, of a bench in trouble."""
    copy: dict[str, Any] = json.loads(json.dumps(SNAPSHOT))
    return copy
