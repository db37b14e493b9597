"""What the tests of the drop-in with real tools share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.bench.rig import Rig


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One bench that is up, for all tests of a file in turn: none of them may hurt it."""
    with closing(Rig(tmp_path_factory.mktemp("shared"))) as rig:
        rig.run(one=rig.bench(rig.sim()))
        rig.ready()
        yield rig
