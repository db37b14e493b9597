"""Who a silent daemon is, what it does, and what to do about it: of real processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.cli import openocd
from ocdsup.cli.main import main
from ocdsup.cli.silent import error
from ocdsup.errors import ControlError

LISTEN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens at `s` and never answers."""
    argv = [sys.executable, "-c", LISTEN, str(tmp_path / "s")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_one_that_hangs_is_named_with_how_to_end_it(listener: subprocess.Popen[bytes], tmp_path: Path) -> None:
    told = error(str(tmp_path / "s"), None, 8.0)
    assert told.code == "silent"
    assert told.what == f"get an answer from the daemon at {tmp_path / 's'}"
    assert told.why.startswith(f"PID {listener.pid} (")
    assert told.why.endswith("hangs and gave no answer for 8.0 s")
    assert f"kill -9 {listener.pid}" in told.hint


def test_one_that_is_stopped_can_be_let_go_on(listener: subprocess.Popen[bytes], tmp_path: Path) -> None:
    os.kill(listener.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, listener.pid, os.WSTOPPED | os.WNOWAIT)
    told = error(str(tmp_path / "s"), None, 8.0)
    assert "is stopped by a signal" in told.why
    assert f"kill -CONT {listener.pid}" in told.hint


def test_without_the_right_to_look_the_kernel_tells_who_began_to_listen(
    listener: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocdsup.cli.silent._sockets", lambda pid: iter(()))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "s"))
        assert f"PID {listener.pid} (" in error(str(tmp_path / "s"), peer, 8.0).why


def test_of_nobody_that_can_be_seen_the_next_step_is_told(tmp_path: Path) -> None:
    told = error(str(tmp_path / "absent"), None, 8.0)
    assert "nothing else can be seen" in told.why
    assert "ss -xlp" in told.hint


def test_the_drop_in_starts_no_second_openocd_beside_a_daemon_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full: nobody accepts, and the connection itself is refused."""
    monkeypatch.setattr("ocdsup.cli.client.PATIENCE_S", 0.05)
    monkeypatch.setattr("ocdsup.cli.real_openocd.become", lambda argv: pytest.fail("the real OpenOCD was started"))
    for name in openocd.INSIDE:
        monkeypatch.delenv(name, raising=False)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(tmp_path / "full"))
        listener.listen(0)
        other.connect(str(tmp_path / "full"))
        with pytest.raises(ControlError, match="gave no answer"):
            openocd.run(["-c", "init"], str(tmp_path / "full"))


def test_wait_ends_at_its_time_limit_with_4(
    listener: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocdsup.cli.client.PATIENCE_S", 1000.0)
    assert main(["--socket", str(tmp_path / "s"), "wait", "nucleo", "--timeout", "10ms"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"ocdsup: cannot use nucleo: PID {listener.pid} (")


@pytest.mark.parametrize("words", [["status"], ["logs", "-f"], ["lend", "nucleo", "--", "true"], ["restart", "nucleo"]])
def test_every_verb_gives_a_daemon_up_that_was_never_heard(
    listener: subprocess.Popen[bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.setattr("ocdsup.cli.client.PATIENCE_S", 0.05)
    assert main(["--socket", str(tmp_path / "s"), *words]) == 1
    assert f"PID {listener.pid} (" in capsys.readouterr().err
