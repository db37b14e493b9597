"""Who has a port is named, as far as it can be seen."""

import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from ocdsup.runtime.port_owner import find


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_process_that_listens_is_named_with_its_user(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as mine:
        listen = "import socket, sys\nsock = socket.socket(fileno=int(sys.argv[1]))\nprint(flush=True)\nsys.stdin.read()"
        argv = [sys.executable, "-c", listen, str(mine.fileno())]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[mine.fileno()])
        port = mine.getsockname()[1]
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        text, other = find(port), psutil.Process(child.pid)
        assert text == f"PID {child.pid} {other.name()} (user {other.username()})"


@pytest.mark.parametrize(
    ("family", "address", "shown"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::", "[::]")]
)
def test_a_port_of_our_own_is_not_shown_as_a_strangers(family: socket.AddressFamily, address: str, shown: str) -> None:
    """A socket unit with a wildcard address: the advice to end that PID would be to end ourselves."""
    with socket.create_server((address, 0), family=family) as mine:
        port = mine.getsockname()[1]
        assert find(port).startswith(f"this daemon itself, at {shown}:{port}: ")


def test_a_port_without_a_listener_has_no_owner_also_if_it_is_bound() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert find(silent.getsockname()[1]) == ""


def test_a_client_is_not_taken_for_the_owner_of_the_port_it_calls_from() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert find(client.getsockname()[1]) == ""


def _listening(pid: int | None) -> Any:
    return lambda _kind: [SimpleNamespace(status=psutil.CONN_LISTEN, laddr=SimpleNamespace(port=7), pid=pid)]


def test_another_users_process_is_said_to_be_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_connections", _listening(None))
    assert find(7) == "a process that this user may not see"


def test_a_process_that_ends_while_it_is_looked_at_is_named_by_its_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "net_connections", _listening(4711))
    monkeypatch.setattr(psutil, "Process", gone)
    assert find(7) == "PID 4711"


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), psutil.NoSuchProcess(1)])
def test_a_look_that_is_not_possible_now_finds_nobody(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(_kind: str) -> None:
        raise error

    monkeypatch.setattr(psutil, "net_connections", broken)
    assert find(7) == ""
