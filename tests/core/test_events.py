"""What happens to a bench is told in values; the one that names a person's process can say so."""

from __future__ import annotations

import pytest

from ocdsup.core.events import HolderSeen


@pytest.mark.parametrize(
    ("pid", "name", "who"),
    [
        (812, "openocd", "PID 812 openocd, user bench"),
        (0, "a process that this user cannot see", "a process that this user cannot see"),
    ],
)
def test_a_holder_is_named_by_its_pid_if_it_can_be_seen(pid: int, name: str, who: str) -> None:
    assert HolderSeen(pid, 1, name, "bench", "10:00", False, False, "why").who == who
