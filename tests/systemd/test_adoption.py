"""With `adopt: true` OpenOCD itself outlives the daemon: same process, same session; anything doubtful is a clean start."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import is_alive, until
from ocdsup.demo.story import firmware
from ocdsup.runtime.adoption import NAME
from ocdsup.sim.board import target_file
from ocdsup.sim.boards import BOARDS
from tests.bench.rig import PATIENCE, connect, gone, read_until
from tests.sessions.desk import MODE_2, hits, run, value
from tests.systemd.test_handover import Desk

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, adopt=True)
    try:
        yield made
    finally:
        ended(made)


def ended(desk: Desk) -> None:
    """Stop the service for good; OpenOCD takes the hang-up as its end, in its own time."""
    desk.rig.stop() if desk.rig.daemon is not None else None
    desk.manager.drop()
    until("leave no OpenOCD behind", lambda: not desk.rig.openocds(), PATIENCE)
    desk.close()


def openocd(desk: Desk) -> int:
    """The PID of the bench's OpenOCD."""
    return int(desk.rig.ready()["backend"]["pid"])


def end(desk: Desk, how: str) -> None:
    desk.rig.stop() if how == "restart" else desk.rig.kill()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_same_openocd_serves_the_same_session(desk: Desk, how: str) -> None:
    """Nothing is started; the next hit of the breakpoint arrives as if nothing had been."""
    desk.attach()
    before = openocd(desk)
    end(desk, how)
    desk.start()
    assert openocd(desk) == before
    desk.gdb.command("-exec-continue")
    assert "blink" in desk.gdb.wait_stop(PATIENCE)
    assert desk.sessions() == 1
    assert desk.rig.log("openocd_taken_up")


def test_it_is_supervised_as_any_other(desk: Desk) -> None:
    """It is nobody's child here, and its end is seen all the same."""
    before = openocd(desk)
    end(desk, "kill")
    desk.start()
    assert openocd(desk) == before
    os.kill(before, signal.SIGKILL)
    desk.rig.until("start another", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != before)


def test_it_goes_through_one_daemon_after_the_other(desk: Desk) -> None:
    before = openocd(desk)
    for how in ("kill", "restart", "kill"):
        end(desk, how)
        desk.start()
        assert openocd(desk) == before


def test_a_stop_of_the_service_ends_it(desk: Desk) -> None:
    """The manager drops its store; the terminal hangs up, and OpenOCD ends of that."""
    before = openocd(desk)
    desk.rig.stop()
    assert is_alive(before)
    desk.manager.drop()
    gone(before)


def block(desk: Desk, how: str, pid: int) -> None:
    """Make OpenOCD deaf to what it would end of: signals that it takes up between two turns of its loop."""
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
        return
    if how == "in a transfer":
        desk.sim.control.break_("hang")
    with connect(desk.telnet) as sock:
        read_until(sock, b"> ")
        sock.sendall(b"mdw 0x08000000\n" if how == "in a transfer" else b"echo here; while 1 {}\n")
        if how == "in a transfer":
            until("see it blocked", lambda: "hang" in desk.sim.control.status()[0]["faults"], PATIENCE)
        else:
            read_until(sock, b"here")


@pytest.mark.parametrize("how", ["stopped", "in a transfer", "in a script"])
@pytest.mark.parametrize("ending", ["restart", "kill"])
def test_one_that_is_blocked_is_ended_as_well_when_no_daemon_follows(desk: Desk, how: str, ending: str) -> None:
    """By a stop of the service, or by a crash that the manager does not restart: it would keep the probe for ever."""
    before = openocd(desk)
    block(desk, how, before)
    end(desk, ending)
    assert is_alive(before)
    desk.manager.drop()
    gone(before)


@pytest.mark.parametrize("damage", [b'{"version": 99}', b"\0" * 64], ids=["another version", "broken"])
def test_a_record_that_is_none_is_a_clean_start(desk: Desk, damage: bytes) -> None:
    """The old process is ended, so that it does not hold the probe against the new one."""
    before = openocd(desk)
    end(desk, "kill")
    for number in desk.manager.store[f"{NAME}one"]:
        if "memfd" in os.readlink(f"/proc/self/fd/{number}"):
            os.ftruncate(number, 0)
            os.pwrite(number, damage, 0)
    desk.start()
    assert openocd(desk) != before
    gone(before)


