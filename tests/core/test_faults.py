"""The fault codes are the contract's, and each tells people what to do."""

from __future__ import annotations

import pytest

from ocdsup.core.faults import FAULTS, REMARKS, Whose, known
from ocdsup.core.launching import RECHECK_S
from ocdsup.core.recovering import OBSTACLES

# Written down here a second time on purpose: a code that is renamed breaks programs that read the status.
CONTRACT = """
target-poll-failing target-not-answering target-held-in-reset target-unpowered probe-absent probe-held probe-denied
probe-wedged backend-exited backend-hung backend-missing config-rejected port-in-use wrong-target flash-failed
"""


def test_the_codes_are_those_of_the_contract() -> None:
    assert set(FAULTS) == set(CONTRACT.split())


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_has_a_sentence_and_advice(code: str) -> None:
    assert known(code).text
    assert all(len(step) > 20 for step in known(code).advice)
    assert known(code).advice


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError):
        known("gremlins")


def test_every_obstacle_can_be_looked_at_again() -> None:
    assert set(RECHECK_S) >= OBSTACLES
    assert {code for code in FAULTS if known(code).whose is Whose.PROBE} == set(RECHECK_S)


def test_a_remark_never_stops_a_bench() -> None:
    assert all(known(code).whose is Whose.TARGET for code in REMARKS)
