"""The telnet port with the clients people have: nc in a pipe, inetutils telnet, busybox telnet, and GDB's `monitor`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, connect, read_until, snapshot_in

CLIENTS = {"inetutils": ["telnet"], "busybox": ["busybox", "telnet"]}


@contextmanager
def terminal(rig: Rig, client: str) -> Iterator[pexpect.spawn[str]]:
    """A telnet client on a pseudo-terminal, as a person has it."""
    program, *words = CLIENTS[client]
    port = str(rig.status()["ports"]["telnet"])
    env = rig.environment(TERM="dumb")
    child = pexpect.spawn(program, [*words, "localhost", port], timeout=PATIENCE, env=env)
    try:
        yield child
    finally:
        child.close(force=True)


def test_nc_in_a_pipe_gets_the_snapshot_while_openocd_is_up(rig: Rig) -> None:
    """The one-liner of the manual: it ends by itself and what it prints is the object of `ocdsup status --json`."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    shown = snapshot_in(rig.telnet("ocdsup status --json"))
    told = rig.ask("status")
    assert shown.keys() == told.keys()
    assert shown["benches"][0].keys() == told["benches"][0].keys()
    assert shown["benches"][0]["phase"] == "ready"
    assert shown["pid"] == told["pid"]


def test_nc_in_a_pipe_gets_the_snapshot_while_openocd_is_being_restarted(rig: Rig) -> None:
    """OpenOCD hangs in its start, so the restart takes as long as the test wants."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.break_("hang")
    os.kill(before["backend"]["pid"], signal.SIGKILL)
    rig.until("be starting again", lambda bench: bench["phase"] == "recovering" and bench["backend"])
    shown = snapshot_in(rig.telnet("ocdsup status --json"))["benches"][0]
    assert shown["phase"] == "recovering"
    assert shown["fault"]["code"] == "backend-exited"
    sim.control.heal()
    rig.recovered()


def test_nc_in_a_pipe_gets_the_snapshot_while_the_probe_is_unplugged(rig: Rig) -> None:
    """Blocked, absent, and what to do with one's hands."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("unplugged")
    rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    shown = snapshot_in(rig.telnet("ocdsup status --json"))["benches"][0]
    assert (shown["phase"], shown["fault"]["code"]) == ("blocked", "probe-absent")
    assert shown["advice"]


def test_a_line_for_openocd_while_it_is_away_is_answered_at_once_with_one_line(rig: Rig) -> None:
    """One line, that begins as the contract says, with the phase, the reason and the next try; then a prompt."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("unplugged")
    rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    answers = [line for line in rig.telnet("targets", "mdw 0").splitlines() if line.removeprefix("> ").startswith("ocdsup: ")]
    assert len(answers) == 2
    for line in answers:
        assert line.removeprefix("> ").startswith("ocdsup: OpenOCD is away")
        assert "blocked" in line
        assert "probe-absent" in line


@pytest.mark.parametrize("client", CLIENTS)
def test_a_telnet_client_talks_to_openocd_and_to_the_supervisor(rig: Rig, client: str) -> None:
    """Greeting, prompt, OpenOCD's answer, our answer, and `exit` ends the client."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    with terminal(rig, client) as child:
        child.expect_exact("> ")
        child.sendline("targets")
        child.expect_exact("stm32f4x.cpu")
        child.expect_exact("> ")
        child.sendline("mdw 0x08000000 1")
        child.expect(rb"0x08000000: [0-9a-f]{8}")
        child.expect_exact("> ")
        child.sendline("ocdsup status")
        child.expect_exact("one: ready")
        child.expect_exact("> ")
        child.sendline("exit")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.signalstatus is None


