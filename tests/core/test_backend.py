"""The phase table covers every event in every phase, and is nowhere ambiguous."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from ocdsup.core import events as ev
from ocdsup.core.backend import IGNORED, ROWS, TABLE
from ocdsup.core.state import Phase

EVENTS: tuple[type[ev.Event], ...] = get_args(ev.Event)


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, EVENTS)), ids=str)
def test_every_event_has_a_row_or_a_reason_in_every_phase(phase: Phase, event: type[ev.Event]) -> None:
    assert (phase, event) in TABLE or event in IGNORED


def test_no_event_has_two_rows_in_one_phase() -> None:
    assert len(ROWS) == len(TABLE)


def test_a_reason_stands_only_where_an_event_is_ignored_somewhere() -> None:
    assert {event for event in IGNORED if all((phase, event) in TABLE for phase in Phase)} == set()


def test_every_phase_can_be_reached_and_left() -> None:
    assert {to for row in ROWS for to in row.to} == set(Phase)
    assert {row.phase for row in ROWS if row.to - {row.phase}} == set(Phase)


def test_time_and_new_configurations_count_in_every_phase() -> None:
    for event in (ev.Tick, ev.PolicyChanged):
        assert {row.phase for row in ROWS if row.event is event} == set(Phase)
