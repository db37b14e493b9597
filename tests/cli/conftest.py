"""A daemon of a few lines on a unix socket: answers from a table, remembers what it was asked."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Answers = Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]

SNAPSHOT: dict[str, Any] = {
    "ocdsup": "0.1.0",
    "pid": 1,
    "uptime_s": 12.3,
    "benches": [
        {
            "name": "nucleo",
            "desired": "up",
            "phase": "recovering",
            "since_s": 3.24,
            "summary": "OpenOCD is being restarted",
            "fault": {
                "code": "target-poll-failing",
                "since_s": 63,
                "text": "the board does not answer",
                "evidence": ["Polling target stm32f4x.cpu failed\x1b[31m, trying to reexamine"],
            },
            "rung": "restart-under-reset",
            "next_try_s": 0.4,
            "advice": ["press NRST", "check BOOT0"],
            "probe": {
                "vid_pid": "0483:374b",
                "serial": "066B",
                "location": "1-2.3",
                "present": True,
                "holders": [
                    {"pid": 812, "name": "openocd", "user": "bench", "since": "2026-01-01T10:00:00+00:00", "stale": True}
                ],
            },
            "backend": {"pid": 4711, "version": "0.12.0", "argv": ["openocd"], "uptime_s": 3.1, "restarts": 2, "voltage": 3.25},
            "targets": [{"name": "stm32f4x.cpu", "state": "halted", "gdb_port": 3333, "gdb_sessions": 1}],
            "ports": {"gdb": [3333], "telnet": 4444, "tcl": None},
            "recoveries": [{"at": "T", "fault": "f", "rungs": ["evict", "restart"], "took_s": 0.41, "outcome": "recovered"}],
            "counters": {"restarts": 2},
        }
    ],
}


class Daemon:
    """Serves one connection after the other from a thread until closed."""

    def __init__(self, path: Path, answers: Answers) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            with peer, peer.makefile("rb") as lines:
                line = lines.readline()
                if line == b"stop\n":
                    return
                for request in (json.loads(line),) if line else ():
                    self._answer(peer, request)

    def _answer(self, peer: socket.socket, request: dict[str, Any]) -> None:
        self.asked.append(request)
        for answer in self._answers(request):
            whole = answer if isinstance(answer, bytes) else json.dumps({"id": request["id"]} | answer).encode() + b"\n"
            with contextlib.suppress(ConnectionError):  # the client has enough
                peer.sendall(whole)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
            last.sendall(b"stop\n")
            self._thread.join(10)
        self._listener.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[Answers], Daemon]]:
    """Return a function that starts a daemon with the given answers."""
    started: list[Daemon] = []

    def start(answers: Answers) -> Daemon:
        started.append(Daemon(tmp_path / f"c{len(started)}.sock", answers))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def snapshot() -> dict[str, Any]:
    """Return a snapshot as the contract has it, of a bench in trouble."""
    copy: dict[str, Any] = json.loads(json.dumps(SNAPSHOT))
    return copy


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No daemon or configuration of the machine is met by accident."""
    for name in ("OCDSUP_CONFIG", "OCDSUP_SOCKET", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
