"""`ocdsup run`: which file, what a bad one does, and a daemon in the foreground until SIGTERM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocdsup.cli.main import main
from ocdsup.cli.run import _default_config


def config(folder: Path) -> Path:
    """A configuration whose only probe is behind a server that does not exist."""
    bench = {"probe": {"server": "127.0.0.1:1"}, "openocd": {"config": ["x.cfg"]}, "ports": {"gdb": 0, "telnet": 0}}
    file = folder / "ocdsup.yaml"
    file.write_text(json.dumps({"version": 1, "control": str(folder / "c.sock"), "benches": {"a": bench}}))
    file.chmod(0o600)
    return file


@contextmanager
def running(*words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """`ocdsup run` as a child that is ended with SIGTERM."""
    child = subprocess.Popen(
        [sys.executable, "-m", "ocdsup", "run", *words], stderr=subprocess.PIPE, text=True, env=dict(os.environ) | env
    )
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=30)


def said(child: subprocess.Popen[str], part: str) -> str:
    """Read its log until a line has `part`."""
    assert child.stderr is not None
    for line in child.stderr:
        if part in line:
            return line
    raise AssertionError(f"{part} was never said; exit code {child.wait()}")


@pytest.mark.parametrize("how", ["-c", "OCDSUP_CONFIG"])
def test_it_serves_in_the_foreground_until_sigterm_and_exits_0(tmp_path: Path, how: str) -> None:
    file = config(tmp_path)
    words, env = ([], {how: str(file)}) if how.isupper() else ([how, str(file)], dict[str, str]())
    with running(*words, **env) as child:
        assert str(file) in said(child, "daemon_started")
        said(child, "ports_open")
        assert (tmp_path / "c.sock").is_socket()
    assert child.returncode == 0
    assert not (tmp_path / "c.sock").exists()


def test_a_bad_configuration_is_told_whole_and_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("version: 1\nhttp: 7\nbenhces: 1\n")
    assert main(["run", "-c", str(file)]) == 2
    told = capsys.readouterr().err
    assert f"{file}:2:7" in told
    assert f"{file}:3:1" in told


def test_a_second_daemon_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    file = config(tmp_path)
    with running("-c", str(file)) as child:
        said(child, "ports_open")
        second = subprocess.run(
            [sys.executable, "-m", "ocdsup", "run", "-c", str(file)], capture_output=True, text=True, timeout=30, check=False
        )
    assert second.returncode == 1
    assert "another ocdsup daemon listens there" in second.stderr


def test_the_log_level_is_one_of_four(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--log-level", "shout"])
    assert caught.value.code == 2
    assert "debug" in capsys.readouterr().err


def test_without_a_file_the_first_that_exists_is_taken_else_the_usual_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    nothing_there = _default_config()
    assert nothing_there.startswith(str(tmp_path))
    Path(nothing_there).parent.mkdir(parents=True)
    Path(nothing_there).write_text("")
    assert _default_config() == nothing_there


def test_a_daemon_does_without_openssl() -> None:
    """0.8 MB for months, for nothing."""
    code = "from ocdsup.cli.run import _import_lean as f\nf()\nimport asyncio, sys\nprint('_ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
