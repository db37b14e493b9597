"""What makes a rule of the catalogue acceptable."""

from __future__ import annotations

from typing import Any

import pytest

from ocdsup.core.faults import FAULTS
from ocdsup.openocd.dialect import Family
from ocdsup.openocd.lines import parse_line
from ocdsup.openocd.rule import FAULT_CODES, SEARCHED, find_danger, read_rule, read_versions

GOOD: dict[str, Any] = {
    "id": "open-failed",
    "versions": "0.9..0.12",
    "level": "error",
    "literal": "open failed",
    "pattern": "^open failed(?: (?P<target2>\\w+))?$",
    "fault": "probe-absent",
    "role": "symptom",
    "meaning": "It could not be opened.",
    "advice": ["Plug it in."],
    "provenance": "seen",
    "examples": ["Error: open failed"],
}


def test_a_good_rule_is_read() -> None:
    rule = read_rule(GOOD)
    assert rule.match(parse_line(b"Error: open failed x")) == {"target": "x"}
    assert rule.match(parse_line(b"open failed")) == {}
    assert rule.match(parse_line(b"Info : open failed")) is None
    assert rule.covers(Family.V0_12)
    assert not rule.covers(Family.MASTER)
    assert rule.covers(None)


def test_only_the_beginning_of_a_line_is_looked_at() -> None:
    rule = read_rule({**GOOD, "pattern": "open failed"})
    assert rule.match(parse_line(b"Error: " + b"x" * (SEARCHED - 11) + b"open failed")) == {}
    assert rule.match(parse_line(b"Error: " + b"x" * SEARCHED + b"open failed")) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"fault": "no-such-fault"}, "unknown fault code"),
        ({"examples": []}, "no example"),
        ({"examples": ["Error: closed"]}, "does not match its own example"),
        ({"examples": ["Info : open failed"]}, "another level"),
        ({"id": "Open Failed"}, "kebab-case"),
        ({"pattern": "^(?:a+)+$"}, "repeats a group"),
        ({"pattern": "^(open failed$"}, "missing"),
        ({"literal": "open"}, "shorter than 5"),
        ({"role": "cause", "fault": None}, "needs a fault"),
        ({"advice": []}, "needs advice"),
        ({"meaning": "no sentence"}, "not a sentence"),
        ({"colour": "red"}, "unknown keys"),
        ({"versions": "0.13"}, "unknown version"),
        ({"versions": "0.12..0.9"}, "upside down"),
        ({"level": "loud"}, "loud"),
        ({"advice": [{}]}, "not a text"),
    ],
)
def test_a_bad_rule_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_rule({**GOOD, **change})


@pytest.mark.parametrize("pattern", [r"(a+)+", r"(?:\w*x)*", r"((?:a|b*))+", r"(a{2,})*", r".*a.*b.*", r".+.+.+"])
def test_a_pattern_that_can_explode_is_found(pattern: str) -> None:
    assert find_danger(pattern)


@pytest.mark.parametrize("pattern", [r"^a+(?:b|c)?$", r"\(+\)+", r"[+*]+(x)+", r"(?:ab)+", r"^.*a$", r"(?:a{1,3})+"])
def test_a_linear_pattern_is_accepted(pattern: str) -> None:
    assert find_danger(pattern) is None


def test_versions_are_read() -> None:
    assert read_versions("all") == (Family.V0_8, Family.MASTER)
    assert read_versions("..0.10") == (Family.V0_8, Family.V0_10)
    assert read_versions("0.11..") == (Family.V0_11, Family.MASTER)
    assert read_versions("master") == (Family.MASTER, Family.MASTER)


def test_the_fault_codes_are_those_of_the_contract() -> None:
    assert frozenset(FAULTS) == FAULT_CODES
