"""A port that the configuration no longer names is closed, or turns people away: nobody connects to it and waits for ever."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocdsup.demo.stage import until
from tests.systemd.manager import Manager
from tests.systemd.test_activation import PATIENCE_S, Activated, activated, free_port

TURNED_AWAY = b"ocdsup: no bench has this port"


def said(port: int) -> bytes:
    """What is said on a port that is not one any more, up to the end of the connection; refused is nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
            return sock.makefile("rb").read()
    except ConnectionRefusedError:
        return b""


def moved(daemon: Activated) -> int:
    """Write a configuration with another telnet port; returns it."""
    bench = json.loads(daemon.file.read_text())["benches"]["one"]
    bench["ports"]["telnet"] = free_port()
    daemon.write({"one": bench})
    return int(bench["ports"]["telnet"])


def test_a_port_that_only_the_unit_names_turns_people_away(tmp_path: Path) -> None:
    with activated(tmp_path, "gdb", "other") as daemon:
        daemon.knock(daemon.gdb).close()
        daemon.manager.await_line("READY=1")
        assert said(daemon.other).startswith(TURNED_AWAY)
        note = f"127.0.0.1:{daemon.other}: the socket unit names it and no bench has it"
        while note not in daemon.manager.await_line("STATUS="):
            daemon.manager.told.clear()
        assert daemon.ask("status")["result"]["notes"]


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Manager]:
    """A manager with a store."""
    (tmp_path / "manager").mkdir()
    made = Manager(tmp_path / "manager")
    yield made
    made.close()


def test_a_units_port_that_a_reload_leaves_turns_people_away_until_it_is_given_back(tmp_path: Path, keeping: Manager) -> None:
    """The ports that stay are there all the time, though the manager has them in its store as well."""
    with activated(tmp_path, "gdb", "telnet", notify=keeping.notify_address) as daemon:
        daemon.knock(daemon.gdb).close()
        until("be ready", lambda: "READY=1" in keeping.told, PATIENCE_S)
        before = daemon.file.read_text()
        new = moved(daemon)
        assert daemon.ask("reload")["ok"]
        assert said(daemon.telnet).startswith(TURNED_AWAY)
        socket.create_connection(("::1", daemon.gdb), timeout=PATIENCE_S).close()
        daemon.knock(new).close()
        daemon.file.write_text(before)
        assert daemon.ask("reload")["ok"]
        with daemon.knock(daemon.telnet) as sock:
            sock.sendall(b"ocdsup status\nexit\n")
            assert b"one: failed" in sock.makefile("rb").read()
        assert daemon.ask("status")["result"]["notes"] == []
        assert said(new) == b""
        assert "port_taken" not in daemon.log.read_text()


class Restarted:
    """Daemons one after the other under a manager with a store."""

    def __init__(self, folder: Path) -> None:
        self.manager = Manager(folder)
        self.file, self.log = folder / "bench.yaml", folder / "log"
        self._control = str(folder / "c")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, gdb: int, telnet: int) -> None:
        """Start one with these ports; returns when it is ready."""
        openocd = {"binary": "/nonexistent/openocd", "config": ["board.cfg"]}
        bench: dict[str, Any] = {"openocd": openocd, "ports": {"gdb": gdb, "telnet": telnet}}
        self.file.write_text(json.dumps({"version": 1, "control": self._control, "benches": {"one": bench}}))
        self.file.chmod(0o600)
        argv = self.manager.argv("-m", "ocdsup", "run", "-c", str(self.file))
        ready = self.manager.told.count("READY=1")
        with self.log.open("ab") as log:
            environment = os.environ | {"NOTIFY_SOCKET": self.manager.notify_address}
            self._process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        until("be ready", lambda: self.manager.told.count("READY=1") > ready, PATIENCE_S)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Restarted]:
    made = Restarted(tmp_path)
    yield made
    made.end()
    made.manager.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_port_that_was_changed_between_two_daemons_is_closed(restarted: Restarted, number: signal.Signals) -> None:
    """Also for the manager, which would give it to the next one again; what stays is kept, in both families."""
    gdb, old, new = free_port(), free_port(), free_port()
    restarted.start(gdb, old)
    restarted.end(number)
    restarted.start(gdb, new)
    until("drop the old port", lambda: f"ocdsup.listen.{old}" not in restarted.manager.store, PATIENCE_S)
    until("close it", lambda: said(old) == b"", PATIENCE_S)
    assert b"listener_closed" in restarted.log.read_bytes()
    with socket.create_server(("127.0.0.1", old)):
        socket.create_connection(("127.0.0.1", gdb), timeout=PATIENCE_S).close()
    assert len(restarted.manager.store[f"ocdsup.listen.{gdb}"]) == 2
    restarted.end()
    restarted.start(gdb, old)
    socket.create_connection(("::1", gdb), timeout=PATIENCE_S).close()
