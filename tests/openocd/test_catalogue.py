"""The built-in catalogue: every example finds its rule, and a broken catalogue is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.openocd.catalogue import Catalogue, CatalogueError, load_builtin, read_catalogue
from ocdsup.openocd.dialect import Family
from ocdsup.openocd.lines import Level, Line, parse_line
from ocdsup.openocd.rule import Rule

EXAMPLES = [(rule, text) for rule in load_builtin().rules for text in rule.examples]


@pytest.mark.parametrize(("rule", "text"), EXAMPLES, ids=[f"{rule.id}-{n}" for n, (rule, _) in enumerate(EXAMPLES)])
def test_every_example_is_recognised_as_its_rule(catalogue: Catalogue, rule: Rule, text: str) -> None:
    found = catalogue.find(parse_line(text.encode()))
    assert found is not None
    assert found.rule.id == rule.id


@pytest.mark.parametrize(("rule", "text"), EXAMPLES, ids=[f"{rule.id}-{n}" for n, (rule, _) in enumerate(EXAMPLES)])
def test_every_example_is_recognised_at_debug_level_3_too(catalogue: Catalogue, rule: Rule, text: str) -> None:
    line = parse_line(text.encode())
    prefix = {"user": "User ", "error": "Error", "warn": "Warn ", "info": "Info ", "debug": "Debug"}[line.level.value]
    found = catalogue.find(parse_line(f"{prefix}: 139 25 a_file.c:84 some_function(): {line.text}".encode()))
    assert found is not None
    assert found.rule.id == rule.id


def test_the_oldest_and_newest_generation_have_rules_of_their_own(catalogue: Catalogue) -> None:
    for family in Family:
        assert sum(rule.covers(family) for rule in catalogue.rules) > 80
    assert any(rule.versions == (Family.MASTER, Family.MASTER) for rule in catalogue.rules)
    assert any(rule.versions == (Family.V0_8, Family.V0_8) for rule in catalogue.rules)


def test_every_fault_that_a_line_can_show_has_a_rule(catalogue: Catalogue) -> None:
    told_by_others = {"backend-exited", "backend-hung", "backend-missing"}
    assert {rule.fault for rule in catalogue.rules if rule.fault} | told_by_others >= {
        "target-poll-failing", "target-not-answering", "target-held-in-reset", "target-unpowered", "probe-absent",
        "probe-held", "probe-denied", "probe-wedged", "config-rejected", "port-in-use", "wrong-target", "flash-failed",
    }  # fmt: skip


RULE = """
- id: {id}
  versions: all
  level: error
  literal: {literal}
  pattern: '{pattern}'
  fault: null
  role: symptom
  meaning: Something.
  advice: []
  provenance: a test
  examples: ["Error: {example}"]
"""


def rule(id: str = "a", literal: str = "open failed", pattern: str = "open failed", example: str = "open failed") -> str:
    return RULE.format(id=id, literal=literal, pattern=pattern, example=example)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (rule() + rule(), "rule a: this id exists twice"),
        (rule(pattern="closed"), "rule a: it does not match its own example"),
        ("- 3", "rule 1 is not a mapping"),
        ("a: b", "not a list"),
        ("a: [", "not YAML"),
        ("- !!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_a_broken_catalogue_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(CatalogueError, match=why):
        read_catalogue(text)


def test_overlapping_literals_all_lead_to_their_rules() -> None:
    text = rule("a", "abcde", "^abcde$", "abcde") + rule("b", "abcdef", "^abcdefg$", "abcdefg")
    text += rule("c", "cdefg", "^abcdefgh$", "abcdefgh") + rule("d", "abcde", "^abcdefghi$", "abcdefghi")
    known = read_catalogue(text)
    for word, expected in [("abcde", "a"), ("abcdefg", "b"), ("abcdefgh", "c"), ("abcdefghi", "d")]:
        found = known.find(Line(Level.ERROR, word))
        assert found is not None
        assert found.rule.id == expected
    assert known.find(Line(Level.ERROR, "abcd")) is None


def test_a_rule_of_the_running_generation_goes_first() -> None:
    text = rule("old").replace("versions: all", "versions: ..0.10") + rule("new").replace("versions: all", "versions: 0.11..")
    known = read_catalogue(text)
    line = Line(Level.ERROR, "open failed")
    found = [known.find(line, family) for family in (Family.V0_10, Family.V0_12, None)]
    assert [match.rule.id for match in found if match] == ["old", "new", "old"]


def test_a_catalogue_without_rules_finds_nothing() -> None:
    assert read_catalogue("[]").find(Line(Level.ERROR, "open failed")) is None


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_mutated_line_never_raises(example: tuple[Rule, str], data: st.DataObject) -> None:
    raw = bytearray(example[1].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    line = parse_line(bytes(raw))
    found = load_builtin().find(line)
    assert found is None or all(value in line.text for value in found.fields.values())
