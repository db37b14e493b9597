"""The room's README says what the code does."""

from __future__ import annotations

import pytest

from ocdsup.core.diagram import GENERATED, README, rewritten
from ocdsup.core.ladder import Rung
from ocdsup.core.state import Phase


def test_the_readme_is_up_to_date() -> None:
    """`python -m ocdsup.core.diagram` rewrites it."""
    text = README.read_text(encoding="utf-8")
    assert rewritten(text) == text


def test_every_phase_and_rung_is_shown() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(phase.value in text for phase in Phase)
    assert all(rung.value in text for rung in Rung)


def test_a_readme_without_a_place_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="diagram: expected one place for it, found 0"):
        rewritten("nothing")


def test_generated_parts_replace_what_stood_there() -> None:
    text = "".join(f"<!-- {name} -->\nstale text\n<!-- /{name} -->\n" for name in GENERATED)
    assert "stale text" not in rewritten(text)
