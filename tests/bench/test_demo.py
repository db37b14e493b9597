"""The demonstration is the shortest end-to-end test there is."""

from __future__ import annotations

import pytest

from tests.bench.rig import Rig


@pytest.mark.parametrize("words", [(), ("--dap",)])
def test_the_story_is_true(rig: Rig, words: tuple[str, ...]) -> None:
    """Every step is checked by the demo itself; one that is not true ends it with exit code 1."""
    done = rig.ocdsup("demo", "--once", *words)
    assert done.returncode == 0, done.stdout
    assert "every step really happened" in done.stdout
    assert "FAILED" not in done.stdout
