"""Durations as people say them."""

from __future__ import annotations

import pytest

from ocdsup.core.span import span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (148.9, "2 min 28 s"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text
