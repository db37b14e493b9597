"""Bad configurations and changed ones: what is said, what keeps running, what is never touched."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ocdsup.demo.stage import is_alive, until
from tests.bench.rig import PATIENCE, SERIAL, Rig

OTHER = "0CD50B5100000000000000A1"
BAD = """\
version: 1
benches:
  one:
    openocd:
      config: [interface/stlink.cfg, target/stm32f4x.cfg]
      binry: openocd
    ports: {gdb: 99999, telnet: 4444}
    recovery:
      grace: fast
  Two:
    openocd: {config: []}
"""


def fake(rig: Rig, script: str) -> str:
    """A program that calls itself OpenOCD; returns its path."""
    path = rig.folder / f"openocd-{len(list(rig.folder.iterdir()))}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_run_tells_every_error_with_its_place_and_exits_2(rig: Rig) -> None:
    """Five mistakes in one file: five lines `file:line:column`, nothing on stdout, nothing started."""
    rig.write_text(BAD)
    done = rig.ocdsup("run", "-c", str(rig.config_file))
    assert done.returncode == 2
    assert done.stdout == ""
    for place in ("6:7", "7:18", "9:14", "10:3", "11:"):
        assert f"{rig.config_file}:{place}" in done.stderr
    assert "did you mean" in done.stderr
    assert not rig.socket.exists()


def test_run_without_a_file_says_which_file_is_missing(rig: Rig) -> None:
    """Exit code 2 and the path."""
    done = rig.ocdsup("run", "-c", str(rig.folder / "nowhere.yaml"))
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["verb", "signal"])
def test_a_reload_of_a_bad_file_keeps_the_old_configuration(rig: Rig, how: str) -> None:
    """The errors are told where the person looks (exit 2, or the log), and the same OpenOCD runs on."""
    sim = rig.sim()
    daemon = rig.run(one=rig.bench(sim))
    before = rig.ready()
    rig.write_text(BAD)
    if how == "verb":
        done = rig.ocdsup("reload")
        assert done.returncode == 2
        assert f"{rig.config_file}:6:7" in done.stderr
    else:
        os.kill(daemon.pid, signal.SIGHUP)
        until("see the refusal", lambda: rig.log("reload_refused"), PATIENCE)
        assert f"{rig.config_file}:6:7" in rig.log("reload_refused")[0]["text"]
    assert [bench["name"] for bench in rig.ask("status")["benches"]] == ["one"]
    assert rig.ready()["backend"]["pid"] == before["backend"]["pid"]


def test_a_reload_adds_removes_and_changes_benches_without_touching_the_others(rig: Rig) -> None:
    """Three probes: one bench stays, one goes, one comes, and one is started anew because its command line changed."""
    third, fourth = "0CD50B5100000000000000A2", "0CD50B5100000000000000A3"
    sim = rig.sim(SERIAL, OTHER, third, fourth)
    stays, goes, changes = rig.bench(sim), rig.bench(sim, OTHER), rig.bench(sim, third)
    rig.run(stays=stays, goes=goes, changes=changes)
    before = {name: rig.ready(name)["backend"]["pid"] for name in ("stays", "goes", "changes")}
    patient = stays | {"recovery": stays["recovery"] | {"grace": "3s"}}  # the supervisor's own business: no restart
    changed = changes | {"openocd": changes["openocd"] | {"adapter_speed_khz": 480}}
    rig.write(stays=patient, changes=changed, comes=rig.bench(sim, fourth))
    done = rig.ocdsup("reload")
    assert done.returncode == 0
    assert rig.ready("stays")["backend"]["pid"] == before["stays"]
    assert rig.ready("comes")["fault"] is None
    rig.until(
        "start anew",
        lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != before["changes"],
        "changes",
    )
    assert "480" in " ".join(rig.status("changes")["backend"]["argv"])
    assert [bench["name"] for bench in rig.ask("status")["benches"]] == ["stays", "changes", "comes"]
    until("see the removed one's OpenOCD end", lambda: not is_alive(before["goes"]), PATIENCE)


def test_two_benches_of_one_daemon_do_not_notice_each_other(rig: Rig) -> None:
    """One board dies and recovers; the other's OpenOCD is the same process all along."""
    sim = rig.sim(SERIAL, OTHER)
    rig.run(one=rig.bench(sim), two=rig.bench(sim, OTHER))
    rig.ready()
    before = rig.ready("two")
    sim.control.break_("sleeping", SERIAL)
    rig.recovered()
    after = rig.ready("two")
    assert after["backend"]["pid"] == before["backend"]["pid"]
    assert after["counters"] == before["counters"]
    assert after["ports"] == before["ports"]


