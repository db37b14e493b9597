"""Each verb asks the daemon exactly what its arguments say, and prints what it answers."""

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.cli.main import main
from ocdsup.control.verbs import VERBS, check

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]


@pytest.mark.parametrize(
    ("arguments", "verb", "bench", "args"),
    [
        (["restart", "nucleo"], "restart", "nucleo", {}),
        (["restart", "nucleo", "--under-reset"], "restart", "nucleo", {"under_reset": True}),
        (["stop", "nucleo"], "stop", "nucleo", {}),
        (["start", "nucleo"], "start", "nucleo", {}),
        (["reload"], "reload", None, {}),
        (["wait", "nucleo", "--timeout", "1500ms"], "wait", "nucleo", {"timeout": 1.5}),
        (["evict", "nucleo"], "evict", "nucleo", {}),
        (["evict", "nucleo", "--force"], "evict", "nucleo", {"force": True}),
        (["why"], "why", None, {}),
        (["why", "nucleo"], "why", "nucleo", {}),
    ],
)
def test_a_verb_becomes_one_request_and_prints_its_sentence(
    daemon: Start, capsys: pytest.CaptureFixture[str], arguments: list[str], verb: str, bench: str | None, args: dict[str, Any]
) -> None:
    server = daemon(lambda request: [{"ok": True, "result": {"text": "done\x1b[2J"}}])
    assert main(["--socket", str(server.path), *arguments]) == 0
    assert server.asked == [{"id": 1, "verb": verb, "bench": bench, "args": args}]
    assert capsys.readouterr().out == "done\\x1b[2J\n"


@pytest.mark.parametrize(
    ("verb", "bench", "args"),
    [
        ("restart", "a", {"under_reset": True}),
        ("wait", "a", {"timeout": 1.5}),
        ("logs", None, {"lines": 50, "follow": True}),
        ("status", None, {}),
    ],
)
def test_every_request_of_the_command_line_fits_the_verb_table(verb: str, bench: str | None, args: dict[str, object]) -> None:
    assert check(verb, bench, args) is VERBS[verb]
