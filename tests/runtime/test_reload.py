"""What a reload makes of a bench whose ports stay: what counts as changed is also in force."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ocdsup.config.model import (
    Backoff,
    Bench,
    HolderPolicy,
    Intensity,
    MonitorPolicy,
    OnDetachPolicy,
    OpenOcd,
    SecondClientPolicy,
)
from ocdsup.core import events as ev
from ocdsup.core.policy import AfterRecovery, UnderReset
from ocdsup.probes import eviction
from ocdsup.rsp.policy import OnDetach, SecondClient
from ocdsup.runtime.bench import LiveBench
from ocdsup.runtime.daemon import _moved
from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.settings import spec_of
from ocdsup.runtime.systemd import Notify
from tests.runtime import fake_openocd
from tests.runtime.bench_rig import Rig, posted
from tests.runtime.gdb_rig import HELLO

Until = Callable[[Callable[[], object]], Awaitable[None]]
Seen = Callable[[LiveBench], object]

# The bench is exchanged for another one, or OpenOCD is started again.
MOVED: dict[str, object] = {
    "ports.gdb": 4711,
    "ports.telnet": 4712,
    "ports.tcl": 4713,
    "ports.targets": 2,
    "bind": ("::1",),
    "allow": ("10.0.0.0/8",),
    "monitor": MonitorPolicy.SAFE,
    "probe.server": None,
}
RELAUNCHED: dict[str, object] = {
    "openocd.config": ("interface/stlink.cfg",),
    "openocd.binary": "/usr/bin/openocd",
    "openocd.search": ("/boards",),
    "openocd.commands": ("echo hello",),
    "openocd.adapter_speed_khz": 100,
    "probe.vid_pid": "0483:3748",
    "probe.serial": "another",
    "probe.location": "1-2",
    "second_client": SecondClientPolicy.SHARE,
}


def core(name: str) -> Seen:
    return lambda bench: getattr(bench.driver.state.policy, name)


def gdb_port(name: str) -> Seen:
    return lambda bench: getattr(bench.ports._gdb[0].policy, name)


def session(name: str) -> Seen:
    """What the debugger that is here already is treated by."""
    return lambda bench: getattr(bench.ports._gdb[0]._sessions[0]._proxy.policy, name)


# It is in force at once: the value, who must know it, and what he then has.
IN_FORCE: list[tuple[str, object, Seen, object]] = [
    ("recovery.failures", 9, core("failures"), 9),
    ("recovery.window", 99.0, core("window_s"), 99.0),
    ("recovery.start_timeout", 98.0, core("start_timeout_s"), 98.0),
    ("recovery.hang_timeout", 97.0, core("hang_timeout_s"), 97.0),
    ("recovery.grace", 9.5, core("grace_s"), 9.5),
    ("recovery.grace", 9.5, lambda bench: bench.config.recovery.grace, 9.5),
    ("recovery.backoff", Backoff(1.5, 3.0, 60.0), core("backoff_first_s"), 1.5),
    ("recovery.backoff", Backoff(1.5, 3.0, 60.0), core("backoff_factor"), 3.0),
    ("recovery.backoff", Backoff(1.5, 3.0, 60.0), core("backoff_limit_s"), 60.0),
    ("recovery.intensity", Intensity(3, 33.0), core("restarts"), 3),
    ("recovery.intensity", Intensity(3, 33.0), core("period_s"), 33.0),
    ("recovery.under_reset", UnderReset.NEVER, core("under_reset"), UnderReset.NEVER),
    ("recovery.slow_speed_khz", 50, core("slow_speed_khz"), 50),
    ("recovery.usb_reset", False, core("usb_reset"), False),
    ("recovery.after_recovery", AfterRecovery.HALT, core("after_recovery"), AfterRecovery.HALT),
    ("holders", HolderPolicy.ANY, lambda bench: bench._looks.policy, eviction.Policy.ANY),
    ("holder_users", ("4711",), lambda bench: bench._looks.uids, frozenset({4711})),
    ("adopt", True, lambda bench: bench.config.adopt, True),
    ("on_detach", OnDetachPolicy.HALT, gdb_port("on_detach"), OnDetach.HALT),
    ("on_detach", OnDetachPolicy.HALT, session("on_detach"), OnDetach.HALT),
    ("second_client", SecondClientPolicy.TAKEOVER, gdb_port("second_client"), SecondClient.TAKEOVER),
    ("takeover_after", 5.0, gdb_port("idle_after"), 5.0),
    ("takeover_after", 5.0, session("idle_after"), 5.0),
    ("cache", True, gdb_port("cache"), True),
    ("cache", True, lambda bench: bench.ports._gdb[0]._sessions[0]._proxy._session.answers.enabled, True),
]


def leaves(one: Any, above: str = "") -> Iterator[str]:
    """The values of a configuration by their path; a back-off and an intensity are one each."""
    for field in fields(one):
        value = getattr(one, field.name)
        if is_dataclass(value) and not isinstance(value, Backoff | Intensity):
            yield from leaves(value, f"{above}{field.name}.")
        else:
            yield above + field.name


def changed(config: Any, path: str, value: object) -> Any:
    name, _, rest = path.partition(".")
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


def test_nothing_that_a_bench_can_be_configured_to_is_forgotten_here() -> None:
    """The name is what tells benches apart: another one is another bench."""
    known = MOVED.keys() | RELAUNCHED.keys() | {path for path, *_ in IN_FORCE} | {"name"}
    assert set(leaves(Bench("a", OpenOcd(("x.cfg",))))) == known


@pytest.fixture
async def bench(rig: Rig, until: Until) -> AsyncIterator[LiveBench]:
    """A bench that waits for its OpenOCD, with a debugger at its port."""
    made = rig.bench()
    made.ports.open()
    with socket.create_connection(("127.0.0.1", made.ports.gdb_numbers[0])) as client:
        client.sendall(HELLO)
        await until(lambda: made.ports._gdb[0].sessions)
        yield made


@pytest.mark.parametrize(("path", "value"), MOVED.items(), ids=MOVED)
async def test_what_the_ports_are_and_who_may_use_them_needs_another_bench(rig: Rig, path: str, value: object) -> None:
    config = rig.config()
    assert _moved(config, changed(config, path, value))


@pytest.mark.parametrize(("path", "value"), RELAUNCHED.items(), ids=RELAUNCHED)
async def test_what_openocd_is_started_with_starts_it_again(
    bench: LiveBench, monkeypatch: pytest.MonkeyPatch, path: str, value: object
) -> None:
    new = changed(bench.config, path, value)
    assert spec_of(new) != spec_of(bench.config)
    assert not _moved(bench.config, new)
    events, learned = posted(bench, monkeypatch), bench.ports._gdb[0].learned
    bench.reconfigure(new)
    assert [event.relaunch for event in events if isinstance(event, ev.PolicyChanged)] == [True]
    assert bench.ports._gdb[0].learned is not learned, "who comes now may find another chip"
    assert bench.selector.serial == new.probe.serial


@pytest.mark.parametrize(("path", "value", "seen", "then"), IN_FORCE, ids=[path for path, *_ in IN_FORCE])
async def test_everything_else_is_in_force_at_once_and_leaves_openocd_alone(
    bench: LiveBench, monkeypatch: pytest.MonkeyPatch, path: str, value: object, seen: Seen, then: object
) -> None:
    new = changed(bench.config, path, value)
    assert not _moved(bench.config, new)
    assert seen(bench) != then
    events, learned = posted(bench, monkeypatch), bench.ports._gdb[0].learned
    bench.reconfigure(new)
    assert seen(bench) == then
    assert [event.relaunch for event in events if isinstance(event, ev.PolicyChanged)] == [False]
    assert bench.ports._gdb[0].learned is learned


async def test_a_debugger_that_comes_before_the_new_openocd_is_not_told_of_the_old_chip(bench: LiveBench, rig: Rig) -> None:
    port = bench.ports._gdb[0]
    port.learned.replies[b"qXfer:features:read:target.xml:0,ffb"] = b"l<the old chip/>"
    bench.reconfigure(changed(bench.config, "openocd.config", ("target/gd32vf103.cfg",)))
    assert b"qXfer:features:read:target.xml:0,ffb" not in port.learned.replies


class Kept(Store):
    """A store that takes everything and keeps nothing."""

    there = True

    def keep(self, name: str, numbers: Iterable[int]) -> bool:
        return True


@pytest.mark.parametrize("started_so", [False, True], ids=["by a reload", "from the start"])
async def test_only_an_openocd_that_was_started_to_outlive_the_daemon_is_left_to_the_next_one(
    rig: Rig, until: Until, started_so: bool
) -> None:
    """The other one has the kernel's order to be killed with us: it ends in order instead, and puts its adapter away."""
    rig.shared = replace(rig.shared, store=Kept(Notify(""), Inherited()))
    body = "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[0] + '.ended', 'w').close(), os._exit(0)))\n"
    config = rig.config(body + fake_openocd.WELL, adopt=started_so)
    bench = await rig.up(config)
    if not started_so:
        bench.reconfigure(replace(config, adopt=True))
        assert [said["pid"] for said in rig.log.named("adopt_from_the_next_start")] == [bench.backend_pid]
    pid = bench.backend_pid
    assert pid is not None
    await bench.end(park=True)
    rig.benches.remove(bench)
    in_order = await asyncio.to_thread(Path(f"{config.openocd.binary}.ended").exists)
    assert (bool(rig.log.named("openocd_parked")), in_order) == (started_so, not started_so)
    if started_so:
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, pid, 0)
