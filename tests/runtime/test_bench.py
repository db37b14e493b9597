"""A bench, alive: what the core asks for is done, what happened is told, and its end leaves nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ocdsup.config.model import Backoff, Bench, HolderPolicy, OpenOcd, Ports, Recovery
from ocdsup.core import effects as ef
from ocdsup.core import events as ev
from ocdsup.core.policy import AfterRecovery, UnderReset
from ocdsup.core.state import Phase
from ocdsup.openocd import command
from ocdsup.openocd.dialect import Version
from ocdsup.probes import eviction
from ocdsup.probes.selector import Match
from ocdsup.runtime.bench import LiveBench
from ocdsup.runtime.settings import policy_of, spec_of
from tests.runtime import fake_openocd
from tests.runtime.bench_rig import QUICK, Rig, phase, posted

Until = Callable[[Callable[[], object]], Awaitable[None]]
HANGS_AT_VERSION = """#!/bin/sh
echo asked >>"$0.asked"
exec sleep 1000
"""


def rewrite(config: Bench, text: str) -> str:
    """Make another program of the bench's OpenOCD; return the old one."""
    file = Path(config.openocd.binary)
    old = file.read_text()
    file.write_text(text)
    return old


def heard(bench: LiveBench, part: str) -> list[str]:
    """The lines of the bench's OpenOCD that contain `part`."""
    return [text for line in bench.ring.last(50) if part in (text := str(line["text"]))]


async def test_a_bench_is_up_and_says_so(rig: Rig) -> None:
    bench = await rig.up()
    shown = bench.snapshot()
    assert (shown["phase"], shown["backend"]["pid"], shown["loan"]) == ("ready", bench.backend_pid, None)
    assert shown["targets"][0]["name"] == "f4.cpu"
    assert shown["ports"]["gdb"] == list(bench.ports.gdb_numbers)
    assert bench.ports.exposed
    assert rig.changes > 0


async def test_its_end_leaves_neither_process_nor_port(rig: Rig) -> None:
    bench = await rig.up()
    pid, number = bench.backend_pid, bench.ports.telnet_number
    await bench.end()
    assert pid is not None
    assert bench.backend_pid is None
    assert not psutil.pid_exists(pid)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", number)


async def test_an_openocd_that_does_not_end_politely_is_killed_at_the_end(rig: Rig) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + fake_openocd.WELL
    bench = await rig.up(rig.config(stubborn, recovery=replace(QUICK, grace=0.1)))
    pid = bench.backend_pid
    await bench.end()
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_bench_that_is_ended_in_the_moment_it_is_started_ends(rig: Rig) -> None:
    """The question for the version has not even begun."""
    bench = rig.bench(rig.config(recovery=replace(QUICK, grace=100.0)))
    bench.start()
    async with asyncio.timeout(20):
        await bench.end()
    assert bench.driver.state.phase is Phase.STOPPED


async def test_a_launch_is_given_up_while_the_version_is_being_asked(rig: Rig, until: Until) -> None:
    config = rig.config(recovery=replace(QUICK, grace=100.0))
    rewrite(config, HANGS_AT_VERSION)
    bench = rig.bench(config)
    bench.start()
    await until(Path(f"{config.openocd.binary}.asked").exists)
    bench.driver.post(ev.StopAsked())
    await phase(bench, Phase.STOPPED)
    assert bench.backend_pid is None


async def test_a_launch_that_was_given_up_can_be_made_again(rig: Rig, until: Until) -> None:
    config = rig.config()
    well = rewrite(config, HANGS_AT_VERSION)
    bench = rig.bench(config)
    bench.start()
    await until(Path(f"{config.openocd.binary}.asked").exists)
    bench.driver.post(ev.StopAsked())
    await phase(bench, Phase.STOPPED)
    rewrite(config, well)
    bench.driver.post(ev.StartAsked())
    await phase(bench, Phase.READY)
    assert bench.backend_pid is not None
    assert bench.driver.state.run == 2


@pytest.mark.parametrize("broken", ["missing", "another program"])
async def test_a_program_that_is_no_openocd_is_a_fault_of_that_name(rig: Rig, broken: str) -> None:
    config = rig.config()
    if broken == "missing":
        os.unlink(config.openocd.binary)
    else:
        rewrite(config, "#!/bin/sh\necho hello\n")
    bench = rig.bench(config)
    bench.start()
    await phase(bench, Phase.FAILED, Phase.BACKOFF)
    assert bench.snapshot()["fault"]["code"] == "backend-missing"


