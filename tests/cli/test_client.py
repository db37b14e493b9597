"""The blocking client: one request, streams, and a daemon that is away, slow, or not a daemon."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocdsup.cli.client import Client, default_socket
from ocdsup.errors import ControlError

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]


def test_a_request_gives_its_result(daemon: Start) -> None:
    server = daemon(lambda request: [{"ok": True, "result": {"echo": request["args"]}}])
    with Client(str(server.path)) as client:
        assert client.request("logs", "nucleo", {"lines": 3}) == {"echo": {"lines": 3}}
    assert server.asked == [{"id": 1, "verb": "logs", "bench": "nucleo", "args": {"lines": 3}}]


def test_a_stream_gives_its_events_and_its_result(daemon: Start) -> None:
    server = daemon(
        lambda request: [{"event": 1}, b'{"id":99,"ok":true,"result":"other"}\n', {"event": 2}, {"ok": True, "result": 3}]
    )
    with Client(str(server.path)) as client:
        assert list(client.stream("logs")) == [1, 2, 3]


def test_a_refusal_is_the_daemons_sentence(daemon: Start) -> None:
    server = daemon(
        lambda request: [{"ok": False, "error": {"code": "refused", "text": "cannot stop: flash runs", "hint": "wait"}}]
    )
    with Client(str(server.path)) as client, pytest.raises(ControlError) as caught:
        client.request("stop", "nucleo")
    assert (caught.value.code, str(caught.value)) == ("refused", "cannot stop: flash runs; wait")


@pytest.mark.parametrize("answer", [b"junk\n", b"[]\n", b'{"id":1}\n', b'{"id":1,"ok":false,"error":3}\n', b'{"id":1', b""])
def test_a_daemon_that_gives_no_answer_is_lost(daemon: Start, answer: bytes) -> None:
    server = daemon(lambda request: [answer])
    with Client(str(server.path)) as client, pytest.raises(ControlError) as caught:
        client.request("status")
    assert caught.value.code == "lost"


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """A socket that accepts connections and requests, and says nothing: what a stopped daemon leaves to the kernel."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        yield tmp_path / "s"


@pytest.mark.parametrize(("patience", "limit"), [(0.05, None), (60.0, 0.05)])
def test_a_daemon_that_hangs_is_given_up_when_patience_or_the_limit_ends(
    hanging: Path, patience: float, limit: float | None
) -> None:
    with (
        Client(str(hanging), patience=patience, limit=limit) as client,
        pytest.raises(ControlError, match="gave no answer") as caught,
    ):
        client.request("status")
    assert caught.value.code == "silent"


def test_a_daemon_that_hangs_with_a_full_queue_is_given_up_as_well(hanging: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(hanging))
        with pytest.raises(ControlError, match="gave no answer") as caught:
            Client(str(hanging), patience=0.05)
    assert caught.value.code == "silent"


def test_a_daemon_at_work_is_waited_for_as_long_as_it_answers_that_it_lives(tmp_path: Path) -> None:
    asked: list[str] = []

    def work() -> None:
        peer, _ = listener.accept()
        with peer, peer.makefile("rb") as lines:
            for line in lines:
                asked.append(json.loads(line)["verb"])
                if len(asked) > 5:  # by then the patience alone would have ended
                    peer.sendall(b'{"id":1,"ok":true,"result":"done"}\n')
                elif asked[-1] == "help":
                    peer.sendall(json.dumps({"id": json.loads(line)["id"], "ok": True, "result": {}}).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        worker = threading.Thread(target=work)
        worker.start()
        with Client(str(tmp_path / "s"), patience=2.0) as client:
            assert client.request("restart") == "done"
        worker.join(10)
    assert asked == ["restart", *["help"] * 5]


def test_a_stream_that_may_last_for_ever_survives_a_daemon_that_stands_still(tmp_path: Path) -> None:
    """A borrower must not lose the probe because the PC was asleep; who has nothing to tell is not asked about it."""
    asked: list[bytes] = []
    go_on = threading.Event()

    def stand_still() -> None:
        peer, _ = listener.accept()
        with peer:
            asked.append(peer.recv(4096))
            peer.sendall(b'{"id":1,"event":"granted"}\n')
            assert go_on.wait(20)
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                asked.append(peer.recv(4096))
            peer.sendall(b'{"id":1,"event":"over"}\n{"id":1,"ok":true,"result":null}\n')

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        daemon = threading.Thread(target=stand_still)
        daemon.start()
        threading.Timer(2.5, go_on.set).start()  # longer than the patience: a client in a hurry has asked, and is gone
        with Client(str(tmp_path / "s"), patience=1.0, for_ever=True) as client:
            assert list(client.stream("lend")) == ["granted", "over"]
        daemon.join(20)
    assert len(asked) == 1


@pytest.mark.parametrize("path", ["absent.sock", "x" * 200, "nul\0"])
def test_an_absent_daemon_is_not_running(tmp_path: Path, path: str) -> None:
    with pytest.raises(ControlError) as caught:
        Client(str(tmp_path / path))
    assert caught.value.code == "not-running"
    assert caught.value.hint


def test_the_socket_of_the_environment_wins_and_the_users_comes_first(tmp_path: Path) -> None:
    assert default_socket({"OCDSUP_SOCKET": "/x"}, 1000) == "/x"
    assert default_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, 1000) in {
        f"{tmp_path}/ocdsup/control.sock",
        "/run/ocdsup/control.sock",
    }
    (tmp_path / "ocdsup").mkdir()
    (tmp_path / "ocdsup" / "control.sock").touch()
    assert default_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, 1000) == f"{tmp_path}/ocdsup/control.sock"


def test_a_status_imports_nothing_that_it_does_not_need(daemon: Start, snapshot: dict[str, Any]) -> None:
    server = daemon(lambda request: [{"ok": True, "result": snapshot}])
    code = (
        "import sys\nfrom ocdsup.cli.main import main\n"
        f"assert main(['--socket', {str(server.path)!r}, 'status', '--json']) == 0\n"
        "heavy = 'asyncio structlog yaml pydantic psutil pexpect typing dataclasses inspect pathlib subprocess ocdsup.errors'\n"
        "print(sorted(set(heavy.split()) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"
