"""YAML is read by the core schema of YAML 1.2, with a place for everything, and its dangerous parts are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.config import document
from ocdsup.errors import Problem


def plain(text: str) -> object:
    root, problems = document.read(text, "f")
    assert root is not None
    assert problems == []
    return root.plain()


def only_problem(text: str) -> Problem:
    _, problems = document.read(text, "f")
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("off", "off"), ("yes", "yes"), ("true", True), ("False", False), ("~", None), ("null", None),
        ("0777", 777), ("0o17", 15), ("0x1f", 31), ("-3", -3), ("1:30", "1:30"), ("12:30:45", "12:30:45"), ("1_000", "1_000"),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), (".inf", ".inf"), ("2026-01-01", "2026-01-01"), ("<<", "<<"), ("=", "="),
        ("'3'", "3"), ('"true"', "true"), ("0483:374b", "0483:374b"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    result = plain(f"a: {text}")
    assert result == {"a": value}
    assert isinstance(result, dict)
    assert type(result["a"]) is type(value)


def test_every_node_knows_its_line_and_column() -> None:
    root, _ = document.read("a:\n  - {b: 1}\n", "f")
    assert root is not None
    assert isinstance(root.value, dict)
    assert isinstance(root.value["a"].value, list)
    inner = root.value["a"].value[0]
    assert isinstance(inner.value, dict)
    assert (inner.value["b"].line, inner.value["b"].column, inner.keys["b"].column) == (2, 9, 6)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2", (2, 1), "already on line 1"),
        ("a: &x 1", (1, 4), "anchor"),
        ("a: *x", (1, 4), "alias"),
        ("a: !!python/object:os.system x", (1, 4), "tag"),
        ("a: !!str 1", (1, 4), "tag"),
        ("a: 1\n---\nb: 2", (2, 1), "second document"),
        ("{a: b}: 1", (1, 1), "a key must be a word"),
        ("[" * 100_000, (1, 17), "nesting"),
        ("a: \x07", (1, 4), "U+0007"),
        ("a: [1", (1, 6), "expected"),
        ("a:\n\tb: 1", (2, 1), "cannot start any token"),
        ("", (0, 0), "empty"),
        ("# only a comment\n", (0, 0), "empty"),
        ("x" * (256 * 1024 + 1), (0, 0), "262144"),
    ],
)  # fmt: skip
def test_dangerous_or_broken_yaml_is_one_problem_with_a_place(text: str, place: tuple[int, int], words: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.column) == place
    assert words in problem.text


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    assert "anchor &a" in only_problem(bomb).text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_a_problem(text: str) -> None:
    root, problems = document.read(text, "f")
    assert (root is not None) or problems