def edited(desk: Desk, old: str, new: str) -> tuple[int, int]:
    """The configuration is edited while there is no daemon; the PIDs of OpenOCD before and after."""
    before = openocd(desk)
    end(desk, "kill")
    text = desk.rig.config_file.read_text(encoding="utf-8")
    assert old in text
    desk.rig.write_text(text.replace(old, new))
    desk.start()
    return before, openocd(desk)


def test_one_that_would_be_started_differently_is_replaced(desk: Desk) -> None:
    before, after = edited(desk, '"config": [', '"adapter_speed_khz": 1000, "config": [')
    assert after != before
    gone(before)


def test_without_the_key_it_ends_with_the_daemon(desk: Desk) -> None:
    """Also one that was kept before: the key counts that is there now."""
    before, after = edited(desk, '"adopt": true', '"adopt": false')
    assert after != before
    gone(before)
    desk.rig.kill()
    gone(after)


TWO_CORES = {"config": ["interface/stlink-dap.cfg", target_file(BOARDS["dual-m4"])]}


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[tuple[Desk, Gdb, Gdb]]:
    """A chip with two cores and a GDB on each: the first stands in `blink`, the second runs to its breakpoint in mode 2."""
    made = Desk(tmp_path, "dual-m4", adopt=True, openocd=TWO_CORES)
    other = Gdb(firmware())
    try:
        made.attach()
        other.command(f"-target-select extended-remote 127.0.0.1:{made.port + 1}", PATIENCE)
        other.command(f"-break-insert -h *{MODE_2:#x}")
        other.command("-exec-continue")
        other.wait_stop(PATIENCE, attach=True)
        both_at_work(made)  # GDB says "running" before it has sent its breakpoint, and gives up after 6 s without an answer
        yield made, made.gdb, other
    finally:
        other.close()
        ended(made)


def states(desk: Desk) -> list[tuple[str, str, int]]:
    """Each core by its name, with its state and its debug sessions."""
    return [(core["name"], core["state"], core["gdb_sessions"]) for core in desk.rig.status()["targets"]]


def both_at_work(desk: Desk) -> None:
    """Wait until the first core stands and the second one runs, with a session each."""
    at_work = [("dual.cpu0", "halted", 1), ("dual.cpu1", "running", 1)]
    desk.rig.until("see both cores", lambda _: states(desk) == at_work)


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_with_two_cores_each_session_goes_on_at_its_own(cores: tuple[Desk, Gdb, Gdb], how: str) -> None:
    """Twice: same process, same ports, what stands stands, what runs runs, and each breakpoint is its own core's."""
    desk, standing, running = cores
    before, ports = openocd(desk), desk.rig.status()["ports"]["gdb"]
    blinks = value(standing, "blinks")
    for _ in range(2):
        end(desk, how)
        desk.start()
        assert openocd(desk) == before
        assert desk.rig.status()["ports"]["gdb"] == ports
        both_at_work(desk)
        assert running.no_stop_waiting()
        hits(standing)
        blinks += 1
        assert value(standing, "blinks") == blinks
    running.command("-exec-interrupt")
    assert "SIGINT" in running.wait_stop(PATIENCE)
    assert value(running, "blinks") > blinks
    running.command("-data-evaluate-expression mode=2")
    assert f'addr="{MODE_2:#010x}"' in run(running)
    assert value(standing, "mode") != 2


@pytest.mark.parametrize("core", [0, 1])
def test_one_core_s_debugger_that_leaves_meanwhile_leaves_the_other_s_session(cores: tuple[Desk, Gdb, Gdb], core: int) -> None:
    """Between two daemons a GDB is killed: its core is let go as its user would want, the other session goes on."""
    desk, *gdbs = cores
    before = openocd(desk)
    end(desk, "kill")
    os.kill(gdbs[core].pid, signal.SIGKILL)
    desk.start()
    assert openocd(desk) == before
    desk.rig.until("count one session", lambda _: [row[2] for row in states(desk)] == [core, 1 - core])
    if core == 0:
        assert gdbs[1].no_stop_waiting()
        gdbs[1].command("-exec-interrupt")
        assert "SIGINT" in gdbs[1].wait_stop(PATIENCE)
    else:
        hits(gdbs[0])
