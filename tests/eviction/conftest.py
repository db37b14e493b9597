"""A rig whose bench finds its probe taken by somebody else's OpenOCD."""

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
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A bench PC for one test."""
    made = Rig(tmp_path)
    try:
        yield made
    finally:
        made.close()
