"""The stable Tcl port, for scripts and tools that drive OpenOCD: it stays when OpenOCD does not."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.bench.rig import PATIENCE, Rig, connect, read_until


class Script:
    """A script at the Tcl port."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.sock = connect(port, host)

    def ask(self, command: str) -> str:
        """One command's answer."""
        self.sock.sendall(command.encode() + b"\x1a")
        return self.answer()

    def answer(self) -> str:
        """The next answer."""
        return read_until(self.sock, b"\x1a")[:-1].decode()


@pytest.fixture
def port(rig: Rig) -> int:
    """The Tcl port of a bench that is ready."""
    rig.run(one=rig.bench(rig.sim(), ports={"gdb": 0, "telnet": 0, "tcl": 0}))
    return int(rig.ready()["ports"]["tcl"])


@pytest.fixture
def script(port: int) -> Iterator[Script]:
    """A script that is connected."""
    made = Script(port)
    with made.sock:
        yield made


def test_it_answers_on_both_loopback_families(port: int, rig: Rig) -> None:
    for host in ("127.0.0.1", "::1"):
        script = Script(port, host)
        with script.sock:
            assert script.ask("target names") == "stm32f4x.cpu"
    assert rig.status()["counters"]["recoveries"] == 0


def test_a_script_goes_on_over_the_death_of_its_openocd(rig: Rig, script: Script) -> None:
    """The command that died is answered, and so is each that comes meanwhile; then it is another OpenOCD that answers."""
    pid = int(script.ask("pid"))
    assert pid == rig.status()["backend"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    script.sock.sendall(b"target names\x1a")
    os.kill(pid, signal.SIGKILL)
    assert "the answer is lost" in script.answer()
    rig.recovered()
    answer = script.ask("pid")
    assert answer.isdigit()
    assert int(answer) != pid


def test_while_the_bench_is_stopped_it_says_so(rig: Rig, script: Script) -> None:
    assert rig.ocdsup("stop", "one").returncode == 0
    assert script.ask("target names").startswith("ocdsup: OpenOCD is away: stopped")
    assert rig.ocdsup("start", "one").returncode == 0
    assert script.ask("target names") == "stm32f4x.cpu"


def test_there_is_none_unless_it_is_configured(rig: Rig) -> None:
    rig.run(one=rig.bench(rig.sim()))
    assert rig.ready()["ports"]["tcl"] is None


def test_a_port_that_a_reload_takes_away_is_closed(rig: Rig, port: int, script: Script) -> None:
    rig.write_text(rig.config_file.read_text().replace('"tcl": 0', '"tcl": null'))
    assert rig.ocdsup("reload").returncode == 0
    assert rig.ready()["ports"]["tcl"] is None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), PATIENCE)
    assert script.sock.recv(1) == b""
