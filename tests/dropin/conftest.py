"""A rig with one bench that is up, for the tests that use real tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.rig import Rig, Sim

REAL = {"test_real_tools", "test_patterns"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses real tools needs more time than a unit test on a busy machine."""
    for item in items:
        if item.path.stem in REAL and item.path.parent == Path(__file__).parent:
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


@pytest.fixture
def sim(rig: Rig) -> Sim:
    """The simulated probe and board; the bench `one` on it is ready."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    return sim
