"""How long a holder has been idle or stuck."""

from collections.abc import Callable

import pytest

from ocdsup.probes.history import History, remember
from ocdsup.probes.holders import Holder

Make = Callable[..., Holder]


def test_idle_time_counts_from_the_first_look_and_starts_anew_after_a_session(holder: Make) -> None:
    history = History()
    seen = []
    for now, connected in ((1.0, False), (5.0, False), (6.0, True), (8.0, False), (9.0, None), (10.0, False)):
        history, (dated,) = remember(history, [holder(gdb_connected=connected)], now)
        seen.append(dated.idle_since)
    assert seen == [1.0, 1.0, None, 8.0, None, 10.0]


def test_stuck_time_counts_while_every_look_finds_the_d_state(holder: Make) -> None:
    history, (first,) = remember(History(), [holder(state="D")], 1.0)
    history, (second,) = remember(history, [holder(state="D")], 4.0)
    assert (first.stuck_since, second.stuck_since) == (1.0, 1.0)
    assert remember(history, [holder(state="S")], 5.0)[1][0].stuck_since is None


@pytest.mark.parametrize("gone", [True, False])
def test_a_reused_pid_inherits_nothing(holder: Make, gone: bool) -> None:
    history, _ = remember(History(), [holder()], 1.0)
    if gone:
        history, _ = remember(history, [], 2.0)
        assert not history.since
    assert remember(history, [holder(start_ticks=9999)], 3.0)[1][0].idle_since == 3.0