async def test_a_backend_that_dies_is_replaced_and_the_ports_stay(rig: Rig, until: Until) -> None:
    bench = await rig.up()
    ports, pid = bench.ports.gdb_numbers, bench.backend_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: bench.backend_pid not in {None, pid})
    await phase(bench, Phase.READY)
    assert bench.ports.gdb_numbers == ports
    assert bench.ports.exposed
    assert bench.snapshot()["counters"]["restarts"] == 1


@pytest.mark.parametrize(
    ("effect", "event"),
    [
        (ef.Beat(1), ev.Alive),
        (ef.VerifyCore(1), ev.CoreVerified),
        (ef.Examine(1), ev.Examined),
        (ef.LookForProbe(), ev.ProbeSeen),
        (ef.LookForHolders(), ev.HoldersSeen),
        (ef.EndHolder(1, 1), ev.HolderEnded),
        (ef.ResetUsb(), ev.UsbWasReset),
        (ef.Terminate(1), ev.BackendExited),
        (ef.Kill(1), ev.BackendExited),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, type) else "",
)
async def test_every_effect_is_answered_by_its_event(
    rig: Rig, until: Until, monkeypatch: pytest.MonkeyPatch, effect: ef.Effect, event: type
) -> None:
    bench = await rig.up()
    events = posted(bench, monkeypatch)
    before = len(events)
    bench._perform(effect)
    await until(lambda: any(isinstance(one, event) for one in events[before:]))
    answer = next(one for one in events[before:] if isinstance(one, event))
    assert getattr(answer, "run", 1) == 1, "it is about the OpenOCD that was asked"


async def test_the_boards_own_reset_config_is_put_back_when_the_core_asks_for_it(rig: Rig, until: Until) -> None:
    body = 'def each(command):\n    if "reset_config" in command: say("Info : asked to restore")\n    return usual(command)\n'
    bench = await rig.up(rig.config(body + "tcl(up(), each)"))
    bench._perform(ef.RestoreResetConfig(1))
    await until(lambda: heard(bench, "asked to restore"))
    assert len(heard(bench, "asked to restore")) == 1


@pytest.mark.parametrize("effect", [ef.Beat(1), ef.VerifyCore(1), ef.Examine(1), ef.RestoreResetConfig(1), ef.Terminate(1)])
async def test_what_is_asked_of_an_openocd_that_is_gone_is_asked_of_nobody(rig: Rig, effect: ef.Effect) -> None:
    bench = rig.bench()
    bench._perform(effect)
    assert bench.backend_pid is None


async def test_a_start_that_cannot_be_spelled_is_a_failed_launch(rig: Rig) -> None:
    """An argument with a NUL reaches no program; the configuration refuses it, this is the second door."""
    config = rig.config()
    bench = rig.bench(replace(config, openocd=replace(config.openocd, config=("a\0b.cfg",))))
    bench.start()
    await phase(bench, Phase.FAILED, Phase.BACKOFF)
    assert bench.backend_pid is None
    assert bench.driver.state.fault is not None
    assert "\0" not in bench.snapshot()["summary"]


