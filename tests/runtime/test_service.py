"""What the manager hears: ready in time and not before, a watchdog that starves when it should, patience for flash."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocdsup.core.state import Fault, Phase, State
from ocdsup.runtime import service
from ocdsup.runtime.service import LATE_S, Service, Vital, settled, watchdog_s
from ocdsup.runtime.systemd import Notify

Until = Callable[[Callable[[], object]], Awaitable[None]]
WELL = Vital("nucleo", "ready on :3333", settled=True, late_s=0.0, flashing=False)


class Log:
    """Collects the names of events."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **_fields: self.events.append(event)


class Stage:
    """A manager with its socket, a service, and the benches it looks at."""

    def __init__(self, folder: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(folder / "notify"))
        self.sock.setblocking(False)
        self.vitals = [WELL]
        self.log = Log()
        self.told: list[str] = []
        self.service = Service(Notify(str(folder / "notify")), lambda: self.vitals, self.log)

    def heard(self) -> list[str]:
        """Everything that came so far."""
        try:
            while True:
                self.told += self.sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self.told

    def close(self) -> None:
        self.service.close()
        self.sock.close()


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A watchdog that wants to hear something every 30 ms or so."""
    monkeypatch.setenv("WATCHDOG_USEC", "90000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    made = Stage(tmp_path)
    yield made
    made.close()


async def test_ready_is_said_once_and_when_every_bench_has_a_verdict(stage: Stage) -> None:
    stage.vitals = [WELL, replace(WELL, name="pill", summary="starting OpenOCD", settled=False)]
    stage.service.start()
    assert "READY=1" not in stage.heard()
    assert "STATUS=nucleo ready on :3333 · pill starting OpenOCD" in stage.heard()
    stage.vitals = [WELL, replace(WELL, name="pill", summary="blocked: probe-absent")]
    stage.service.changed()
    stage.service.changed()
    assert stage.heard().count("READY=1") == 1


async def test_a_bench_that_changes_before_all_are_there_does_not_make_it_ready(stage: Stage) -> None:
    """The first bench has its verdict while the second is not even made."""
    stage.service.changed()
    assert "READY=1" not in stage.heard()


async def test_a_start_that_takes_long_asks_for_patience(stage: Stage, until: Until) -> None:
    stage.vitals = [replace(WELL, settled=False)]
    stage.service.start()
    await until(lambda: any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in stage.heard()))
    asked = [int(line.partition("=")[2]) for line in stage.told if line.startswith("EXTEND_TIMEOUT_USEC=")]
    assert min(asked) > 90_000, "longer than to the next time it asks"
    assert "READY=1" not in stage.told


async def test_the_watchdog_is_fed_by_the_loop(stage: Stage, until: Until) -> None:
    stage.service.start()
    await until(lambda: stage.heard().count("WATCHDOG=1") >= 3)
    assert stage.log.events == ["ready"], "nothing was late"


async def test_one_bench_that_does_not_decide_starves_the_watchdog(stage: Stage, until: Until) -> None:
    """Its deadline passed long ago; that the loop turns and others are well does not hide it. It is said once, by name."""
    stage.vitals = [WELL, replace(WELL, name="pill", late_s=LATE_S + 1)]
    stage.service.start()
    await until(lambda: "benches_stuck" in stage.log.events)
    await asyncio.sleep(0)
    assert "WATCHDOG=1" not in stage.heard()
    stage.vitals = [WELL]
    await until(lambda: "WATCHDOG=1" in stage.heard())
    assert stage.log.events.count("benches_stuck") == 1
    assert "benches_alive_again" in stage.log.events


async def test_without_a_watchdog_nothing_feeds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    stage = Stage(tmp_path)
    stage.service.start()
    assert "WATCHDOG=1" not in stage.heard()
    stage.close()


@pytest.mark.parametrize("refusal", [None, ValueError("line 3")])
async def test_a_reload_has_a_begin_and_an_end(stage: Stage, refusal: Exception | None) -> None:
    """Also one that was refused: the manager waits for READY either way."""
    stage.service.start()
    stage.heard()
    stage.told.clear()
    with suppress(ValueError), stage.service.reloading():
        heard = list(stage.heard())
        if refusal is not None:
            raise refusal
    assert heard[0] == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", heard[1])
    assert stage.heard()[-1] == "READY=1"


async def test_a_reload_during_the_start_is_part_of_the_start(stage: Stage) -> None:
    """READY means that there is a verdict, and there is none yet."""
    stage.vitals = [replace(WELL, settled=False)]
    stage.service.start()
    with stage.service.reloading():
        stage.service.changed()
    assert not {"RELOADING=1", "READY=1"} & set(stage.heard())
    stage.vitals = [WELL]
    with stage.service.reloading():
        stage.service.changed()
        assert "READY=1" not in stage.heard()
    assert stage.heard().count("READY=1") == 1


@pytest.mark.parametrize("reloads", [False, True])
async def test_nothing_is_ready_any_more_once_the_stop_has_begun(stage: Stage, reloads: bool) -> None:
    """A bench that was stopped in the midst of its start is settled as well; a reload that runs on ends too late."""
    stage.vitals = [replace(WELL, settled=reloads)]
    stage.service.start()
    with stage.service.reloading() if reloads else nullcontext():
        await stage.service.stopping(asyncio.Event())
        stage.vitals = [replace(WELL, summary="stopped")]
        stage.service.changed()
    said = stage.heard()
    assert "READY=1" not in said[said.index("STOPPING=1") :]


async def test_patience_is_asked_for_as_long_as_a_start_may_take_and_no_longer(stage: Stage, until: Until) -> None:
    """Then the manager's own limit holds, and ends a daemon that does not get up."""
    stage.vitals = [WELL, replace(WELL, name="pill", settled=False, start_s=0.05)]
    stage.service.start()
    stage.vitals[0] = replace(WELL, start_s=0.02)
    await until(lambda: "start_takes_too_long" in stage.log.events)
    asked = sum(line.startswith("EXTEND") for line in stage.heard())
    fed = stage.told.count("WATCHDOG=1")
    await until(lambda: stage.heard().count("WATCHDOG=1") > fed + 2)
    assert sum(line.startswith("EXTEND") for line in stage.heard()) == asked
    assert stage.log.events.count("start_takes_too_long") == 1


