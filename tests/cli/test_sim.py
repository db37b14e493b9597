"""`ocdsup sim` as people type it: the server as a child process, its verbs against it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SERIALS = ("AAA", "BBB")


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start `ocdsup sim` with pipes."""
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "ocdsup", "sim", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve two probes in a child process for the tests of this file; give its control socket."""
    path = tmp_path_factory.mktemp("sim") / "c.sock"
    serials = [word for serial in SERIALS for word in ("--serial", serial)]
    child = start("--port", "0", "--board", "stm32f411", "--control", str(path), *serials)
    assert child.stdout is not None
    first = child.stdout.readline()
    assert first.startswith("simulated ST-LINK AAA (stm32f411) on 127.0.0.1:")
    assert first.endswith(f", control {path}\n")
    assert child.stdout.readline().startswith("simulated ST-LINK BBB (stm32f411) on 127.0.0.1:")
    assert 'adapter serial AAA" -f target/stm32f4x.cfg' in child.stdout.readline()
    yield path
    child.terminate()
    assert child.communicate(timeout=20) == ("", "")
    assert child.returncode == 0


def test_break_status_and_heal(control: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options are numbers, decimal or hexadecimal, and the chosen probe is the one that breaks."""
    place = ["--control", str(control)]
    assert main(["sim", "break", "locked", "--after-ms", "0x10", "--serial", "BBB", *place]) == 0
    assert capsys.readouterr().out == "broken: locked (after-ms 16)\n"
    assert main(["sim", "status", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["AAA", "BBB"]
    assert [line.endswith("faults: locked") for line in lines] == [False, True]
    assert main(["sim", *place, "heal", "--serial", "BBB"]) == 0
    assert main(["sim", "heal", *place]) == 0
    assert capsys.readouterr().out == "healed: locked\nhealed: nothing was broken\n"


def test_press_power_and_log(control: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--control", str(control)]
    assert [main(["sim", verb, *place]) for verb in ("press", "power")] == [0, 0]
    capsys.readouterr()
    assert main(["sim", "log", "--clear", *place]) == 0
    out = capsys.readouterr().out
    assert "s  button reset" in out
    assert "1 x  power cycle" in out
    assert main(["sim", "log", *place]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["break", "flaky", "--percent", "500"], "must be 0 to 100"),
        (["break", "silent", "--percent", "5"], "has no option 'percent'"),
        (["heal", "fire"], "there is no fault 'fire'"),
        (["log", "--serial", "CCC"], "there are: AAA, BBB"),
    ],
)
def test_a_refused_request_is_exit_2_with_the_reason(
    control: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert main(["sim", *arguments, "--control", str(control)]) == 2
    assert text in capsys.readouterr().err


def test_an_unknown_fault_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sim", "break", "fire"])
    assert caught.value.code == 2
    assert "silent" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "65536"], ["--port", "-1"], ["status", "--port", "x"]])
def test_a_port_that_cannot_be_is_a_usage_error(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sim", *words])
    assert caught.value.code == 2
    assert "argument --port: " in capsys.readouterr().err


def test_the_help_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    from ocdsup.sim.faults import FAULTS

    with pytest.raises(SystemExit):
        main(["sim", "break", "--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {name}" in out for name in FAULTS)


def test_without_a_simulator_it_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "status", "--control", str(tmp_path / "none.sock")]) == 3
    assert "start one with: ocdsup sim" in capsys.readouterr().err


def test_the_default_control_socket_is_found_by_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by port 0, whose socket is named after the real port."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    child = start("--port", "0")
    try:
        assert child.stdout is not None
        port = child.stdout.readline().split("127.0.0.1:")[1].split(",")[0]
        assert main(["sim", "status", "--port", port]) == 0
        assert "stm32f407" in capsys.readouterr().out
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
    assert child.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_exit_1(control: Path, tmp_path: Path) -> None:
    first = start("--port", "0", "--control", str(tmp_path / "a.sock"))
    try:
        assert first.stdout is not None
        port = first.stdout.readline().split("127.0.0.1:")[1].split(",")[0]
        second = start("--port", port, "--control", str(tmp_path / "b.sock"))
        _, said = second.communicate(timeout=20)
        assert second.returncode == 1
        assert said.startswith(f"ocdsup: cannot start the simulated ST-LINK on port {port}: ")
    finally:
        first.terminate()
        first.communicate(timeout=20)


def test_without_the_emulator_the_extra_is_named(tmp_path: Path) -> None:
    """A package that cannot be imported stands in for the missing one."""
    (tmp_path / "unicorn.py").write_text("raise ImportError('gone')\n")
    environment = dict(os.environ) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-m", "ocdsup", "sim", "--port", "0"]
    done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "pip install 'ocdsup[sim]'" in done.stderr
