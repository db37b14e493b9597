"""Tcl is cut into commands and words where Jim cuts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocdsup.dropin.tcl_text import OpenGroupError, commands

SCRIPTS = Path("/usr/share/openocd/scripts")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("a b; c\nd", [["a", "b"], ["c"], ["d"]]),
        ('echo 5"; shutdown', [["echo", '5"'], ["shutdown"]]),
        ("echo a{b; shutdown", [["echo", "a{b"], ["shutdown"]]),
        ("a {b; c} {d {e} f}", [["a", "b; c", "d {e} f"]]),
        ('a "b; {" c', [["a", "b; {", "c"]]),
        ("a [b {]}; c] d; e", [["a", "[b {]}; c]", "d"], ["e"]]),
        ('a "[b "c; d"]"; e', [["a", '[b "c; d"]'], ["e"]]),
        ("a {*}{b c} {*}$d", [["a", "{*}{b c}", "{*}$d"]]),
        ("a ${b; c}; d", [["a", "${b; c}"], ["d"]]),
        ("a\\\n b\\ c", [["a", "b c"]]),
        ("# not; this\na # b", [["a", "#", "b"]]),
        ("# a \\\n still; it\nb", [["b"]]),
        (r'a "b\tc\"" d\;e', [["a", 'b\tc"', "d;e"]]),
        ("a {b\\}c}", [["a", "b\\}c"]]),
        (" ;\n; ", []),
    ],
)
def test_a_group_opens_where_a_word_begins_and_nowhere_else(script: str, words: list[list[str]]) -> None:
    assert [[word.text for word in command.words] for command in commands(script)] == words


@pytest.mark.parametrize("script", ["a {b", 'a "b', "a [b", "a ${b", 'a "[b"', "a {b {c}"])
def test_what_is_not_closed_is_refused(script: str) -> None:
    with pytest.raises(OpenGroupError):
        commands(script)


@pytest.mark.parametrize(
    ("word", "literal"), [("a", True), ("{$a [b]}", True), ("$a", False), ('"a[b]"', False), (r"\$a", True), ("{*}a", False)]
)
def test_a_word_is_literal_when_no_substitution_can_change_it(word: str, literal: bool) -> None:
    assert commands(f"x {word}")[0].words[1].literal is literal


def test_every_procedure_of_openocds_own_scripts_is_one_command_of_four_words() -> None:
    texts = [path.read_text(errors="replace") for path in SCRIPTS.rglob("*") if path.suffix in {".cfg", ".tcl"}]
    assert len(texts) > 500
    for text in texts:
        named = re.findall(r"(?m)^proc (\S+)", text)
        found = {
            command.words[1].text for command in commands(text) if command.words[0].text == "proc" and len(command.words) == 4
        }
        assert found == set(named)
