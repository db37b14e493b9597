"""The ports never move and never close: open before the first OpenOCD, while there is none, and until the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, connect, read_until

HOSTS = ("127.0.0.1", "::1")


def test_both_families_answer_before_openocd_does_and_while_the_bench_is_blocked(rig: Rig) -> None:
    """There is no probe, so there is no OpenOCD; all four addresses take a connection and telnet explains."""
    sim = rig.sim()
    sim.control.break_("unplugged")
    rig.run(one=rig.bench(sim))
    bench = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    for host in HOSTS:
        connect(bench["ports"]["gdb"][0], host).close()
        with connect(bench["ports"]["telnet"], host) as sock:
            read_until(sock, b"ocdsup: OpenOCD is away")
    sim.control.heal()
    after = rig.ready()
    assert after["ports"] == bench["ports"]


def test_both_families_answer_while_the_bench_has_failed(rig: Rig) -> None:
    """`failed` is for people to mend, and they need the telnet port for it."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim, openocd={"config": ["interface/no-such-probe.cfg"]}))
    bench = rig.until("fail", lambda bench: bench["phase"] == "failed")
    told = []
    for host in HOSTS:
        connect(bench["ports"]["gdb"][0], host).close()
        with connect(bench["ports"]["telnet"], host) as sock:
            sock.sendall(b"ocdsup why\nexit\n")
            told.append(read_until(sock, b"ocdsup reload"))
    assert all(b"Fault config-rejected since" in text and b"no-such-probe.cfg" in text for text in told)
    assert (rig.status()["phase"], rig.launches()) == ("failed", 1)


@pytest.mark.parametrize(("which", "host"), [("gdb", "::1"), ("telnet", "127.0.0.1")])
def test_a_taken_port_names_its_owner_and_the_bench_comes_up_when_it_is_free(rig: Rig, which: str, host: str) -> None:
    """On either family: half a port would send the clients that try `::1` first to somebody else."""
    sim = rig.sim()
    taker = f"import signal,socket; s=socket.create_server(('{host}', 0), family=socket.AF_INET{'6' if ':' in host else ''}); "
    taker += "print('port', s.getsockname()[1], flush=True); signal.pause()"
    owner = rig.start("owner", [sys.executable, "-c", taker])
    port = int(owner.await_line("port ", PATIENCE).split()[1])
    ports = {"gdb": 0, "telnet": 0} | {which: port}
    rig.run(one=rig.bench(sim, ports=ports))
    seen = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    assert seen["fault"]["code"] == "port-in-use"
    assert str(port) in seen["fault"]["text"]
    assert f"PID {owner.pid} " in seen["fault"]["text"]
    assert rig.launches() == 0
    owner.end()
    after = rig.ready()
    assert port in {after["ports"]["telnet"], *after["ports"]["gdb"]}
    assert after["fault"] is None


def test_a_silent_connection_never_reaches_openocd_and_is_no_session(rig: Rig) -> None:
    """IDEs and port scanners connect and say nothing; to OpenOCD each of them would cost a stall."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    before = len(re.findall("accepting 'gdb'", "\n".join(_lines(rig))))
    socks = [connect(bench["ports"]["gdb"][0], host) for host in HOSTS for _ in range(3)]
    assert rig.status()["targets"][0]["gdb_sessions"] == 0
    with Gdb(firmware()) as gdb:  # a real one gets in meanwhile
        gdb.command(f"-target-select extended-remote localhost:{bench['ports']['gdb'][0]}", PATIENCE)
        seen = rig.until("see the session", lambda bench: bench["targets"][0]["gdb_sessions"])
        assert seen["targets"][0]["gdb_sessions"] == 1
    for sock in socks:
        sock.close()
    rig.until("see it leave", lambda bench: not bench["targets"][0]["gdb_sessions"])
    assert len(re.findall("accepting 'gdb'", "\n".join(_lines(rig)))) == before + 1


def _lines(rig: Rig) -> list[str]:
    return [line["text"] for line in rig.ask("logs", "one", lines=2000)["lines"] if line["source"] == "openocd"]


def test_the_port_outlives_every_openocd(rig: Rig) -> None:
    """One listening socket for the daemon's whole life: the numbers are the same and never refuse."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    port = bench["ports"]["gdb"][0]
    for times in (1, 2):
        os.kill(rig.status()["backend"]["pid"], signal.SIGKILL)
        connect(port).close()
        assert rig.recovered(times)["ports"] == bench["ports"]


def test_openocds_own_ports_are_on_loopback_only(rig: Rig) -> None:
    """Nothing of it listens where another machine could reach it."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    pid = rig.ready()["backend"]["pid"]
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    table = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1].partition(":")[0] for row in table if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert listening
    assert set(listening) == {loopback}


def test_a_second_daemon_on_the_same_control_socket_is_refused(rig: Rig) -> None:
    """It says who is there, exits 1, and the first one notices nothing."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    done = rig.ocdsup("run", "-c", str(rig.config_file))
    assert done.returncode == 1
    assert "another ocdsup daemon" in done.stderr
    assert rig.status()["backend"]["pid"] == before["backend"]["pid"]
