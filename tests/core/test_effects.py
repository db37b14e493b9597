"""A start under reset cannot even be written without the command that ends the reset."""

from __future__ import annotations

import pytest

from ocdsup.core.effects import Profile


def test_under_reset_without_a_reset_command_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the board dead in reset"):
        Profile(under_reset=True)


@pytest.mark.parametrize("after", ["run", "halt"])
def test_under_reset_with_a_reset_command_is_a_profile(after: str) -> None:
    assert Profile(under_reset=True, after=after).under_reset
