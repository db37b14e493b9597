"""OpenOCDs of IDEs, started with each IDE's own command line, stand between a bench and its probe."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import Program, is_alive, until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, SERIAL, connect, gone, read_until

if TYPE_CHECKING:
    from tests.bench.rig import Rig, Sim

# What an IDE writes around its own ports and files; {g} {t} {c} are the ports of GDB, telnet and Tcl, SIM the simulation.
SIM = ["-c", "hla_stlink_backend tcp {sim}"]
IDES = {
    "Cortex-Debug": [
        *["-f", "{helpers}", "-c", "gdb_port {g}", "-c", "tcl_port {c}", "-c", "telnet_port {t}", "-s", "/tmp"],
        *["-f", "interface/stlink.cfg", *SIM, "-f", "target/stm32f4x.cfg"],
    ],
    "Eclipse": [
        *["-c", "gdb_port {g}", "-c", "telnet_port {t}", "-c", "tcl_port {c}", "-f", "interface/stlink.cfg", *SIM],
        *["-f", "target/stm32f4x.cfg", "-c", 'echo "Started by GNU MCU Eclipse"'],
    ],
    "west": [
        *["-s", "/tmp", "-f", "interface/stlink.cfg", *SIM, "-f", "target/stm32f4x.cfg", "-c", "tcl_port {c}"],
        *["-c", "telnet_port {t}", "-c", "gdb_port {g}", "-c init", "-c targets", "-c halt"],
    ],
    "ESP-IDF": [
        *["-d2", "-c", "adapter serial {serial}", "-f", "interface/stlink.cfg", *SIM, "-f", "target/stm32f4x.cfg"],
        *["-c", "gdb_port {g}", "-c", "telnet_port {t}", "-c", "tcl_port {c}"],
    ],
    "VisualGDB": [
        *["-c", "gdb_port {g}", "-c", "telnet_port {t}", "-c", "tcl_port {c}", "-f", "interface/stlink.cfg", *SIM],
        *["-f", "target/stm32f4x.cfg", "-c", "init", "-c", "reset init", "-c", "echo VisualGDB_OpenOCD_Ready"],
    ],
}


@dataclass
class Ide:
    """An IDE (a parent process) and the OpenOCD it has started."""

    program: Program
    pid: int
    gdb_port: int
    telnet_port: int

    def dies(self) -> None:
        """The IDE is killed; its OpenOCD stays."""
        os.kill(self.program.pid, signal.SIGKILL)
        self.program._process.wait()


def start(rig: Rig, sim: Sim, name: str, *more: str, **env: str) -> Ide:
    """Start an IDE's OpenOCD on the probe, with more words behind its own; returns when it has it."""
    ports = dict(zip("gtc", _free_ports(3), strict=True))
    helpers = rig.folder / "openocd-helpers.tcl"
    helpers.write_text("proc CDSWOConfigure {} {}\n")
    argv = [*(word.format(sim=sim.port, helpers=helpers, serial=SERIAL, **ports) for word in IDES[name]), *more]
    pidfile = rig.folder / f"ide-{ports['g']}.pid"
    ide = rig.start("ide", ["python3", "-c", PARENT, str(pidfile), "openocd", *argv], **env)
    ide.await_line(f"Listening on port {ports['g']} for gdb connections", PATIENCE)
    return Ide(ide, int(pidfile.read_text()), ports["g"], ports["t"])


