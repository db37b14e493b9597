"""The verb table is the contract's, and a request fits its row or is refused with a code."""

import pytest

from ocdsup.control.codes import EXIT_CODES
from ocdsup.control.verbs import VERBS, check
from ocdsup.errors import ControlError

READING = {"status", "why", "logs", "watch", "wait", "probes", "benches", "help"}
ACTING = {"restart", "stop", "start", "reload", "evict", "lend", "resume", "flash", "tcl"}


def test_the_table_holds_the_verbs_of_the_contract() -> None:
    assert {name for name, verb in VERBS.items() if not verb.acts} == READING
    assert {name for name, verb in VERBS.items() if verb.acts} == ACTING
    assert {name for name, verb in VERBS.items() if verb.streams} == {"watch", "logs", "flash", "lend"}


@pytest.mark.parametrize(
    ("verb", "bench", "args"),
    [
        ("status", None, {}),
        ("status", "nucleo", {}),
        ("logs", None, {"lines": 0, "follow": True}),
        ("restart", "nucleo", {"under_reset": False}),
        ("wait", "nucleo", {"timeout": 0.5}),
        ("lend", "nucleo", {"seconds": 60}),
        ("flash", "nucleo", {"file": "/tmp/a b.elf", "address": 0x08000000, "verify": True}),
        ("reload", None, {}),
    ],
)
def test_a_good_request_fits(verb: str, bench: str | None, args: dict[str, object]) -> None:
    assert check(verb, bench, args) is VERBS[verb]


@pytest.mark.parametrize(
    ("verb", "bench", "args", "code", "sentence"),
    [
        ("__class__", None, {}, "unknown-verb", "no such verb"),
        ("", None, {}, "unknown-verb", "no such verb"),
        ("restart", None, {}, "unknown-bench", "it needs a bench"),
        ("reload", "nucleo", {}, "unknown-bench", "it takes no bench"),
        ("status", None, {"x": 1}, "bad-argument", "no argument 'x'"),
        ("logs", None, {"lines": True}, "bad-argument", "lines is not a whole number"),
        ("logs", None, {"lines": -1}, "bad-argument", "lines is not"),
        ("logs", None, {"lines": 1.0}, "bad-argument", "lines is not"),
        ("logs", None, {"follow": 1}, "bad-argument", "follow is not true or false"),
        ("wait", "a", {"timeout": 0}, "bad-argument", "timeout is not a number of seconds"),
        ("wait", "a", {"timeout": float("inf")}, "bad-argument", "timeout is not"),
        ("wait", "a", {"timeout": float("nan")}, "bad-argument", "timeout is not"),
        ("lend", "a", {"seconds": 0}, "bad-argument", "seconds is not a number of seconds above 0"),
        ("flash", "a", {"file": "a\nb"}, "bad-argument", "file is not one line"),
        ("flash", "a", {"file": ["x"]}, "bad-argument", "file is not one line"),
    ],
)
def test_anything_else_is_refused_with_its_code(
    verb: str, bench: str | None, args: dict[str, object], code: str, sentence: str
) -> None:
    with pytest.raises(ControlError) as caught:
        check(verb, bench, args)
    assert caught.value.code == code
    assert str(caught.value).startswith(f"cannot do {verb!r}: ")
    assert code in EXIT_CODES
    assert sentence in str(caught.value)
    assert caught.value.hint
