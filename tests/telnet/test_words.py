"""The words of the contract become verbs of the table with arguments that fit it."""

import pytest

from ocdsup.control.verbs import VERBS, Needs, check
from ocdsup.telnet.words import HELP, Own, parse


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("status", Own("status")),
        ("status --json", Own("status", {"json": True})),
        ("why", Own("why")),
        ("logs", Own("logs")),
        ("logs 5", Own("logs", {"lines": 5})),
        ("restart --under-reset", Own("restart", {"under_reset": True})),
        ("lend 60", Own("lend", {"seconds": 60})),
        *((word, Own(word)) for word in ("stop", "start", "evict", "resume", "restart")),
    ],
)
def test_a_word_is_a_verb_of_the_control_table(line: str, own: Own) -> None:
    assert parse(tuple(line.split())) == own
    verb = VERBS[own.verb]
    check(own.verb, None if verb.needs is Needs.NOTHING else "nucleo", {k: v for k, v in own.args.items() if k != "json"})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", HELP),
        ("help", HELP),
        ("statsu", "unknown word"),
        ("status --xml", "status knows only --json"),
        ("stop now", "stop knows only --force"),
        ("start now", "start takes no arguments"),
        ("lend", "lend needs a whole number"),
        ("lend 0", "lend needs a whole number"),
        ("lend 1e9", "lend needs a whole number"),
        ("lend ²", "lend needs a whole number"),
        ("logs 99999999999999999999", "logs needs a whole number"),
        ("__class__", "unknown word"),
    ],
)
def test_anything_else_is_answered_with_a_sentence(line: str, text: str) -> None:
    answer = parse(tuple(line.split()))
    assert isinstance(answer, str)
    assert text in answer
