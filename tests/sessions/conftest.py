"""Fixtures of the session tests: a bench with a real daemon, OpenOCD and board, and a real GDB on its stable port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.bench.rig import Rig
from tests.sessions.desk import Desk
from tests.sessions.two_cores import Two


@pytest.fixture(params=["hla", "dap"])
def mode(request: pytest.FixtureRequest) -> str:
    """Either ST-LINK driver of OpenOCD; a test that names one `mode` runs with that."""
    return str(request.param)


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A developer at a ready bench, GDB not attached yet."""
    with closing(Desk(rig)) as desk:
        yield desk


@pytest.fixture
def desks(rig: Rig) -> Iterator[Callable[..., Two]]:
    """Make a desk with a chip of two cores; its debuggers are ended with the test."""
    with ExitStack() as made:
        yield lambda *commands, **changes: made.enter_context(closing(Two(rig, *commands, **changes)))


@pytest.fixture
def two(desks: Callable[..., Two]) -> Two:
    """Both cores run, nobody is attached."""
    return desks()