SHORT = OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("error", [SHORT, RuntimeError("can't start new thread")], ids=["no descriptor", "no thread"])
@pytest.mark.parametrize("where", ["the look at the probe", "the start"])
async def test_whatever_breaks_a_launch_is_told_and_the_next_try_can_go_well(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    """The core waits for an answer to each launch: without one it would signal a process that does not exist, and wait on."""
    config = rig.config()
    bench = rig.bench(replace(config, probe=replace(config.probe, serial=None)))
    look, private = bench._looks.opening, bench.ports.private
    tries: list[int] = []

    def once() -> None:
        tries.append(bench.driver.state.run)
        if len(tries) == 1:
            raise error

    async def opening() -> Match:
        once()
        return await look()

    def ports(version: Version) -> command.Ports:
        once()
        return private(version)

    if where == "the start":
        monkeypatch.setattr(bench.ports, "private", ports)
    else:
        monkeypatch.setattr(bench._looks, "opening", opening)
    events = posted(bench, monkeypatch)
    bench.start()
    await phase(bench, Phase.READY)
    assert tries == [1, 2]
    (failed,) = [one for one in events if isinstance(one, ev.LaunchFailed)]
    assert (failed.run, failed.fault, str(error) in failed.text or repr(error) in failed.text) == (1, "backend-exited", True)
    (said,) = rig.log.named("task_failed")
    assert said["task"] == "launch"
    rig.log.lines.clear()  # the rig holds such a line against any other test


# People


async def test_nobody_else_holds_the_probe(rig: Rig) -> None:
    bench = await rig.up()
    assert await bench.evict(force=True, limit_s=20) == ((), frozenset())


async def test_an_eviction_whose_look_is_not_answered_in_time_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await rig.up()
    monkeypatch.setattr(bench, "_look", lambda *_: None)
    with pytest.raises(TimeoutError):
        await bench.evict(force=True, limit_s=0.05)
    assert rig.log.named("evict_unfinished")


async def test_holders_that_are_left_alone_are_told_with_the_reason(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await rig.up()
    seen = ev.HolderSeen(4711, 1, "code", "bench", "", stale=False, evict=False, why="it is no OpenOCD")

    async def holders(*, force: bool) -> ev.HoldersSeen:
        return ev.HoldersSeen((seen,))

    monkeypatch.setattr(bench._looks, "holders", holders)
    assert await bench.evict(force=False, limit_s=20) == ((seen,), frozenset())


@pytest.mark.parametrize("ended", [True, False])
async def test_holders_that_may_be_ended_are_and_who_ended_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    bench = await rig.up()
    seen = tuple(ev.HolderSeen(pid, 1, "openocd", "bench", "", stale=True, evict=True, why="orphaned") for pid in (11, 12))
    asked: list[tuple[int, int]] = []

    async def holders(*, force: bool) -> ev.HoldersSeen:
        return ev.HoldersSeen(seen if not asked else ())

    async def end(pid: int, start: int) -> ev.HolderEnded:
        asked.append((pid, start))
        return ev.HolderEnded(pid, ended or pid == 11, "term", "")

    monkeypatch.setattr(bench._looks, "holders", holders)
    monkeypatch.setattr(bench._looks, "end", end)
    found = await bench.evict(force=False, limit_s=20)
    assert found == (seen, frozenset({11, 12} if ended else {11}))
    assert asked == [(11, 1), (12, 1)]
    await phase(bench, Phase.READY)


async def test_whoever_asked_is_told_why_a_holder_was_left_alone_after_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await rig.up()
    seen = ev.HolderSeen(11, 1, "openocd", "bench", "", stale=True, evict=True, why="orphaned")
    asked: list[int] = []

    async def holders(*, force: bool) -> ev.HoldersSeen:
        return ev.HoldersSeen(() if asked else (seen,))

    async def end(pid: int, _start: int) -> ev.HolderEnded:
        asked.append(pid)
        return ev.HolderEnded(pid, ended=False, how="left-alone", text="a GDB session is live")

    monkeypatch.setattr(bench._looks, "holders", holders)
    monkeypatch.setattr(bench._looks, "end", end)
    (left,), ended = await bench.evict(force=False, limit_s=20)
    assert (left.why, ended) == ("a GDB session is live", frozenset())


# Configuration


async def test_another_limit_is_taken_without_a_restart(rig: Rig) -> None:
    config = rig.config()
    bench = await rig.up(config)
    pid = bench.backend_pid
    bench.reconfigure(replace(config, recovery=replace(QUICK, failures=7), holders=HolderPolicy.NEVER))
    assert bench.driver.state.policy.failures == 7
    assert bench._looks.policy == "never"
    assert (bench.backend_pid, bench.driver.state.phase) == (pid, Phase.READY)


async def test_what_was_learned_of_a_probe_outlives_a_reload_that_does_not_change_the_probe(rig: Rig) -> None:
    """That it was ever found, which device our OpenOCD has open, who came back too often, since when loans are believed."""
    config = rig.config()
    bench = rig.bench(config)
    looks = bench._looks
    bench.reconfigure(replace(config, holders=HolderPolicy.ANY, holder_users=("4711",)))
    assert bench._looks is looks
    assert (looks.policy, looks.uids) == (eviction.Policy.ANY, frozenset({4711}))
    bench.reconfigure(replace(config, probe=replace(config.probe, serial="another")))
    assert bench._looks is not looks
    assert bench._looks.selector.serial == "another"


async def test_what_was_seen_of_the_probe_of_before_a_reload_is_not_believed_of_the_new_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = rig.config()
    bench = rig.bench(config)
    events, late = posted(bench, monkeypatch), asyncio.Event()

    async def absent() -> ev.ProbeSeen:
        await late.wait()
        return ev.ProbeSeen(ev.Presence.ABSENT, "it is gone")

    async def ended() -> ev.HolderEnded:
        await late.wait()
        return ev.HolderEnded(1, ended=True, how="term", text="")

    bench._look("look-for-probe", absent)
    bench._look("end-holder", ended)
    bench.reconfigure(replace(config, probe=replace(config.probe, serial="another")))
    late.set()
    while bench._tasks._running:  # noqa: ASYNC110  # both looks
        await asyncio.sleep(0)
    assert [type(event) for event in events] == [ev.PolicyChanged, ev.HolderEnded]


@pytest.mark.parametrize("grace", [0.1, 60.0])
async def test_the_patience_with_our_own_openocd_does_not_make_a_foreign_one_stale(rig: Rig, grace: float) -> None:
    assert rig.bench(rig.config(recovery=replace(QUICK, grace=grace)))._looks._grace_s == eviction.IDLE_S


async def test_another_command_line_restarts_openocd_behind_the_same_ports(rig: Rig, until: Until) -> None:
    config = rig.config()
    bench = await rig.up(config)
    pid, ports = bench.backend_pid, bench.ports.gdb_numbers
    bench.reconfigure(replace(config, openocd=replace(config.openocd, commands=("echo hello",))))
    await until(lambda: bench.backend_pid not in {None, pid})
    await phase(bench, Phase.READY)
    assert bench.ports.gdb_numbers == ports
    assert "echo hello" in bench.snapshot()["backend"]["argv"]


def test_every_number_of_the_configuration_reaches_the_core() -> None:
    odd = Recovery(1, 2.0, 3.0, 4.0, 5.0, Backoff(6.0, 7.0, 8.0), under_reset=UnderReset.NEVER, slow_speed_khz=9)
    odd = replace(odd, usb_reset=False, after_recovery=AfterRecovery.HALT)
    policy = policy_of(Bench("a", OpenOcd(("x.cfg",)), recovery=odd))
    numbers = (policy.failures, policy.window_s, policy.start_timeout_s, policy.hang_timeout_s, policy.grace_s)
    assert numbers == (1, 2.0, 3.0, 4.0, 5.0)
    assert (policy.backoff_first_s, policy.backoff_factor, policy.backoff_limit_s) == (6.0, 7.0, 8.0)
    assert (policy.restarts, policy.period_s, policy.slow_speed_khz) == (10, 300.0, 9)
    assert (policy.under_reset, policy.usb_reset, policy.after_recovery) == (UnderReset.NEVER, False, AfterRecovery.HALT)


async def test_the_probe_of_the_configuration_reaches_the_command_line(rig: Rig) -> None:
    spec = spec_of(rig.config())
    assert (spec.stlink_server_port, spec.serial, spec.vid_pid) == (rig.sim.port, rig.sim.probes[0].serial, "0483:374b")


async def test_a_bench_that_was_stopped_is_away_without_a_fault(rig: Rig) -> None:
    bench = await rig.up()
    bench.driver.post(ev.StopAsked())
    await phase(bench, Phase.STOPPED)
    assert (bench._away().phase, bench._away().reason) == ("stopped", "")


async def test_a_port_that_is_taken_is_the_fault_that_is_shown(rig: Rig) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        number = server.sockets[0].getsockname()[1]
        bench = rig.bench(rig.config(ports=Ports(number, 0)))
        bench.start()
        await phase(bench, Phase.READY, Phase.BLOCKED, Phase.DEGRADED, Phase.FAILED)
        assert bench.snapshot()["fault"]["code"] == "port-in-use"
        assert "it belongs to this daemon itself" in bench.snapshot()["fault"]["text"]


async def test_who_waits_for_a_state_is_told_at_the_change_and_not_before(rig: Rig) -> None:
    bench = await rig.up()
    waiting = asyncio.create_task(bench.until(lambda state: state.phase is Phase.STOPPED))
    bench.driver.post(ev.StopAsked())
    async with asyncio.timeout(20):
        assert (await waiting).phase is Phase.STOPPED


async def test_who_gives_up_waiting_disturbs_nobody_and_is_forgotten(rig: Rig) -> None:
    bench = await rig.up()
    waiting = asyncio.create_task(bench.until(lambda state: state.run > 100))
    await asyncio.sleep(0)
    assert len(bench._waiters) == 1
    waiting.cancel()
    await asyncio.wait({waiting})
    assert bench._waiters == []
    bench.driver.post(ev.StopAsked())
    await phase(bench, Phase.STOPPED)
    assert waiting.cancelled()
    assert rig.log.named("step_failed") == []


async def test_decisions_are_in_the_recent_lines_and_in_the_log(rig: Rig) -> None:
    bench: LiveBench = await rig.up()
    assert any(str(line["text"]).startswith("ports_open gdb=") for line in bench.ring.last(100))
    assert rig.log.named("ports_open")[0]["bench"] == "nucleo"


@pytest.mark.bench
async def test_the_real_openocd_is_brought_up_restarted_and_taken_down(rig: Rig, until: Until) -> None:
    bench = await rig.up(rig.real())
    assert bench.snapshot()["targets"][0]["name"] == "stm32f4x.cpu"
    run = bench.driver.state.run
    bench.driver.post(ev.RestartAsked(under_reset=True))
    await until(lambda: bench.driver.state.run > run)
    await phase(bench, Phase.READY)
    bench.driver.post(ev.StopAsked())
    await phase(bench, Phase.STOPPED)
    assert rig.sim.probes[0].handle is None