@pytest.mark.parametrize(
    ("binary", "says"),
    [
        ("/nonexistent/openocd", "/nonexistent/openocd"),
        ("no-such-openocd", "no-such-openocd"),
        ("old", "0.8.0"),
        ("stranger", "hello"),
    ],
)
def test_an_openocd_that_cannot_be_used_is_named_with_the_next_step(rig: Rig, binary: str, says: str) -> None:
    """Missing, too old, or something else: `failed`, `backend-missing`, no process, and the neighbour is untouched."""
    scripts = {"old": 'echo "Open On-Chip Debugger 0.8.0 (2014)" >&2', "stranger": "echo hello"}
    sim = rig.sim(SERIAL, OTHER)
    path = fake(rig, scripts[binary]) if binary in scripts else binary
    rig.run(two=rig.bench(sim, OTHER), one=rig.bench(sim, openocd={"binary": path}))
    seen = rig.until("fail", lambda bench: bench["phase"] == "failed")
    assert seen["fault"]["code"] == "backend-missing"
    assert says in seen["fault"]["text"]
    assert "install OpenOCD" in " ".join(seen["advice"])
    assert seen["backend"] is None
    assert rig.launches("one") == 0
    two = rig.ready("two")
    assert rig.ready("two")["backend"]["pid"] == two["backend"]["pid"]


REJECTED = {
    "a file that is not there": {"config": ["interface/stlink.cfg", "target/stm32f9x.cfg"]},
    "a Tcl error": {"config": ["interface/stlink.cfg", "target/stm32f4x.cfg"], "commands": ["no_such_command 1"]},
    "an unbalanced brace": {"config": ["interface/stlink.cfg", "target/stm32f4x.cfg"], "commands": ["if {1} {"]},
    "an error of its own": {"config": ["interface/stlink.cfg", "target/stm32f4x.cfg"], "commands": ["error wrong"]},
}
SAYS = {
    "a file that is not there": "stm32f9x.cfg",
    "a Tcl error": "no_such_command",
    "an unbalanced brace": "",
    "an error of its own": "wrong",
}


@pytest.mark.parametrize("mistake", REJECTED)
def test_a_configuration_that_openocd_rejects_fails_after_one_launch(rig: Rig, mistake: str) -> None:
    """`config-rejected` with OpenOCD's own words; mended and reloaded, the same daemon brings the bench up."""
    sim = rig.sim(SERIAL, OTHER)
    rig.run(one=rig.bench(sim, openocd=REJECTED[mistake]), two=rig.bench(sim, OTHER))
    seen = rig.until("fail", lambda bench: bench["phase"] == "failed")
    assert seen["fault"]["code"] == "config-rejected"
    assert SAYS[mistake] in " ".join([seen["fault"]["text"], *seen["fault"]["evidence"]])
    assert "reload" in " ".join(seen["advice"])
    assert rig.launches() == 1
    two = rig.ready("two")
    rig.write(one=rig.bench(sim), two=rig.bench(sim, OTHER))
    assert rig.ocdsup("reload").returncode == 0
    assert rig.ready()["fault"] is None
    assert rig.ready("two")["backend"]["pid"] == two["backend"]["pid"]


def test_an_installed_openocd_is_found_after_a_reload(rig: Rig) -> None:
    """The bench failed for want of a program; once it is there, `reload` starts it."""
    sim = rig.sim()
    binary = rig.folder / "bin-openocd"
    rig.run(one=rig.bench(sim, openocd={"binary": str(binary)}))
    rig.until("fail", lambda bench: bench["phase"] == "failed")
    binary.symlink_to(Path("/usr/bin/openocd"))
    assert rig.ocdsup("reload").returncode == 0
    assert rig.ready()["fault"] is None


@pytest.mark.parametrize(
    ("mode", "board", "target"),
    [("hla", "stm32f103", "stm32f1x"), ("dap", "stm32f103", "stm32f1x"), ("dap", "stm32f411", "stm32f4x")],
)
def test_further_boards_come_up_and_recover(rig: Rig, board: str, target: str) -> None:
    """Nothing in the daemon knows the STM32F407 alone."""
    sim = rig.sim(board=board)
    interface = {"hla": "interface/stlink.cfg", "dap": "interface/stlink-dap.cfg"}[rig.mode]
    rig.run(one=rig.bench(sim, openocd={"config": [interface, f"target/{target}.cfg"]}))
    assert rig.ready()["targets"][0]["name"] == f"{target}.cpu"
    sim.control.break_("sleeping")
    assert rig.recovered()["targets"][0]["state"] == "running"


def test_a_wrong_chip_is_said_and_waited_for(rig: Rig) -> None:
    """An STM32F103 behind a configuration for the STM32F4: blocked with the idcodes, not restarted in a storm."""
    sim = rig.sim(board="stm32f103")
    rig.run(one=rig.bench(sim))
    seen = rig.until("rest", lambda bench: bench["phase"] in {"blocked", "failed", "ready"})
    assert seen["fault"] is not None
    assert seen["fault"]["code"] == "wrong-target"
    assert rig.launches() <= 2