async def test_a_ready_that_was_not_taken_is_said_again(stage: Stage, until: Until) -> None:
    """The manager was busy and its queue was full: it must not wait for the end of a reload that is over."""
    stage.service.start()
    with stage.service.reloading(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"X=1", stage.sock.getsockname())
    await until(lambda: "X=1" in stage.heard() and "READY=1" in stage.told[stage.told.index("X=1") :])
    fed = stage.told.count("WATCHDOG=1")
    await until(lambda: stage.heard().count("WATCHDOG=1") > fed + 1)
    assert stage.told.count("READY=1") == 2, "of the start, and of the reload"


async def test_what_is_noted_stands_in_the_line_beside_the_benches(stage: Stage) -> None:
    stage.service.start()
    stage.service.noted(["127.0.0.1:3333: nobody"])
    assert stage.heard()[-1] == "STATUS=nucleo ready on :3333 · 127.0.0.1:3333: nobody"


async def test_the_line_does_not_say_that_there_are_no_benches_while_a_reload_exchanges_them(stage: Stage) -> None:
    stage.service.start()
    with stage.service.reloading():
        stage.vitals = []
        stage.service.changed()
        stage.vitals = [WELL]
    assert not [line for line in stage.heard() if "no benches" in line]


async def test_the_stop_waits_for_a_write_to_flash(stage: Stage, until: Until) -> None:
    """And asks the manager to wait too."""
    stage.vitals = [replace(WELL, flashing=True)]
    stopping = asyncio.create_task(stage.service.stopping(asyncio.Event()))
    await until(lambda: [line for line in stage.heard() if line.startswith("EXTEND_TIMEOUT_USEC=")])
    assert stage.heard()[0] == "STOPPING=1"
    assert not stopping.done()
    stage.vitals = [WELL]
    stage.service.changed()
    await stopping


async def test_a_second_signal_cuts_the_wait(stage: Stage, until: Until) -> None:
    hurry = asyncio.Event()
    stage.vitals = [replace(WELL, flashing=True)]
    stopping = asyncio.create_task(stage.service.stopping(hurry))
    await until(lambda: "stop_waits_for_flash" in stage.log.events)
    assert not stopping.done()
    hurry.set()
    await stopping
    assert stage.vitals[0].flashing


async def test_a_write_that_never_ends_does_not_hold_the_stop_up_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FLASH_LIMIT_S", 0.05)
    stage.vitals = [replace(WELL, flashing=True)]
    await stage.service.stopping(asyncio.Event())
    assert "stop_waits_for_flash" in stage.log.events
    assert stage.vitals[0].flashing


async def test_a_stop_without_a_write_waits_for_nothing(stage: Stage) -> None:
    await stage.service.stopping(asyncio.Event())
    assert stage.heard() == ["STOPPING=1"]


async def test_a_stop_that_may_take_long_asks_for_as_long_as_the_slowest_bench_may_take(stage: Stage) -> None:
    """`grace: 20s` lets OpenOCD take 41 s, and the unit's TimeoutStopSec= is 30 s: the manager would kill all of it."""
    stage.vitals = [replace(WELL, end_s=41.0), replace(WELL, end_s=15.0)]
    await stage.service.stopping(asyncio.Event())
    assert stage.heard() == ["STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((41.0 + service.END_S) * 1e6)}"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_the_watchdog_is_the_one_meant_for_us(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environment, 7) == seconds


@pytest.mark.parametrize(
    ("phase", "fault", "known"),
    [
        (Phase.STARTING, False, False),
        (Phase.STARTING, True, True),
        (Phase.CLEARING, False, False),
        (Phase.CURING, True, True),
        (Phase.READY, False, True),
        (Phase.BACKOFF, False, True),
        (Phase.BLOCKED, False, True),
        (Phase.FAILED, False, True),
        (Phase.STOPPED, False, True),
    ],
)
def test_a_verdict_is_usable_or_known_why_not(phase: Phase, fault: bool, known: bool) -> None:
    state: Any = State(phase=phase, fault=Fault("backend-exited", 0.0, "it ended") if fault else None)
    assert settled(state) is known


def test_the_process_that_is_watched_is_this_one() -> None:
    """WATCHDOG_PID is that of the main process."""
    assert watchdog_s({"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())}, os.getpid()) is not None
