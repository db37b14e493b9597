"""However the daemon ends, nothing of it stays: no OpenOCD, no open probe, no socket that nobody answers."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, Sim, connect, gone, read_until

BOTH = pytest.mark.parametrize("mode", ["hla", "dap"])


def free(sim: Sim) -> None:
    """Wait until nobody has the probe open."""
    until("see the probe free", lambda: not any(probe["open"] for probe in sim.control.status()), PATIENCE)


@BOTH
def test_sigterm_ends_openocd_frees_the_probe_and_tells_the_clients(rig: Rig) -> None:
    """Exit code 0, the control socket's file is gone, the ports are free, the telnet client's connection ends in order."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    with connect(bench["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        assert rig.stop() == 0
        while sock.recv(65536):
            pass
    gone(bench["backend"]["pid"])
    free(sim)
    assert not rig.socket.exists()
    for port in (bench["ports"]["gdb"][0], bench["ports"]["telnet"]):
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert rig.openocds() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_start_ends_it_as_well(rig: Rig, number: signal.Signals) -> None:
    """OpenOCD hangs in its start; the daemon does not wait for it."""
    sim = rig.sim()
    sim.control.break_("hang")
    daemon = rig.run(one=rig.bench(sim))
    rig.until("have an OpenOCD", lambda bench: bench["backend"] is not None)
    os.kill(daemon.pid, number)
    assert rig.stop() == 0
    assert rig.openocds() == []


def test_sigterm_with_a_debug_session_ends_in_order(rig: Rig) -> None:
    """GDB hears an end of file; OpenOCD does not stall on it."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{bench['ports']['gdb'][0]}", PATIENCE)
        gdb.command("-exec-continue")
        assert rig.stop() == 0
        until("see GDB told", lambda: any("Remote connection closed" in line for line in gdb.log), PATIENCE)
    gone(bench["backend"]["pid"])


@pytest.mark.parametrize(
    ("mode", "state"), [("hla", "running"), ("hla", "stopped"), ("dap", "stopped"), ("hla", "hung"), ("dap", "hung")]
)
def test_kill_9_of_the_daemon_leaves_no_openocd_behind(rig: Rig, state: str) -> None:
    """Also an OpenOCD that is stopped or blocked in a transfer goes, and the next daemon gets the probe."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    if state == "stopped":
        os.kill(bench["backend"]["pid"], signal.SIGSTOP)
    elif state == "hung":
        sim.control.break_("hang")
        with connect(bench["ports"]["telnet"]) as sock:
            sock.sendall(b"mdw 0x08000000\n")
            until("see it blocked", lambda: "hang" in sim.control.status()[0]["faults"], PATIENCE)
    rig.kill()
    gone(bench["backend"]["pid"])
    assert rig.openocds() == []
    sim.control.heal()
    free(sim)
    rig.run(one=rig.bench(sim))  # over the socket file that the killed one left
    assert rig.ready()["fault"] is None


def test_the_killed_daemons_socket_file_tells_a_client_that_nobody_listens(rig: Rig) -> None:
    """Exit code 3, not a hang and not a traceback."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    rig.kill()
    done = rig.ocdsup("status")
    assert done.returncode == 3
    assert "nobody listens" in done.stderr
