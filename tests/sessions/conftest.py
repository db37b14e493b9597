"""Fixtures of the session tests: a bench with a real daemon, OpenOCD and board, and a real GDB on its stable port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.bench.rig import Rig
from tests.sessions.desk import Desk


@pytest.fixture(params=["hla", "dap"])
def mode(request: pytest.FixtureRequest) -> str:
    """Either ST-LINK driver of OpenOCD; a test that names one `mode` runs with that."""
    return str(request.param)


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A developer at a ready bench, GDB not attached yet."""
    with closing(Desk(rig)) as desk:
        yield desk
