"""Each kind of text accepts its spellings and refuses the rest with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.config import kinds


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("10s", 10.0), ("2m", 120.0), ("1h", 3600.0), ("1.5s", 1.5), ("24h", 86400.0)]
)
def test_durations_are_seconds(text: str, value: float) -> None:
    assert kinds.seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "0s", "1d", "25h", "10s\n", "1:30", "1e3s", "٣s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        kinds.seconds(text)


@given(st.integers(1, 86_400_000))
def test_a_duration_written_out_reads_back(milliseconds: int) -> None:
    value = milliseconds / 1000
    assert kinds.seconds(kinds.duration_text(value)) == value


@pytest.mark.parametrize(("value", "text"), [(0.5, "500ms"), (10.0, "10s"), (300.0, "5m"), (90.0, "90s"), (7200.0, "2h")])
def test_durations_are_written_in_their_natural_unit(value: float, text: str) -> None:
    assert kinds.duration_text(value) == text


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (kinds.NAME, "nucleo-2", "Nucleo"),
        (kinds.NAME, "a" * 32, "a" * 33),
        (kinds.NAME, "a", "2a"),
        (kinds.NAME, "a", "a\n"),
        (kinds.USB_ID, "0483:374b", "483:374b"),
        (kinds.USB_LOCATION, "1-2.3", "1.2"),
        (kinds.ADDRESS, "::1", "localhost"),
        (kinds.NETWORK, "10.0.0.0/8", "10.0.0.1/8"),
        (kinds.HTTP, "[::1]:8333", "0.0.0.0:8333"),
        (kinds.HTTP, "127.0.0.1:8333", "127.0.0.1"),
        (kinds.HTTP, "127.0.0.1:0", "127.0.0.1:65536"),
        (kinds.ST_LINK_SERVER, "127.0.0.1:7184", "192.168.1.2:7184"),
        (kinds.ST_LINK_SERVER, "127.0.0.1:7184", "127.0.0.1:0"),
        (kinds.SOCKET, "/run/x.sock", "x.sock"),
        (kinds.SOCKET, "/" + "x" * 106, "/" + "é" * 54),
        (kinds.TEXT, "interface/stlink.cfg", "a\x1b[31m"),
        (kinds.TEXT, "a b", "  "),
        (kinds.TCL, "if {1} {\n\techo x\n}", "echo \x00"),
    ],
)
def test_a_kind_accepts_one_and_refuses_the_other(kind: kinds.Kind, good: str, bad: str) -> None:
    assert kind.parse(good) == good
    with pytest.raises(ValueError, match=r".+"):
        kind.parse(bad)


def test_identities_are_normalised_so_that_equal_ones_compare_equal() -> None:
    assert kinds.USB_ID.parse("0483:374B") == "0483:374b"
    assert kinds.ADDRESS.parse("0:0:0:0:0:0:0:1") == "::1"
