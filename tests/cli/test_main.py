"""The verb is found, its file alone imported, its outcome turned into an exit code."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocdsup.cli.main import VERBS, main, parser, report, verb_in
from ocdsup.errors import ConfigError, Problem

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        (["status"], "status"),
        (["-c", "check", "status"], "status"),
        (["--socket", "run", "why"], "why"),
        (["--socket=run", "why"], "why"),
        (["frobnicate"], None),
        (["--help", "status"], None),
        ([], None),
    ],
)
def test_the_verb_is_found_behind_the_options(arguments: list[str], verb: str | None) -> None:
    assert verb_in(arguments) == verb


def test_help_lists_every_verb_without_importing_one() -> None:
    text = parser(None).format_help()
    assert all(re.search(rf"^ +{name} ", text, re.MULTILINE) for name in VERBS)
    code = "import sys, ocdsup.cli.main as m\nm.parser(None).format_help()\nprint([m for m in sys.modules if 'cli.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['ocdsup.cli.main']\n"


OWN = ["status", "why", "logs", "restart", "stop", "start", "reload", "wait", "check", "schema"]


@pytest.mark.parametrize("verb", OWN)
def test_each_verb_has_help_and_takes_the_common_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert "--socket PATH" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["restart"], ["wait", "a", "--timeout", "3"], ["status", "--xml"]])
def test_a_usage_error_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_no_daemon_is_3_with_the_next_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status", "--socket", str(tmp_path / "none")]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "start it with `ocdsup run`" in captured.err


@pytest.mark.parametrize(("code", "exit_code"), [("refused", 1), ("unknown-bench", 2), ("not-usable", 4), ("new-word", 1)])
def test_a_refusal_gives_the_exit_code_of_its_code(daemon: Start, code: str, exit_code: int) -> None:
    server = daemon(lambda request: [{"ok": False, "error": {"code": code, "text": "cannot", "hint": ""}}])
    assert main(["--socket", str(server.path), "wait", "nucleo"]) == exit_code


@pytest.mark.parametrize(("unread", "exit_code"), [(True, 1), (False, 2)])
def test_a_configuration_that_could_not_be_checked_is_worth_another_start(unread: bool, exit_code: int) -> None:
    """systemd starts a daemon with exit code 2 no more (RestartPreventExitStatus=)."""
    assert report(ConfigError([Problem("f", 1, 1, "", "x")], unread=unread)) == exit_code


def test_a_bug_is_not_dressed_up_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocdsup.cli.status.run", lambda options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["status"])


def test_a_reader_that_has_enough_is_no_traceback(daemon: Start) -> None:
    server = daemon(lambda request: [*[{"event": {"text": "x" * 1000}}] * 500, {"ok": True, "result": None}])
    command = [sys.executable, "-m", "ocdsup", "--socket", str(server.path), "logs", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


def test_the_socket_may_be_named_by_the_environment_and_the_configuration(
    daemon: Start, snapshot: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = daemon(lambda request: [{"ok": True, "result": snapshot}])
    config = tmp_path / "c.yaml"
    config.write_text(f"version: 1\ncontrol: {server.path}\nbenches: {{a: {{openocd: {{config: [x]}}}}}}\n")
    config.chmod(0o600)
    assert main(["-c", str(config), "status", "--json"]) == 0
    monkeypatch.setenv("OCDSUP_SOCKET", str(server.path))
    assert main(["status", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [snapshot, snapshot]


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ocdsup", "--version"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith("ocdsup ")
