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


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No daemon or configuration of the machine is met by accident."""
    for name in ("OCDSUP_CONFIG", "OCDSUP_SOCKET", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
