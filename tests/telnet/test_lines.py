"""Lines of every client's kind are found, edited, and limited; output cannot steer a terminal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.telnet.lines import LINE_LIMIT, Ended, Interrupted, Line, LineEditor, TooLong, Typed, printable


@pytest.mark.parametrize("end", [b"\r\n", b"\r\x00", b"\n", b"\r"])
def test_each_line_end_ends_one_line(end: bytes) -> None:
    assert LineEditor().feed(b"a" + end + b"b" + end + end) == [Line(b"a"), Line(b"b"), Line(b"")]


@pytest.mark.parametrize(
    ("data", "typed"),
    [
        (b"axy\x08b\x7f\x7fc\n", [Line(b"ac")]),
        (b"\x08\x7fa\n", [Line(b"a")]),
        (b"wrong\x15right\n", [Line(b"right")]),
        (b"half\x03ok\n", [Interrupted(), Line(b"ok")]),
        (b"\x04", [Ended()]),
        (b"a\x04b\n", [Line(b"ab")]),
        (b"a\x00b\n", [Line(b"ab")]),
        (b"\x1b[Aup\x1b[1;5Cright\x1bOH\n", [Line(b"upright")]),
        (b"x" * LINE_LIMIT + b"\n", [Line(b"x" * LINE_LIMIT)]),
        (b"x" * (LINE_LIMIT + 1) + b"\nnext\n", [TooLong(LINE_LIMIT + 1), Line(b"next")]),
        (b"x" * 1_000_000 + b"\x15ok\n", [Line(b"ok")]),
    ],
)
def test_keys_edit_the_line(data: bytes, typed: list[Typed]) -> None:
    assert LineEditor().feed(data) == typed


KEYS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\x00", b"\x08", b"\x15", b"\x03", b"\x04", b"abc", b"\x1b[A"]) | st.binary(max_size=4)
).map(b"".join)


@settings(deadline=None)
@given(KEYS, st.integers(1, 7))
def test_chunking_changes_nothing(data: bytes, size: int) -> None:
    cut = LineEditor()
    assert [t for at in range(0, len(data), size) for t in cut.feed(data[at : at + size])] == LineEditor().feed(data)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_memory_is_bounded_by_the_line_limit(parts: list[bytes]) -> None:
    editor = LineEditor()
    for part in parts:
        editor.feed(part)
        assert len(editor.partial) <= LINE_LIMIT


def test_output_is_printable_ascii() -> None:
    assert printable(b"a\tb\x1b[31m\xc3\xa9\r\xff\x00") == rb"a" + b"\t" + rb"b\x1b[31m\xc3\xa9\x0d\xff\x00"
