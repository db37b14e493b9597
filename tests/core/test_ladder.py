"""Which cure comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.core.effects import UsbCure
from ocdsup.core.faults import FAULTS
from ocdsup.core.ladder import LAST, ROWS, Need, Rung, next_rung

ALL = frozenset(Need)
ABLE = st.frozensets(st.sampled_from(Need))
CODES = st.sampled_from(sorted(FAULTS))


def test_every_row_is_for_a_fault_of_the_contract() -> None:
    assert {row.fault for row in ROWS} | set(LAST) <= set(FAULTS)


def test_failing_polls_are_first_answered_under_reset_after_stale_holders_were_ended() -> None:
    choice = next_rung("target-poll-failing", (), ALL)
    assert (choice.rung, choice.looks, choice.exhausted) == (Rung.UNDER_RESET, True, False)


def test_a_crash_is_first_answered_by_a_plain_restart_without_looking() -> None:
    choice = next_rung("backend-exited", (), ALL)
    assert (choice.rung, choice.looks) == (Rung.RESTART, False)


@given(CODES, ABLE)
def test_every_ladder_ends(fault: str, able: frozenset[Need]) -> None:
    tried: list[tuple[str, Rung]] = []
    while not (choice := next_rung(fault, tried, able)).exhausted:
        tried.append((fault, choice.rung))
        assert len(tried) < 20


@given(CODES, ABLE, st.lists(st.tuples(CODES, st.sampled_from(Rung)), max_size=12))
def test_no_rung_is_chosen_that_the_bench_is_not_able_to_do(
    fault: str, able: frozenset[Need], tried: list[tuple[str, Rung]]
) -> None:
    rung = next_rung(fault, tried, able).rung
    if Need.UNDER_RESET not in able:
        assert rung not in {Rung.UNDER_RESET, Rung.SLOW_UNDER_RESET, Rung.HOLD_HALTED}
    if Need.USB not in able:
        assert rung not in {Rung.RESET_USB, Rung.REAUTHORISE_USB, Rung.CYCLE_USB_POWER}
    if Need.BACKEND not in able:
        assert rung is not Rung.EXAMINE
    if Need.FREE_CORE not in able:
        assert rung is not Rung.HOLD_HALTED


@pytest.mark.parametrize("fault", ["target-poll-failing", "target-not-answering", "backend-hung", "probe-wedged"])
def test_the_usb_device_is_reset_then_re_authorised_then_its_port_loses_power_each_once(fault: str) -> None:
    rungs = [row.rung.value for row in ROWS if row.fault == fault and Need.USB in row.needs for _ in range(row.attempts)]
    assert rungs == ["reset-usb", "reauthorise-usb", "cycle-usb-power"] == [cure.value for cure in UsbCure]
    assert [row.rung.value for row in ROWS if row.fault == fault][-3:] == rungs, "nothing milder is left behind them"


def test_a_crash_that_repeats_is_answered_by_a_look_for_holders_before_the_ladder_ends() -> None:
    seen = [next_rung("backend-exited", [("backend-exited", Rung.RESTART)] * times, ALL) for times in range(6)]
    assert [(choice.looks, choice.exhausted) for choice in seen] == [(False, False)] * 3 + [(True, False)] * 2 + [(True, True)]


def test_what_was_tried_under_another_name_counts() -> None:
    tried = [("target-not-answering", Rung.UNDER_RESET)] * 2
    assert next_rung("target-poll-failing", tried, ALL).rung is Rung.SLOW_UNDER_RESET


@pytest.mark.parametrize("fault", ["target-unpowered", "flash-failed", "wrong-target"])
def test_a_fault_without_rows_repeats_a_plain_restart(fault: str) -> None:
    choice = next_rung(fault, (), ALL)
    assert (choice.rung, choice.exhausted) == (Rung.RESTART, True)
