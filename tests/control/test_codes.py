"""Every refusal has an exit code of the contract."""

from ocdsup.control.codes import EXIT_CODES


def test_exit_codes_are_those_of_the_contract() -> None:
    assert set(EXIT_CODES.values()) <= {1, 2, 3, 4}
    assert EXIT_CODES["not-running"] == 3
    assert EXIT_CODES["not-usable"] == 4
    assert EXIT_CODES["bad-request"] == EXIT_CODES["bad-config"] == 2