# Not a shell: a shell in between is looked through, and this one stands for the IDE itself.
PARENT = """
import pathlib, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""


def _free_ports(count: int) -> list[int]:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def blocked(rig: Rig) -> dict[str, object]:
    """Wait until the bench says that its probe is held; returns its snapshot."""
    return rig.until("be blocked", lambda bench: bench["phase"] == "blocked" and bench["fault"]["code"] == "probe-held")


@pytest.mark.parametrize("name", IDES)
def test_a_live_debug_session_is_left_alone_and_named(rig: Rig, name: str) -> None:
    """Its IDE lives and a GDB is attached: the bench waits, says for whom, and takes over when both have gone."""
    sim = rig.sim()
    ide = start(rig, sim, name)
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{ide.gdb_port}")
        rig.run(one=rig.bench(sim))
        bench = blocked(rig)
        holder = next(h for h in bench["probe"]["holders"] if h["pid"] == ide.pid)  # type: ignore[index]
        assert (holder["stale"], holder["why"].split(";")[0]) == (False, "a GDB session is live")
        assert f"PID {ide.pid}" in rig.ocdsup("why", "one").stdout
        probes = json.loads(rig.ocdsup("probes", "--json").stdout)["probes"]
        assert [(p["bench"], [h["pid"] for h in p["holders"]]) for p in probes if p["server"]] == [("one", [ide.pid])]
        refused = rig.ocdsup("evict", "one")
        assert refused.returncode == 1
        assert "a GDB session is live" in refused.stderr
        assert is_alive(ide.pid)
        ide.dies()
    gone(ide.pid)
    assert rig.ready()["counters"]["evictions"] == 1


def test_an_openocd_at_the_end_of_gdbs_pipe_is_a_live_session(rig: Rig) -> None:
    """PlatformIO's way: no port at all; GDB itself is the parent, and its end is OpenOCD's."""
    sim = rig.sim()
    words = ["-c", "gdb_port pipe; tcl_port disabled; telnet_port disabled", "-f", "interface/stlink.cfg"]
    words += ["-c", "transport select hla_swd", "-c", f"hla_stlink_backend tcp {sim.port}", "-f", "target/stm32f4x.cfg"]
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote | openocd {shlex.join(words)}")
        rig.run(one=rig.bench(sim))
        bench = blocked(rig)
        (holder,) = bench["probe"]["holders"]  # type: ignore[index]
        assert (holder["name"], holder["stale"]) == ("openocd", False)
        assert "a GDB session is live" in holder["why"]
        assert gdb.command("-data-evaluate-expression $pc")
    assert rig.ready()["counters"]["evictions"] == 0


@pytest.mark.parametrize("name", IDES)
def test_an_openocd_that_its_ide_left_behind_is_ended(rig: Rig, name: str) -> None:
    sim = rig.sim()
    ide = start(rig, sim, name)
    ide.dies()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    assert not is_alive(ide.pid)
    assert bench["counters"]["evictions"] == 1
    assert [record["pid"] for record in rig.log("evicting")] == [ide.pid]
    assert rig.log("evicting")[0]["why"] == "stale: the program that started it is gone"
    said = f"bench one has this probe and serves GDB at localhost:{bench['ports']['gdb'][0]}; connect there instead"
    assert said in ide.program.output.read_text(), "whoever reads the IDE's console has to know"


def test_an_orphan_that_is_busy_with_the_probe_is_left_until_it_answers_again(rig: Rig) -> None:
    """IDE and client have died in the middle of a flash write that the client had asked for: silent, but not wedged."""
    sim = rig.sim()
    go = rig.folder / "go"
    (rig.folder / "image.bin").write_bytes(bytes(range(256)) * 64)
    ide = start(rig, sim, "Eclipse")
    with connect(ide.telnet_port) as console:
        read_until(console, b"> ")
        write = f"flash write_image erase {rig.folder}/image.bin 0x08000000"
        console.sendall(f"reset halt; echo BEGUN; while {{![file exists {go}]}} {{{write}}}; echo WRITTEN\n".encode())
        ide.program.await_line("BEGUN", PATIENCE)
    ide.dies()
    rig.run(one=rig.bench(sim))
    rig.until("leave it alone", lambda bench: any("busy with the probe" in h["why"] for h in bench["probe"]["holders"]))
    assert is_alive(ide.pid)
    go.touch()
    assert rig.ready()["counters"]["evictions"] == 1
    assert "\nWRITTEN" in ide.program.output.read_text()
    assert rig.log("holder_ended")[0]["how"] == "shutdown"


def test_an_openocd_without_a_tcl_port_is_left_while_it_writes_flash_for_a_client_that_only_listens(rig: Rig) -> None:
    """`printf … | nc -N`: the client has closed its own direction and waits for the end; its IDE lives."""
    sim = rig.sim()
    go = rig.folder / "go"
    (rig.folder / "image.bin").write_bytes(bytes(range(256)) * 64)
    ide = start(rig, sim, "Eclipse", "-c", "tcl_port disabled")
    with connect(ide.telnet_port) as console:
        read_until(console, b"> ")
        write = f"flash write_image erase {rig.folder}/image.bin 0x08000000"
        console.sendall(f"reset halt; echo BEGUN; while {{![file exists {go}]}} {{{write}}}; echo WRITTEN\n".encode())
        console.shutdown(socket.SHUT_WR)
        ide.program.await_line("BEGUN", PATIENCE)
        rig.run(one=rig.bench(sim))
        rig.until("leave it alone", lambda bench: any("busy with the probe" in h["why"] for h in bench["probe"]["holders"]))
        assert is_alive(ide.pid)
        go.touch()
        rig.ready()
    assert "\nWRITTEN" in ide.program.output.read_text()
    assert "no GDB has been connected" in rig.log("evicting")[0]["why"]
    assert rig.log("holder_ended")[0]["how"] == "term"


def test_an_openocd_that_has_gone_to_work_since_it_was_asked_to_end_is_not_killed(rig: Rig) -> None:
    """It was idle when judged; a moment later it writes flash, and heeds SIGTERM only when that is done."""
    sim = rig.sim()
    go = rig.folder / "go"
    (rig.folder / "image.bin").write_bytes(bytes(range(256)) * 64)
    write = f"while {{![file exists {go}]}} {{flash write_image erase {rig.folder}/image.bin 0x08000000}}"
    ide = start(rig, sim, "Eclipse", "-c", f"proc shutdown {{}} {{reset halt; echo BEGUN; {write}; echo WRITTEN; exit}}")
    ide.dies()
    rig.run(one=rig.bench(sim))
    until("see it begin", lambda: "BEGUN" in ide.program.output.read_text(), PATIENCE)
    rig.until("leave it alone", lambda bench: any("busy with the probe" in h["why"] for h in bench["probe"]["holders"]))
    assert is_alive(ide.pid)
    go.touch()
    rig.ready()
    gone(ide.pid)
    assert "\nWRITTEN" in ide.program.output.read_text()
    assert rig.log("holder_ended")[0]["how"] == "left-alone"


def test_an_openocd_that_is_stopped_is_ended_although_it_cannot_react(rig: Rig) -> None:
    sim = rig.sim()
    ide = start(rig, sim, "Eclipse")
    os.kill(ide.pid, signal.SIGSTOP)
    rig.run(one=rig.bench(sim))
    rig.ready()
    gone(ide.pid)
    assert "it is stopped and cannot answer" in rig.log("evicting")[0]["why"]
    assert rig.log("holder_ended")[0]["how"] == "term", "SIGCONT came along with SIGTERM, so it could put its adapter in order"
    assert ide.program.output.read_text().endswith("shutdown command invoked\n")


def test_an_openocd_that_is_stopped_and_does_not_heed_term_either_is_ended_by_kill(rig: Rig) -> None:
    """It never comes back to its event loop, where OpenOCD looks for the signals it got."""
    sim = rig.sim()
    ide = start(rig, sim, "Eclipse", "-c", "after 1 {echo LOOPS; while 1 {}}")
    ide.program.await_line("LOOPS", PATIENCE)
    os.kill(ide.pid, signal.SIGSTOP)
    rig.run(one=rig.bench(sim))
    assert rig.ready()["counters"]["evictions"] == 1
    gone(ide.pid)
    assert rig.log("holder_ended")[0]["how"] == "kill"


def test_a_flash_run_that_was_stopped_is_continued_and_left_until_it_is_done(rig: Rig) -> None:
    """Somebody pressed Ctrl-Z: a stopped OpenOCD only blocks the probe, but SIGKILL would leave the board half written."""
    sim = rig.sim()
    go = rig.folder / "go"
    image = f"{rig.folder}/image.bin 0x08000000"
    run = production(rig, sim, f"while {{![file exists {go}]}} {{flash write_image erase {image}}}", "echo WRITTEN")
    os.kill(run.pid, signal.SIGSTOP)
    rig.run(one=rig.bench(sim))
    rig.until("leave it alone", lambda bench: any("no console" in h["why"] for h in bench["probe"]["holders"]))
    assert is_alive(run.pid)
    go.touch()
    gone(run.pid)
    assert "\nWRITTEN" in run.program.output.read_text()
    assert {record["how"] for record in rig.log("holder_ended")} == {"left-alone"}
    assert rig.ready()["counters"]["evictions"] == 0


def test_force_ends_a_live_session_because_a_person_said_so(rig: Rig) -> None:
    sim = rig.sim()
    ide = start(rig, sim, "Cortex-Debug")
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{ide.gdb_port}")
        rig.run(one=rig.bench(sim))
        blocked(rig)
        done = rig.ocdsup("evict", "one", "--force")
        assert done.returncode == 0, done.stderr
        assert "ended 1 of 1" in done.stdout
        gone(ide.pid)
        evicted = rig.ready()["probe"]["evicted"]
    assert [(one["pid"], one["name"], one["how"]) for one in evicted] == [(ide.pid, "openocd", "shutdown")]
    assert f"PID {ide.pid} openocd" in rig.ocdsup("why", "one").stdout
    assert "forced; a GDB session is live" in rig.ocdsup("why", "one").stdout
    assert re.match(r"PID \d+, ", rig.log("evict_asked")[0]["by"])


# Our OpenOCD never wins the race for the probe: it starts when the other one has it again.
SLOWER = """#!/bin/sh
[ "$1" = --version ] && exec openocd "$@"
seen() {{ grep -c 'for gdb connections' {log}; }}
until [ "$(seen)" -gt "$(cat {count} 2>/dev/null || echo 0)" ]; do sleep 0.05; done
[ "$(cat {count} 2>/dev/null || echo 0)" = -1 ] || seen > {count}
exec openocd "$@"
"""


def test_whoever_starts_it_again_each_time_is_not_fought_with(rig: Rig) -> None:
    """A shell loop respawns a stale OpenOCD: after three times the bench rests, blocked, and says so; force is no exception."""
    sim = rig.sim()
    argv = [word.format(sim=sim.port, **dict(zip("gtc", _free_ports(3), strict=True))) for word in IDES["Eclipse"]]
    loop = rig.start("loop", ["sh", "-c", 'while :; do setsid "$@" & wait; done', "loop", "openocd", *argv])
    loop.await_line("for gdb connections", PATIENCE)
    ours = rig.folder / "slower-openocd"
    ours.write_text(SLOWER.format(log=loop.output, count=rig.folder / "count"))
    ours.chmod(0o755)
    rig.run(one=rig.bench(sim, holders="openocd", openocd={"binary": str(ours)}))
    bench = rig.until(
        "give up the fight",
        lambda b: b["phase"] == "blocked" and any("starts it again each time" in h["why"] for h in b["probe"]["holders"]),
    )
    assert bench["fault"]["code"] == "probe-held"
    assert bench["counters"]["evictions"] == 3
    assert f"PID {loop.pid} (sh) of user {getpass.getuser()}, from PID {os.getpid()} (" in bench["fault"]["text"]
    said = loop.output.read_text()
    assert said.count("ocdsup ends this OpenOCD (") == 3
    rig.until("look again", lambda b: b["since_s"] > 3)
    assert loop.output.read_text().count("leaves it alone now: bench one waits for this probe") == 1
    refused = rig.ocdsup("evict", "one", "--force")
    assert refused.returncode == 1
    assert "stop what respawns it" in refused.stderr
    os.kill(loop.pid, signal.SIGKILL)
    loop._process.wait()
    (rig.folder / "count").write_text("-1")
    for pid in [h["pid"] for h in rig.status()["probe"]["holders"]]:
        os.kill(pid, signal.SIGTERM)
    rig.ready()


def test_nobody_is_evicted_while_the_probe_is_lent(rig: Rig) -> None:
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    assert "is free for 600 s" in rig.telnet("ocdsup lend 600")
    ide = start(rig, sim, "Eclipse")
    ide.dies()
    done = rig.ocdsup("evict", "one")
    assert done.returncode == 1
    assert "is lent" in done.stderr
    assert is_alive(ide.pid)
    rig.telnet("ocdsup resume")
    rig.ready()
    gone(ide.pid)


def production(rig: Rig, sim: Sim, *lines: str) -> Ide:
    """An OpenOCD that does what a file says, and nothing on its command line tells what; returns when it is at it."""
    file, pidfile = rig.folder / "production.cfg", rig.folder / "production.pid"
    words = [f"hla_stlink_backend tcp {sim.port}", "source [find target/stm32f4x.cfg]", "gdb_port 0", "init", "reset halt"]
    (rig.folder / "image.bin").write_bytes(bytes(range(256)) * 64)
    file.write_text("\n".join(["source [find interface/stlink.cfg]", *words, "echo BEGUN", *lines]))
    program = rig.start("production", ["python3", "-c", PARENT, str(pidfile), "openocd", "-f", str(file)])
    program.await_line("BEGUN", PATIENCE)
    return Ide(program, int(pidfile.read_text()), 0, 0)


def test_an_openocd_that_still_carries_out_its_files_is_not_called_idle(rig: Rig) -> None:
    """A flash run whose commands stand in a file has no GDB and no console for as long as it lasts, and must not be cut off."""
    sim = rig.sim()
    run = production(rig, sim, f"while 1 {{flash write_image erase {rig.folder}/image.bin 0x08000000}}")
    rig.run(one=rig.bench(sim))
    try:
        rig.until("leave it alone", lambda bench: any("no console" in h["why"] for h in bench["probe"]["holders"]))
        assert is_alive(run.pid)
    finally:
        os.kill(run.pid, signal.SIGKILL)
    assert rig.ready()["counters"]["evictions"] == 0


@pytest.mark.parametrize(("then", "evictions"), [("exit", 0), ("echo SERVES", 1)], ids=["it ends", "it stays as a server"])
def test_an_orphan_that_is_at_work_in_its_files_is_left_until_it_is_done(rig: Rig, then: str, evictions: int) -> None:
    """Its IDE has died in the middle of a flash run; only when that is over, the OpenOCD is nobody's."""
    sim = rig.sim()
    go = rig.folder / "go"
    image = f"{rig.folder}/image.bin 0x08000000"
    write = f"while {{![file exists {go}]}} {{flash write_image erase {image}}}"
    run = production(rig, sim, write, f"verify_image {image}", "echo VERIFIED", then)
    run.dies()
    rig.run(one=rig.bench(sim))
    rig.until("leave it alone", lambda bench: any("no console" in h["why"] for h in bench["probe"]["holders"]))
    assert is_alive(run.pid)
    go.touch()
    assert rig.ready()["counters"]["evictions"] == evictions
    assert not is_alive(run.pid)
    assert "\nVERIFIED" in run.program.output.read_text()
