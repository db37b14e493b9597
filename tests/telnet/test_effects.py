"""The one line that stands for an absent OpenOCD has phase, reason and next try."""

import pytest

from ocdsup.telnet.effects import Away, console_limit


@pytest.mark.parametrize(
    ("away", "sentence"),
    [
        (Away("recovering", "target-poll-failing", 1.42),
         "ocdsup: OpenOCD is away: recovering, target-poll-failing; next try in 1.4 s; `ocdsup why` tells more"),
        (Away("stopped"), "ocdsup: OpenOCD is away: stopped; `ocdsup start` brings it back"),
        (Away("backoff", "x", -0.3), "ocdsup: OpenOCD is away: backoff, x; next try in 0.0 s; `ocdsup why` tells more"),
    ],
)  # fmt: skip
def test_the_sentence(away: Away, sentence: str) -> None:
    assert away.sentence() == sentence


@pytest.mark.parametrize(
    ("version", "limit"),
    [
        ("0.10.0", 255),
        ("0.10.0+dev-00973", 255),
        ("0.9.0", 255),
        ("0.11.0", 2559),
        ("0.12.0+dev", 2559),
        ("0.100.0", 2559),
        ("", 2559),
    ],
)
def test_the_console_of_old_versions_takes_short_lines(version: str, limit: int) -> None:
    assert console_limit(version) == limit
