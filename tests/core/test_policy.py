"""Thresholds: the back-off's pauses and the heartbeat's pace."""

from __future__ import annotations

import pytest

from ocdsup.core.policy import Policy


@pytest.mark.parametrize(("streak", "pause"), [(0, 0), (1, 0), (2, 0), (3, 0.5), (4, 1), (5, 2), (8, 16), (9, 30), (10**6, 30)])
def test_the_pause_doubles_from_the_third_failure_on_up_to_its_limit(streak: int, pause: float) -> None:
    assert Policy().backoff_s(streak) == pause


def test_a_factor_of_one_keeps_the_first_pause() -> None:
    assert Policy(backoff_factor=1.0).backoff_s(50) == 0.5


def test_a_hung_backend_had_five_chances_to_answer() -> None:
    assert Policy(hang_timeout_s=20.0).beat_s == 4.0