@pytest.mark.parametrize("client", CLIENTS)
def test_a_telnet_client_stays_connected_over_a_crash_and_hears_of_it(rig: Rig, client: str) -> None:
    """Away, an answer while away, back, and the console works again."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    with terminal(rig, client) as child:
        child.expect_exact("> ")
        sim.control.break_("unplugged")
        os.kill(before["backend"]["pid"], signal.SIGKILL)
        child.expect_exact("ocdsup: OpenOCD is away")
        child.sendline("targets")
        child.expect_exact("ocdsup: OpenOCD is away")
        child.sendline("ocdsup why")
        child.expect_exact("probe-absent")
        sim.control.heal()
        child.expect_exact(f"ocdsup: OpenOCD is back ({before['backend']['version']})")
        child.expect_exact("> ")
        child.sendline("targets")
        child.expect_exact("stm32f4x.cpu")
        assert child.isalive()
    assert rig.ready()["backend"]["pid"] != before["backend"]["pid"]


def test_the_words_of_the_supervisor_all_answer(rig: Rig) -> None:
    """`help`, `why`, `logs`, `restart`, `stop` and `start` on one connection."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    with connect(before["ports"]["telnet"]) as sock:
        for line, answer in (
            ("ocdsup help", b"what is going on"),
            ("ocdsup why", b"Nothing is wrong now."),
            ("ocdsup logs 5", b"one ocdsup: "),
            ("ocdsup restart", b"ready on :"),
            ("ocdsup stop", b"stopped"),
            ("targets", b"ocdsup: OpenOCD is away"),
            ("ocdsup start", b"ready on :"),
            ("targets", b"stm32f4x.cpu"),
            ("ocdsup nonsense", b"unknown word"),
        ):
            sock.sendall(f"{line}\n".encode())
            read_until(sock, answer)
    assert rig.status()["backend"]["pid"] != before["backend"]["pid"]


def test_a_hanging_command_of_openocd_does_not_hold_up_the_supervisor(rig: Rig) -> None:
    """`ocdsup status` is answered although the same connection's last line never is."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    with connect(bench["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        sim.control.break_("hang")
        sock.sendall(b"mdw 0x08000000\nocdsup status --json\n")
        seen = read_until(sock, b"]}")
        assert b"0x08000000: " not in seen, "OpenOCD has not answered, and what is tested did not happen"
        assert b'"name": "one"' in seen
    sim.control.heal()
    rig.ready()


def test_monitor_ocdsup_status_answers_in_gdb(rig: Rig) -> None:
    """What telnet says, GDB's `monitor` says too; other lines go to OpenOCD."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    port = rig.ready()["ports"]["gdb"][0]
    argv = ["gdb-multiarch", "--batch", "--nx", "-ex", f"target extended-remote localhost:{port}"]
    argv += ["-ex", "monitor ocdsup status", "-ex", "monitor targets", "-ex", "detach", str(firmware())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=True)
    said = done.stdout + done.stderr
    assert "one: ready" in said
    assert "stm32f4x.cpu" in said


def test_two_people_have_a_console_each(rig: Rig) -> None:
    """What one types is not shown to the other."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    port = rig.ready()["ports"]["telnet"]
    with connect(port) as first, connect(port, "::1") as second:
        read_until(first, b"> ")
        read_until(second, b"> ")
        first.sendall(b"set answer 4711; set answer\n")
        read_until(first, b"4711")
        second.sendall(b"set other 815; set other\n")
        seen = read_until(second, b"815")
        assert b"4711" not in seen


def test_a_gdb_session_is_told_in_the_status(rig: Rig) -> None:
    """Connect, disconnect: the count goes up and down."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    port = rig.ready()["ports"]["gdb"][0]
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{port}", PATIENCE)
        seen = rig.until("count it", lambda bench: bench["targets"][0]["gdb_sessions"] == 1)
        assert seen["targets"][0]["gdb_port"] == port
        gdb.command("-target-disconnect")
        seen = rig.until("count it no more", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)
        assert (seen["phase"], seen["counters"]["restarts"]) == ("ready", 0)


@pytest.mark.parametrize("line", ["::shutdown", "if 1 shutdown", "catch shutdown why; echo $why", "set a shut; ${a}down"])
def test_a_shutdown_that_hides_from_the_first_look_is_refused_by_openocd_itself(rig: Rig, line: str) -> None:
    rig.run(one=rig.bench(rig.sim()))
    before = rig.ready()["backend"]["pid"]
    assert "supervised" in rig.tcl(line)
    assert "after#" in rig.tcl("after 1 shutdown")
    assert rig.ready()["backend"]["pid"] == before
