"""Fixtures of the end-to-end tests: a rig, once per ST-LINK driver of OpenOCD where that matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.rig import Rig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the real tools, and more time than a unit test on a busy machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.bench)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture
def mode() -> str:
    """OpenOCD's HLA driver; a test that asks for `both` runs with either."""
    return "hla"


@pytest.fixture
def rig(tmp_path: Path, mode: str) -> Iterator[Rig]:
    """A bench PC for one test."""
    made = Rig(tmp_path, mode)
    try:
        yield made
    finally:
        made.close()
