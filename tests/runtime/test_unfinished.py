"""Who would cut a write to flash memory off is told so, and may insist."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ocdsup.errors import ControlError
from ocdsup.runtime.unfinished import spare_flash


def bench(*, flashing: bool) -> Any:
    return cast("Any", SimpleNamespace(name="one", flashing=flashing))


def test_a_bench_that_writes_flash_is_left_alone() -> None:
    with pytest.raises(ControlError, match="one writes flash") as told:
        spare_flash(bench(flashing=True), "restart one")
    assert told.value.code == "refused"
    assert "--force" in str(told.value)


@pytest.mark.parametrize(("flashing", "force"), [(False, False), (True, True), (False, True)])
def test_any_other_bench_and_who_insists_are_served(flashing: bool, force: bool) -> None:
    assert spare_flash(bench(flashing=flashing), "restart one", force=force) is None  # type: ignore[func-returns-value]
