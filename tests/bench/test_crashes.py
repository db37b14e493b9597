"""OpenOCD dies, stops or never comes up: who notices what, and that the board is left alone."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, connect, gone, read_until

BOTH = pytest.mark.parametrize("mode", ["hla", "dap"])


def resets(events: list[str]) -> list[str]:
    """What the host did to the board's reset."""
    return [event for event in events if event in {"nrst-low", "reset-system"}]


@BOTH
def test_a_killed_openocd_is_replaced_without_touching_the_board(rig: Rig) -> None:
    """A plain restart: no NRST, no reset command, the core runs on; one restart, one recovery."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.log(clear=True)
    boots = sim.control.status()[0]["boots"] if len(sim.control.status()) == 1 else None
    os.kill(before["backend"]["pid"], signal.SIGKILL)
    after = rig.recovered()
    assert after["backend"]["pid"] != before["backend"]["pid"]
    assert after["recoveries"][-1]["fault"] == "backend-exited"
    assert after["recoveries"][-1]["rungs"] == ["restart"]
    assert after["counters"]["restarts"] == 1
    assert resets(sim.events()) == []
    assert sim.control.status()[0]["boots"] == boots
    assert sim.core() == "running"
    assert after["ports"] == before["ports"]


@BOTH
def test_a_stopped_openocd_is_ended_by_sigkill_and_replaced(rig: Rig) -> None:
    """`kill -STOP` makes it deaf to SIGTERM and to the heartbeat alike."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    os.kill(before["backend"]["pid"], signal.SIGSTOP)
    after = rig.recovered()
    assert after["recoveries"][-1]["fault"] == "backend-hung"
    gone(before["backend"]["pid"])
    assert after["targets"][0]["state"] == "running"


def test_a_telnet_session_survives_the_crash_and_hears_of_both_ends(rig: Rig) -> None:
    """`OpenOCD is away`, then `OpenOCD is back`, on one connection that goes on working."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    with connect(before["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        os.kill(before["backend"]["pid"], signal.SIGKILL)
        read_until(sock, b"ocdsup: OpenOCD is away")
        between = read_until(sock, b"ocdsup: OpenOCD is back")
        sock.sendall(b"targets\n")
        read_until(sock, b"stm32f4x.cpu")
    assert b"OpenOCD is away" not in between, "one notice is enough for somebody who types nothing"
    after = rig.ready()
    assert after["backend"]["pid"] != before["backend"]["pid"]
    assert after["ports"] == before["ports"]


def test_a_gdb_that_attaches_during_the_outage_waits_and_is_answered(rig: Rig) -> None:
    """It connects while there is no OpenOCD, and has a session as soon as there is one."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.break_("usb-error")  # the restarts fail until it is healed
    os.kill(before["backend"]["pid"], signal.SIGKILL)
    rig.until("be away", lambda bench: bench["phase"] in {"recovering", "backoff"})
    heal = threading.Timer(0.5, sim.control.heal)
    with Gdb(firmware()) as gdb:
        heal.start()
        gdb.command(f"-target-select extended-remote localhost:{before['ports']['gdb'][0]}", PATIENCE)
        heal.join()
        assert "value=" in gdb.command("-data-evaluate-expression $pc")
        after = rig.ready()
        assert after["targets"][0]["gdb_sessions"] == 1


def test_an_openocd_that_exits_whenever_it_starts_fails_within_its_budget(rig: Rig) -> None:
    """It ends with a code and no word that anybody knows: restarts up to the intensity, then `failed`, then only a person."""
    sim = rig.sim()
    broken = rig.folder / "openocd"
    broken.write_text('#!/bin/sh\ncase "$*" in *--version*) echo "Open On-Chip Debugger 0.12.0" >&2; exit 0;; esac\nexit 7\n')
    broken.chmod(0o755)
    changes = {"binary": str(broken)}
    rig.run(one=rig.bench(sim, openocd=changes, recovery={"intensity": {"restarts": 4, "period": "10m"}}))
    seen = rig.until("give up", lambda bench: bench["phase"] == "failed")
    assert seen["fault"]["code"] == "backend-exited"
    assert "exit code 7" in seen["fault"]["text"]
    assert "ocdsup logs" in " ".join(seen["advice"])
    assert rig.launches() == 4


@pytest.mark.parametrize(("after", "state"), [("run", "running"), ("halt", "halted"), ("auto", "running")])
def test_a_recovery_leaves_the_core_as_the_policy_says(rig: Rig, after: str, state: str) -> None:
    """`run` and `halt` are obeyed; `auto` without a debug session lets it run."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim, recovery={"after_recovery": after}))
    rig.ready()
    sim.control.break_("sleeping")
    found = rig.recovered()
    assert found["targets"][0]["state"] == state
    assert sim.core() == state


def test_a_recovery_in_a_halted_debug_session_leaves_the_core_halted(rig: Rig) -> None:
    """The user had it stopped: `auto` does not let the program run away."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    port = rig.ready()["ports"]["gdb"][0]
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{port}", PATIENCE)
        gdb.command("-data-evaluate-expression $pc")
        rig.until("see the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 1)
        sim.control.break_("sleeping")
        found = rig.recovered()
        assert found["targets"][0]["state"] == "halted"
        assert sim.core() == "halted"


@pytest.mark.parametrize(
    ("mode", "own"),
    [
        ("hla", ""),
        ("dap", ""),
        ("hla", "reset_config srst_only srst_nogate connect_deassert_srst"),
        ("dap", "reset_config srst_only srst_push_pull"),
    ],
)
def test_the_boards_own_reset_config_is_back_after_a_recovery_under_reset(rig: Rig, own: str) -> None:
    """Under reset to get in, never to stay: OpenOCD's console says the same before and after."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim, openocd={"commands": [own] if own else []}))
    rig.ready()
    before = rig.tcl("reset_config")
    assert "connect_assert" not in before
    assert ("srst_only" in before) is bool(own)
    sim.control.break_("sleeping")
    rig.recovered()
    assert rig.tcl("reset_config") == before
