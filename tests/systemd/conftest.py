"""The units as administrators get them, in a root directory where systemd's own tools can look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"


@pytest.fixture
def units() -> Path:
    """The folder that is shipped."""
    return UNITS


def assignments(text: str) -> list[tuple[str, str, str]]:
    """(section, key, value) of every line of a unit, in order."""
    found, section = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found
