"""The real daemon under systemd-socket-activate: who connects early waits, and a fake manager hears the truth."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

PATIENCE_S = 30.0


class Manager:
    """A notification socket and what came on it."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.address)
        self.told: list[str] = []

    def await_line(self, start: str) -> str:
        """Everything is read until a line begins like this; returns it."""
        end = monotonic() + PATIENCE_S
        while True:
            if found := [line for line in self.told if line.startswith(start)]:
                return found[0]
            self._sock.settimeout(max(0.01, end - monotonic()))
            self.told += self._sock.recv(4096).decode().split("\n")

    def close(self) -> None:
        self._sock.close()


def free_port() -> int:
    """A port that is free on both loopback families, for a moment at least."""
    with socket.create_server(("127.0.0.1", 0)) as four:
        return int(four.getsockname()[1])


class Activated:
    """The daemon as systemd starts it: at the first connection."""

    def __init__(self, folder: Path, *listened: str, notify: str | None = None) -> None:
        self.manager = Manager(folder)
        self._asked = False
        self.gdb, self.telnet, self.other = free_port(), free_port(), free_port()
        self.control = str(folder / "control.sock")
        self.file = folder / "bench.yaml"
        self.log = folder / "log"
        bench = {
            "openocd": {"binary": "/nonexistent/openocd", "config": ["board.cfg"]},
            "ports": {"gdb": self.gdb, "telnet": self.telnet},
        }
        self.write({"one": bench})
        addresses = {
            "gdb": f"127.0.0.1:{self.gdb}",
            "telnet": f"127.0.0.1:{self.telnet}",
            "control": self.control,
            "other": f"127.0.0.1:{self.other}",
        }
        command = ["systemd-socket-activate", *(word for name in listened for word in ("-l", addresses[name]))]
        passed = {"NOTIFY_SOCKET": notify or self.manager.address, "WATCHDOG_USEC": "300000", "PATH": os.environ["PATH"]}
        for name, value in passed.items():
            command += ["-E", f"{name}={value}"]
        command += [sys.executable, "-m", "ocdsup", "run", "-c", str(self.file)]
        root = str(Path(__file__).parents[2])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL, cwd=root)

    def write(self, benches: dict[str, Any]) -> None:
        """Write the configuration."""
        self.file.write_text(json.dumps({"version": 1, "control": self.control, "benches": benches}), encoding="utf-8")
        self.file.chmod(0o600)

    def knock(self, port: int) -> socket.socket:
        """Connect to a port as soon as the activator listens."""
        end = monotonic() + PATIENCE_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            except ConnectionRefusedError:
                assert monotonic() < end, self.log.read_text()
                assert self.process.poll() is None, self.log.read_text()

    def ask(self, verb: str) -> dict[str, Any]:
        """One control request."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(self.control)
            sock.sendall(json.dumps({"id": 1, "verb": verb}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(sock.makefile("rb").readline())
            return answer

    def terminate(self) -> None:
        """SIGTERM, once: a second one would meet an interpreter that has put its handlers away already."""
        if self.process.poll() is None and not self._asked:
            self._asked = True
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """SIGTERM; the activator has become the daemon by exec."""
        self.terminate()
        code = self.process.wait(PATIENCE_S)
        self.manager.close()
        return code


@contextmanager
def activated(folder: Path, *listened: str, notify: str | None = None) -> Iterator[Activated]:
    """A daemon that is ended with the block; `notify` is the address of another manager that it tells."""
    one = Activated(folder, *listened, notify=notify)
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A path short enough for Unix sockets."""
    return tmp_path


def test_a_client_that_comes_before_the_daemon_is_served_by_it(folder: Path) -> None:
    """The knock starts the daemon; its words wait in the socket until it answers."""
    with activated(folder, "gdb", "telnet", "control") as daemon, daemon.knock(daemon.telnet) as client:
        client.sendall(b"ocdsup status\nexit\n")
        client.shutdown(socket.SHUT_WR)
        assert "one" in client.makefile().read()
        answer = daemon.ask("status")
        assert answer["result"]["benches"][0]["ports"] == {"gdb": [daemon.gdb], "telnet": daemon.telnet, "tcl": None}


def test_the_manager_hears_of_the_whole_life(folder: Path) -> None:
    """Ready with the first verdict, how it is, alive, a reload, the end; and the daemon leaves with exit code 0."""
    daemon = Activated(folder, "gdb", "telnet", "control")
    try:
        daemon.knock(daemon.gdb).close()
        daemon.manager.await_line("READY=1")
        assert "backend-missing" in daemon.manager.await_line("STATUS=one failed: ")
        daemon.manager.await_line("WATCHDOG=1")
        daemon.manager.told.clear()
        assert daemon.ask("reload")["ok"]
        daemon.manager.await_line("RELOADING=1")
        assert daemon.manager.await_line("MONOTONIC_USEC=")
        daemon.manager.await_line("READY=1")
        daemon.terminate()
        daemon.manager.await_line("STOPPING=1")
    finally:
        code = daemon.end()
    assert code == 0


def test_a_reload_that_is_refused_leaves_the_daemon_ready(folder: Path) -> None:
    """It says the line; the old configuration stays."""
    with activated(folder, "gdb", "telnet", "control") as daemon:
        daemon.knock(daemon.gdb).close()
        daemon.manager.await_line("READY=1")
        daemon.manager.told.clear()
        daemon.file.write_text("version: 1\nbenches:\n  one: {ports: {gdb: many}}\n", encoding="utf-8")
        answer = daemon.ask("reload")
        assert "bench.yaml:3:" in answer["error"]["text"]
        daemon.manager.await_line("READY=1")
        assert daemon.ask("status")["result"]["benches"][0]["ports"]["gdb"] == [daemon.gdb]


def test_a_port_that_the_unit_lacks_is_opened_by_the_daemon_and_one_too_many_is_told(folder: Path) -> None:
    """The unit and the configuration need not agree."""
    with activated(folder, "gdb", "other") as daemon:
        daemon.knock(daemon.gdb).close()
        daemon.manager.await_line("READY=1")
        daemon.knock(daemon.telnet).close()
        assert daemon.ask("status")["ok"]
        assert "socket_nobody_uses" in daemon.log.read_text()


def test_the_managers_socket_stays_when_the_daemon_ends(folder: Path) -> None:
    """systemd goes on listening on the path, so the daemon must not take it away."""
    with activated(folder, "gdb", "telnet", "control") as daemon:
        daemon.knock(daemon.gdb).close()
        daemon.manager.await_line("READY=1")
    assert Path(daemon.control).is_socket()
