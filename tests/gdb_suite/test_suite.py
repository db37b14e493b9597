"""A slice of GDB's own tests on gdbserver: through `ocdsup front` every result is the same as without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gdb_suite.suite import SLICES, compare, scripts

pytestmark = [pytest.mark.system, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("name", SLICES)
def test_gdbs_own_tests_come_out_the_same_through_the_front(name: str, tmp_path: Path) -> None:
    """Result by result; and the slice is one that runs at all."""
    direct, differing = compare(name, tmp_path)
    assert differing == []
    passed = sum(count for line, count in direct.items() if line.startswith("PASS"))
    assert passed > 10 * len(scripts(SLICES[name].table))
