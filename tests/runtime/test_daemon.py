"""The daemon: configuration in, benches alive, signals obeyed, and a reload that touches nobody but those who changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ocdsup.core.state import Phase
from ocdsup.errors import ControlError
from ocdsup.runtime import config_file
from ocdsup.runtime.bench import LiveBench
from ocdsup.runtime.daemon import Daemon
from ocdsup.runtime.fd_store import from_manager
from ocdsup.sim.server import SimServer
from tests.runtime import fake_openocd
from tests.runtime.bench_rig import phase
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Stage:
    """A daemon in this process, its configuration file, and what its manager hears."""

    def __init__(self, folder: Path, sim: SimServer) -> None:
        self.file = folder / "ocdsup.yaml"
        self.control = folder / "control.sock"
        self.log = KeptLog()
        self.sim = sim
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        self._binary = fake_openocd.write(folder / "openocd")
        self._heard = ""
        self._running: asyncio.Task[None] | None = None
        self.daemon: Daemon

    def bench(self, **changes: Any) -> dict[str, Any]:
        """A bench of the configuration."""
        probe = {"serial": self.sim.probes[0].serial, "server": f"127.0.0.1:{self.sim.port}"}
        openocd = {"binary": self._binary, "config": ["interface/stlink.cfg"]}
        return {"probe": probe, "openocd": openocd, "ports": {"gdb": 0, "telnet": 0}, "bind": ["127.0.0.1"]} | changes

    def write(self, **benches: dict[str, Any]) -> None:
        """Write the configuration."""
        self.file.write_text(json.dumps({"version": 1, "control": str(self.control), "benches": benches}))
        self.file.chmod(0o600)

    async def run(self, **benches: dict[str, Any]) -> None:
        """Start the daemon; returns when its benches are up."""
        self.write(**benches)
        checked = await asyncio.to_thread(config_file.read, str(self.file))
        self.daemon = Daemon(str(self.file), checked, self.log, from_manager({}))
        self._running = asyncio.create_task(self.daemon.run())
        await asyncio.sleep(0)
        for name in benches:
            await phase(self[name], Phase.READY)

    def __getitem__(self, name: str) -> LiveBench:
        return next(bench for bench in self.daemon._benches if bench.name == name)

    def heard(self) -> str:
        """What the manager was told so far."""
        try:
            while True:
                self._heard += self.manager.recv(4096).decode() + "\n"
        except BlockingIOError:
            return self._heard

    async def ended(self) -> None:
        """Wait for the end of the daemon."""
        assert self._running is not None
        async with asyncio.timeout(30):
            await self._running
        self._running = None

    async def end(self) -> None:
        if self._running is not None:
            os.kill(os.getpid(), signal.SIGTERM)
            await self.ended()
        self.manager.close()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
        assert self.log.named("task_failed") == []


@pytest.fixture
async def stage(tmp_path: Path, sim: SimServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A place for one daemon."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    made = Stage(tmp_path, sim)
    yield made
    await made.end()


def serial(number: int) -> dict[str, str]:
    """A probe that no server has: its bench waits, which is all that is wanted of it."""
    return {"serial": f"ABSENT{number}", "server": "127.0.0.1:1"}


async def test_benches_are_up_and_the_manager_is_told(stage: Stage, until: Until) -> None:
    await stage.run(one=stage.bench())
    await until(lambda: "READY=1" in stage.heard())
    assert [bench["name"] for bench in stage.daemon.snapshot()["benches"]] == ["one"]
    assert stage.daemon.snapshot()["pid"] == os.getpid()


async def test_the_control_socket_asks_this_daemon(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    reader, writer = await asyncio.open_unix_connection(str(stage.control))
    writer.write(b'{"id": 1, "verb": "status"}\n')
    assert json.loads(await reader.readline())["result"]["benches"][0]["phase"] == "ready"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_and_leaves_nothing(stage: Stage, number: signal.Signals) -> None:
    await stage.run(one=stage.bench())
    pid = stage["one"].backend_pid
    assert pid is not None
    os.kill(os.getpid(), number)
    await stage.ended()
    assert not psutil.pid_exists(pid)
    assert not await asyncio.to_thread(stage.control.exists)
    assert "STOPPING=1" in stage.heard()
    assert stage.log.named("daemon_stopped")


async def test_the_socket_of_another_daemon_is_an_error_before_any_bench_is_touched(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    checked = await asyncio.to_thread(config_file.read, str(stage.file))
    second = Daemon(str(stage.file), checked, stage.log, from_manager({}))
    with pytest.raises(ControlError, match="another ocdsup daemon"):
        await second.run()
    assert second._benches == []
    await second._tasks.cancel()


async def test_a_reload_without_a_change_touches_nothing(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    before = (stage["one"], stage["one"].backend_pid, stage["one"].ports.gdb_numbers)
    assert await stage.daemon.reload() == "0 changed, 0 started, 0 ended, others untouched"
    assert (stage["one"], stage["one"].backend_pid, stage["one"].ports.gdb_numbers) == before


async def test_a_reload_adds_removes_and_changes_without_touching_the_others(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    kept = (stage["one"], stage["one"].backend_pid)
    stage.write(one=stage.bench(), two=stage.bench(probe=serial(2)), three=stage.bench(probe=serial(3)))
    assert await stage.daemon.reload() == "0 changed, 2 started, 0 ended, others untouched"
    two = stage["two"]
    stage.write(one=stage.bench(), two=stage.bench(probe=serial(2), recovery={"failures": 9}))
    assert await stage.daemon.reload() == "1 changed, 0 started, 1 ended, others untouched"
    assert (stage["two"], two.driver.state.policy.failures) == (two, 9)
    assert [bench["name"] for bench in stage.daemon.snapshot()["benches"]] == ["one", "two"]
    assert (stage["one"], stage["one"].backend_pid) == kept


@pytest.mark.parametrize("change", [{"bind": ["127.0.0.1", "::1"]}, {"monitor": "safe"}])
async def test_a_bench_whose_ports_move_or_get_other_rules_begins_anew(stage: Stage, change: dict[str, Any]) -> None:
    await stage.run(one=stage.bench())
    old, pid = stage["one"], stage["one"].backend_pid
    assert pid is not None
    stage.write(one=stage.bench(**change))
    assert await stage.daemon.reload() == "0 changed, 1 started, 1 ended, others untouched"
    assert stage["one"] is not old
    assert not psutil.pid_exists(pid)
    await phase(stage["one"], Phase.READY)


async def test_the_benches_stand_in_the_order_of_the_file_also_after_a_reload(stage: Stage) -> None:
    benches = {"one": stage.bench(), "two": stage.bench(probe=serial(2)), "three": stage.bench(probe=serial(3))}
    await stage.run(one=benches["one"])
    for names in (["two", "one"], ["three", "two", "one"], ["one", "three"]):
        stage.write(**{name: benches[name] for name in names})
        await stage.daemon.reload()
        assert [bench["name"] for bench in stage.daemon.snapshot()["benches"]] == names


async def test_a_reload_of_a_bad_file_is_refused_and_keeps_everything(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    pid = stage["one"].backend_pid
    stage.file.write_text("version: 1\nbenches: {one: {openocd: 7}}\n")
    with pytest.raises(ControlError, match="the running configuration stays") as refused:
        await stage.daemon.reload()
    assert refused.value.code == "bad-config"
    assert stage["one"].backend_pid == pid


async def test_hup_reloads(stage: Stage, until: Until) -> None:
    await stage.run(one=stage.bench())
    stage.write(one=stage.bench(), two=stage.bench(probe=serial(2)))
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: stage.log.named("reloaded"))
    assert len(stage.daemon._benches) == 2


async def test_hup_with_a_bad_file_keeps_the_old_configuration_and_says_why(stage: Stage, until: Until) -> None:
    await stage.run(one=stage.bench())
    pid = stage["one"].backend_pid
    stage.file.write_text("version: 2\n")
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: stage.log.named("reload_refused"))
    assert str(stage.file) in stage.log.named("reload_refused")[0]["text"]
    assert (stage["one"].backend_pid, stage["one"].driver.state.phase) == (pid, Phase.READY)


async def test_reloads_come_one_after_the_other(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    stage.write(one=stage.bench(), two=stage.bench(probe=serial(2)))
    texts = await asyncio.gather(stage.daemon.reload(), stage.daemon.reload())
    assert [text.split(",")[1] for text in texts] == [" 1 started", " 0 started"]


async def test_a_daemon_that_is_told_to_end_during_a_reload_ends_all_benches(stage: Stage, until: Until) -> None:
    """The bench whose port moves is between two lists: the old one is about to end, the new one not yet there."""
    await stage.run(one=stage.bench())
    old, ends, go_on = stage["one"], asyncio.Event(), asyncio.Event()
    whole_end = old.end

    async def slow_end(*, park: bool = False) -> None:
        ends.set()
        await go_on.wait()
        await whole_end(park=park)

    old.end = slow_end  # type: ignore[method-assign]  # an OpenOCD that takes its time
    stage.write(one=stage.bench(monitor="off"))
    os.kill(os.getpid(), signal.SIGHUP)
    await ends.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: "STOPPING=1" in stage.heard())
    go_on.set()
    await stage.ended()
    assert [old.backend_pid, stage["one"].backend_pid] == [None, None]
    assert len(stage.log.named("reloaded")) == 1


async def test_a_daemon_that_ends_takes_no_new_configuration(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    stage.daemon._ended.set()
    with pytest.raises(ControlError, match="about to end"):
        await stage.daemon.reload()


async def test_a_fault_in_a_callback_is_in_the_log_with_its_place(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    heard = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: [][0])
    asyncio.get_running_loop().call_soon(heard.set)
    await heard.wait()
    (line,) = stage.log.named("callback_failed")
    assert "IndexError" in line["error"]
    assert line["place"].startswith(__file__)


async def test_openocds_of_all_benches_and_the_daemon_itself_are_known_as_our_own(stage: Stage) -> None:
    """A look at an ST-LINK server is a connection of ours to it: it must not make the daemon a holder that it ends."""
    await stage.run(one=stage.bench())
    assert stage.daemon._own_pids() == {os.getpid(), stage["one"].backend_pid}


async def test_a_word_on_a_telnet_port_is_about_the_bench_of_that_port(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    reader, writer = await asyncio.open_connection("127.0.0.1", stage["one"].ports.telnet_number)
    writer.write(b"ocdsup why\nexit\n")
    async with asyncio.timeout(20):
        assert b"one" in await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_one_bench_that_cannot_be_ended_keeps_neither_the_others_nor_the_daemon_from_their_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.run(one=stage.bench(), two=stage.bench(probe=serial(2)))
    pid, whole_end, two_ends = stage["one"].backend_pid, stage["two"].end, asyncio.Event()
    assert pid is not None

    async def broken(*, park: bool = False) -> None:
        await whole_end(park=park)
        two_ends.set()
        raise RuntimeError("a mistake of ours")

    async def after_the_other(*, park: bool = False) -> None:
        await two_ends.wait()
        await one_end(park=park)

    one_end = stage["one"].end
    monkeypatch.setattr(stage["two"], "end", broken)
    monkeypatch.setattr(stage["one"], "end", after_the_other)
    os.kill(os.getpid(), signal.SIGTERM)
    await stage.ended()
    assert not psutil.pid_exists(pid)
    assert stage.log.named("daemon_stopped")
    (failed,) = stage.log.named("task_failed")
    assert (failed["task"], "a mistake of ours" in failed["error"]) == ("end of two", True)
    stage.log.lines.clear()  # the stage holds such a line against any other test


async def test_a_bench_that_cannot_be_ended_does_not_keep_a_reload_from_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.run(one=stage.bench())
    whole_end = stage["one"].end

    async def broken(*, park: bool = False) -> None:
        await whole_end(park=park)
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(stage["one"], "end", broken)
    stage.write(two=stage.bench(probe=serial(2)))
    assert await stage.daemon.reload() == "0 changed, 1 started, 1 ended, others untouched"
    assert [bench.name for bench in stage.daemon._benches] == ["two"]
    stage.log.lines.clear()  # the stage holds such a line against any other test


async def test_a_reload_says_what_its_owner_should_know_of_the_new_configuration(stage: Stage) -> None:
    await stage.run(one=stage.bench())
    old = stage.control
    stage.control = old.with_name("another.sock")
    changes = {"http": "127.0.0.1:8333", "control": str(stage.control), "benches": {"one": stage.bench()}}
    stage.file.write_text(json.dumps({"version": 1, **changes}))
    done = await stage.daemon.reload()
    http, control = (said["text"] for said in stage.log.named("config_warning"))
    assert "http" in http
    assert control == "`control` has changed: the socket stays where it is until the daemon is restarted"
    assert done == f"0 changed, 0 started, 0 ended, others untouched; {http}; {control}"
    assert await asyncio.to_thread(old.exists)
    stage.control = old


async def test_the_end_of_the_slowest_bench_is_what_the_manager_is_told_of(stage: Stage) -> None:
    await stage.run(one=stage.bench(recovery={"grace": "20s"}))
    assert [(vital.name, vital.end_s) for vital in stage.daemon._vitals()] == [("one", 41.0)]
