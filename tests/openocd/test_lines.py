"""Bytes to lines: real shapes, junk, chunking, bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocdsup.openocd.lines import KEEP, Level, Line, LineSplitter, clean, parse_line

DEBUG = b"Debug: 1234 567 target.c:2345 target_read_u32(): address: 0xe000edf0, value: 0x00030003\r\n"


def split(*chunks: bytes) -> list[Line]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()


@pytest.mark.parametrize(
    ("raw", "level", "text"),
    [
        (b"Error: open failed", Level.ERROR, "open failed"),
        (b"Warn : a", Level.WARN, "a"),
        (b"Info : clock speed 2000 kHz", Level.INFO, "clock speed 2000 kHz"),
        (b"Debug: x", Level.DEBUG, "x"),
        (b"TARGET: a - Not halted", Level.USER, "TARGET: a - Not halted"),
        (b"User : 3 1 options.c:52 configuration_output_handler(): debug_level: 3", Level.USER, "debug_level: 3"),
        (b"User : 4 1 options.c:52 configuration_output_handler(): ", Level.USER, ""),
        (b"Error: 139 25 hla_layout.c:84 hl_layout_open(): open failed", Level.ERROR, "open failed"),
        (b"Info : 139 25 a.c:84 f(): 12: x", Level.INFO, "12: x"),
        (b"Error: 12 34 is no debug prefix", Level.ERROR, "12 34 is no debug prefix"),
        (b"embedded:startup.tcl:28: Error: Can't find x", Level.USER, "embedded:startup.tcl:28: Error: Can't find x"),
        (b"\x1b[1;31mError: red\x1b[0m", Level.ERROR, "red"),
        (b"\x1b]0;title\x07Info : a", Level.INFO, "a"),
        (b"\0Error: a", Level.ERROR, "a"),
        (b"Error: caf\xff\xc3\xa9", Level.ERROR, "caf\ufffd\u00e9"),
        (b"Error: \xe2\x80\xaeevil\xe2\x80\xa8two", Level.ERROR, "evil two"),
        (b"abc\b\b\bxyz", Level.USER, "xyz"),
        (b"\b\b", Level.USER, ""),
        (b"a\tb", Level.USER, "a b"),
        (b"\x1b", Level.USER, ""),
        (b"\x1b[12;", Level.USER, "12;"),
    ],
)
def test_a_line_is_read_as_openocd_meant_it(raw: bytes, level: Level, text: str) -> None:
    assert parse_line(raw) == Line(level, text)


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"a\r\nb\n", ["a", "b"]),
        (b"a\r\n\0b\r\n", ["a", "b"]),
        (b"10%\r20%\r30%\n", ["10%", "20%", "30%"]),
        (b"a\r\r\nb", ["a", "b"]),
        (b"\r\n\r\n", ["", ""]),
        (b"no end", ["no end"]),
        (b"", []),
    ],
)
def test_every_line_end_ends_a_line(data: bytes, texts: list[str]) -> None:
    assert [line.text for line in split(data)] == texts


def test_debug_lines_are_counted_and_can_be_looked_at_later() -> None:
    splitter = LineSplitter()
    assert splitter.feed(DEBUG * 40 + b"Error: open failed\r\n" + DEBUG) == [Line(Level.ERROR, "open failed")]
    assert splitter.debug_lines == 41
    assert [line.level for line in splitter.recent(2)] == [Level.ERROR, Level.DEBUG]
    assert splitter.recent(0) == []


def test_a_debug_line_with_a_needle_is_given_out() -> None:
    splitter = LineSplitter((b"claim interface failed",))
    claim = b"Debug: 139 25 stlink_usb.c:3440 stlink_usb_usb_open(): claim interface failed\r\n"
    assert splitter.feed(DEBUG * 3 + claim + DEBUG) == [Line(Level.DEBUG, "claim interface failed")]
    assert splitter.debug_lines == 4


def test_all_debug_lines_are_given_out_on_request() -> None:
    assert len(LineSplitter(want_debug=True).feed(DEBUG * 5)) == 5


def test_a_line_of_a_megabyte_is_cut_and_its_rest_counted() -> None:
    splitter = LineSplitter()
    chunk = b"x" * 65536
    for _ in range(16):
        assert splitter.feed(chunk) == []
    (line,) = splitter.feed(b"\nError: next\n")[:1]
    assert line.truncated
    assert len(line.text) == KEEP
    assert splitter.dropped == 16 * 65536 - KEEP


def test_memory_stays_bounded_under_a_flood_without_line_ends() -> None:
    splitter = LineSplitter()
    for _ in range(200):
        splitter.feed(b"\xff" * 65536)
    assert sum(len(line.text) for line in splitter.flush()) <= KEEP
    assert len(splitter._tail) <= 3 * 64 * 1024


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [DEBUG.rstrip(), b"Error: open failed\r", b"", b"\r", b"Debug: \0", b"\0Debug: x", b"a\rb", b"y" * 5000]
        ),
        st.binary(max_size=60),
    ),
    max_size=12,
).map(b"\n".join)


@given(LINES, st.lists(st.integers(0, 6000), max_size=8))
@example(b"a\r\n", [2])
@example(b"x" * (KEEP - 1) + b"\r\n", [KEEP])
def test_chunking_never_changes_the_result(data: bytes, cuts: list[int]) -> None:
    whole, parts = LineSplitter(), LineSplitter()
    expected = whole.feed(data) + whole.flush()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges)]
    found = [line for chunk in chunks for line in parts.feed(chunk)] + parts.flush()
    assert found == expected
    assert (parts.debug_lines, parts.dropped) == (whole.debug_lines, whole.dropped)


@given(st.binary(max_size=300))
def test_no_bytes_can_break_out_of_a_line(data: bytes) -> None:
    assert all(line.text.isprintable() for line in split(data))


@given(st.text(max_size=100))
def test_cleaned_text_is_printable_and_clean_text_stays(text: str) -> None:
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)
