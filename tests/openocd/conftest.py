"""The built-in catalogue, read once, and the transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocdsup.openocd.catalogue import Catalogue, load_builtin

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue that ships with ocdsup."""
    return load_builtin()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the transcripts."""
    return GOLDEN
