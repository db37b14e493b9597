"""One serial number, many spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.probes.serials import printable, same_serial, serial_key, shown_serial

RAW = "\xaa\xbc\x6e\x06\x50\x75\xff\x55\x17\x42\x19\x3f"
"""The example of OpenOCD 0.12's interface/stlink.cfg."""
HEX = "AABC6E065075FF551742193F"
CUT = "\x18"
CUT_HEX = "180023000200003041315" + "74E"


@pytest.mark.parametrize("spelling", [RAW, HEX, HEX.lower(), "\\xaa\\xbc\\x6e\\x06\\x50\\x75\\xff\\x55\\x17\\x42\\x19\\x3f"])
def test_every_spelling_of_a_broken_st_link_serial_means_the_same_probe(spelling: str) -> None:
    assert serial_key(spelling) == HEX
    assert same_serial(spelling, RAW)


@pytest.mark.parametrize(
    ("wanted", "shown", "same"),
    [
        (CUT_HEX, CUT, True),
        (CUT_HEX, "\x19", False),
        ("180123000200003041315" + "74E", CUT, False),
        ("18", "18", True),
        ("066b", "066B", True),
        ("066B", "066BFF", False),
        ("".join(f"{ord(char):02x}" for char in "ABCDEFGHIJKL"), "ABCDEFGHIJKL", True),
    ],
)
def test_serials_are_compared_whatever_linux_shows_of_them(wanted: str, shown: str, same: bool) -> None:
    assert same_serial(wanted, shown) is same


@given(st.binary(min_size=12, max_size=12))
def test_any_twelve_raw_bytes_are_found_by_their_digits(raw: bytes) -> None:
    """Linux cuts at the first zero byte; a serial that begins with one is not shown at all."""
    shown = raw.split(b"\0")[0].decode("latin-1")
    if any(not 0x20 <= ord(char) < 0x7F for char in shown) or len(shown) == 12:
        assert same_serial(raw.hex(), shown)


def test_what_is_shown_holds_no_control_characters() -> None:
    assert shown_serial(RAW) == HEX
    assert shown_serial("066B\x1b[31mFF\n7777777") == "066B?[31mFF?7777777"
    assert printable("a\x1bb\n" + "c" * 100) == "a?b?" + "c" * 60
