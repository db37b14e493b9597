"""Fixtures of the session tests: a bench with a real daemon, OpenOCD and board, and a real GDB on its stable port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.rig import Rig
from tests.sessions.desk import Desk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the real tools, and more time than a unit test on a busy machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.bench)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(params=["hla", "dap"])
def mode(request: pytest.FixtureRequest) -> str:
    """Either ST-LINK driver of OpenOCD; a test that names one `mode` runs with that."""
    return str(request.param)


@pytest.fixture
def rig(tmp_path: Path, mode: str) -> Iterator[Rig]:
    """A bench PC for one test."""
    made = Rig(tmp_path, mode)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A developer at a ready bench, GDB not attached yet."""
    desk = Desk(rig)
    try:
        yield desk
    finally:
        desk.close()
