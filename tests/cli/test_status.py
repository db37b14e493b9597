"""`status` prints the snapshot for people or, with --json, the object itself."""

import json
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
