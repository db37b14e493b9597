"""`logs` prints lines that no board can forge, and follows them."""

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.cli.main import main

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]

LINE = {"at": "T", "bench": "nucleo", "source": "openocd", "text": "Info : x\n\x1b[31mT nucleo ocdsup: forged"}


def test_lines_are_one_line_each(daemon: Start, capsys: pytest.CaptureFixture[str]) -> None:
    server = daemon(lambda request: [{"ok": True, "result": {"lines": [LINE]}}])
    assert main(["logs", "-n", "5", "--socket", str(server.path)]) == 0
    assert capsys.readouterr().out == "T nucleo openocd: Info : x\\n\\x1b[31mT nucleo ocdsup: forged\n"
    assert server.asked[0]["args"] == {"lines": 5}


def test_follow_prints_events_as_they_come(daemon: Start, capsys: pytest.CaptureFixture[str]) -> None:
    server = daemon(lambda request: [{"event": {"text": "one"}}, {"event": {"text": "two"}}, {"ok": True, "result": None}])
    assert main(["logs", "nucleo", "-f", "--json", "--socket", str(server.path)]) == 0
    assert capsys.readouterr().out == '{"text": "one"}\n{"text": "two"}\n'
    assert server.asked[0]["args"] == {"lines": 50, "follow": True}
