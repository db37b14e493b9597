"""One rule of the log catalogue, and what makes a rule acceptable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ocdsup.openocd.dialect import Family
from ocdsup.openocd.lines import Level, Line, parse_line

FAULT_CODES = frozenset(
    {
        "target-poll-failing",
        "target-not-answering",
        "target-held-in-reset",
        "target-unpowered",
        "probe-absent",
        "probe-held",
        "probe-denied",
        "probe-wedged",
        "backend-exited",
        "backend-hung",
        "backend-missing",
        "config-rejected",
        "port-in-use",
        "wrong-target",
        "flash-failed",
    }
)
SEARCHED = 1000  # characters of a line that are looked at; real ones are below 300
SHORTEST_LITERAL = 5  # a shorter one hits so many lines that the patterns would be tried on each
WILDCARDS = 2  # unbounded `.` or class quantifiers that may follow each other; text is capped, so two stay cheap


class Role(Enum):
    """What a line is for a reader: the reason itself, its effect, the normal course, the return, or nothing of interest."""

    CAUSE = "cause"
    SYMPTOM = "symptom"
    PROGRESS = "progress"
    RECOVERY = "recovery"
    NOISE = "noise"


class Outage(Enum):
    """How a line moves its target's outage: a poll failed, its examination failed too, both in one line, or it is back."""

    BEGIN = "begin"
    CONFIRM = "confirm"
    WHOLE = "whole"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of line: how it is recognised, since when it exists, what it means and what hands can do."""

    id: str
    versions: tuple[Family, Family]
    levels: frozenset[Level]
    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    fault: str | None
    role: Role
    outage: Outage | None
    tool: str
    meaning: str
    advice: tuple[str, ...]
    provenance: str
    examples: tuple[str, ...]

    def match(self, line: Line) -> dict[str, str] | None:
        """The named parts of the line, or None. A line without prefix fits every level: telnet copies have none.

        A group that appears twice in a pattern is called `name` and `name2`. Only SEARCHED characters are looked at.
        """
        if line.level not in self.levels and line.level is not Level.USER:
            return None
        found = self.pattern.search(line.text[:SEARCHED])
        if found is None:
            return None
        return {name.removesuffix("2"): value for name, value in found.groupdict().items() if value is not None}

    def covers(self, family: Family | None) -> bool:
        """Whether this generation prints the line; an unknown one may."""
        return family is None or self.versions[0] <= family <= self.versions[1]


_OPTIONAL = frozenset({"outage", "tool"})
_NEEDED = frozenset(
    {"id", "versions", "level", "literal", "pattern", "fault", "role", "meaning", "advice", "provenance", "examples"}
)
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FAMILIES = {str(family): family for family in Family}


def read_rule(entry: Mapping[str, Any]) -> Rule:
    """Make a rule of one catalogue entry. Raises ValueError that says what is wrong with it."""
    unknown, missing = set(entry) - _NEEDED - _OPTIONAL, _NEEDED - set(entry)
    if unknown or missing:
        raise ValueError(f"unknown keys {sorted(unknown)}, missing keys {sorted(missing)}")
    rule = Rule(
        id=str(entry["id"]),
        versions=read_versions(str(entry["versions"])),
        levels=frozenset(Level(word) for word in _words(entry["level"])),
        literals=_words(entry["literal"]),
        pattern=_pattern(str(entry["pattern"])),
        fault=entry["fault"],
        role=Role(entry["role"]),
        outage=Outage(entry["outage"]) if "outage" in entry else None,
        tool=str(entry.get("tool", "openocd")),
        meaning=str(entry["meaning"]),
        advice=_words(entry["advice"]),
        provenance=str(entry["provenance"]),
        examples=_words(entry["examples"]),
    )
    _check(rule)
    return rule


def _words(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"not a text or a list of texts: {value!r}")
    return tuple(words)


def read_versions(text: str) -> tuple[Family, Family]:
    """Read `all`, `master`, `0.9..0.12`, `..0.10` or `0.11..`. Raises ValueError."""
    if text == "all":
        return Family.V0_8, Family.MASTER
    first, dots, last = text.partition("..")
    try:
        low = _FAMILIES[first] if first or not dots else Family.V0_8
        high = (_FAMILIES[last] if last else Family.MASTER) if dots else low
    except KeyError as error:
        raise ValueError(f"unknown version {error.args[0]!r} in {text!r}") from error
    if low > high:
        raise ValueError(f"version range {text!r} is upside down")
    return low, high


def _pattern(text: str) -> re.Pattern[str]:
    danger = find_danger(text)
    if danger:
        raise ValueError(f"pattern {text!r} {danger}")
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"pattern {text!r}: {error}") from error


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P<\w+>|\(\?:|\(\?|\(|\)|\{\d*,\d*\}|[*+?]|.", re.DOTALL)


def find_danger(pattern: str) -> str | None:
    """Say what could make a pattern slow on hostile text: a repeated group that repeats, or too many open wildcards."""
    repeats: list[bool] = [False]  # per open group: does its body hold an unbounded quantifier?
    closed = False  # does the group that was just closed?
    wild = 0
    before = ""
    for part in _TOKEN.findall(pattern):
        if part.startswith("("):
            repeats.append(False)
        elif part == ")":
            closed = len(repeats) > 1 and repeats.pop()
            repeats[-1] |= closed
        elif part in {"*", "+"} or re.fullmatch(r"\{\d*,\}", part):
            if before == ")" and closed:
                return "repeats a group that itself repeats without bound"
            repeats[-1] = True
            wild += before == "."
        before = part
    return f"has more than {WILDCARDS} unbounded wildcards" if wild > WILDCARDS else None


def _check(rule: Rule) -> None:
    checks = (
        (_ID.fullmatch(rule.id), "its id is not kebab-case"),
        (rule.fault is None or rule.fault in FAULT_CODES, f"unknown fault code {rule.fault!r}"),
        (rule.examples, "it has no example"),
        (all(len(text) >= SHORTEST_LITERAL for text in rule.literals), "a literal is shorter than 5 characters"),
        (rule.role is not Role.CAUSE or rule.fault, "a cause needs a fault code"),
        (rule.fault is None or rule.advice, "a rule with a fault needs advice"),
        (rule.meaning.endswith("."), "its meaning is not a sentence"),
    )
    for fine, why in checks:
        if not fine:
            raise ValueError(why)
    for example in rule.examples:
        line = parse_line(example.encode())
        if line.level is not Level.USER and line.level not in rule.levels:
            raise ValueError(f"its example has another level: {example!r}")
        if rule.match(line) is None or not any(text in line.text for text in rule.literals):
            raise ValueError(f"it does not match its own example: {example!r}")
