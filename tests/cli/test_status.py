"""`status` prints the snapshot for people or, with --json, the object itself."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.cli.main import main

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]


def test_json_is_the_object_of_the_contract(
    daemon: Start, snapshot: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = daemon(lambda request: [{"ok": True, "result": snapshot}])
    assert main(["status", "nucleo", "--json", "--socket", str(server.path)]) == 0
    assert json.loads(capsys.readouterr().out) == snapshot
    assert server.asked[0]["bench"] == "nucleo"


def test_text_is_for_people(daemon: Start, snapshot: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    server = daemon(lambda request: [{"ok": True, "result": snapshot}])
    assert main(["status", "--socket", str(server.path)]) == 0
    assert capsys.readouterr().out.startswith("nucleo: recovering for 3.2 s")


def test_the_quick_end_of_a_status_loses_no_output(daemon: Start, snapshot: dict[str, Any]) -> None:
    """The process leaves without the interpreter's orderly end; more than a pipe's buffer must still arrive whole."""
    snapshot["benches"][0]["advice"] = ["x" * 200_000]
    server = daemon(lambda request: [{"ok": True, "result": snapshot}])
    command = [sys.executable, "-m", "ocdsup", "--socket", str(server.path), "status", "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == snapshot
