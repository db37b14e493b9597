"""Suggestions and shown values help without echoing pages."""

from dataclasses import fields

import pytest

from ocdsup.config import wording
from ocdsup.config.model import Bench


@pytest.mark.parametrize(
    ("word", "choices", "text"),
    [
        ("prots", ["ports", "probe"], "did you mean 'ports'?"),
        ("Hang-Timeout", ["hang_timeout"], "did you mean 'hang_timeout'?"),
        ("stale", ["stale-openocd", "any"], "did you mean 'stale-openocd'?"),
        ("zzz", ["ports"], ""),
    ],
)
def test_the_nearest_word_is_suggested(word: str, choices: list[str], text: str) -> None:
    assert wording.suggestion(word, choices) == text


def test_every_mapping_of_the_model_knows_its_keys() -> None:
    assert wording.allowed_keys(("benches", "a", "recovery", "backoff")) == ["first", "factor", "limit"]
    assert wording.allowed_keys(("benches", "a")) == [entry.name for entry in fields(Bench) if entry.name != "name"]


def test_a_long_value_is_cut_and_stays_on_one_line() -> None:
    shown = wording.shown("a\nb" * 100)
    assert len(shown) < 100
    assert "\n" not in shown
