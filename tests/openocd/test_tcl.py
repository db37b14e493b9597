"""Tcl words, lists and frames; the quoting is also checked against OpenOCD's own interpreter in test_command.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.errors import ProtocolError
from ocdsup.openocd.tcl import (
    END,
    Guarded,
    Notification,
    Reply,
    Unframer,
    guard_script,
    parse_guarded,
    parse_list,
    parse_notification,
    parse_reply,
    tcl_list,
    tcl_quote,
    wrap,
    wrap_script,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x1a"), max_size=30)


@given(st.lists(WORDS, max_size=6))
def test_a_quoted_list_reads_back_as_its_words(words: list[str]) -> None:
    assert parse_list(tcl_list(words)) == words


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("066BFF55", "066BFF55"),
        ("1-2.3", "1-2.3"),
        ("", '""'),
        ("a b", '"a b"'),
        ("[exit]", '"\\[exit\\]"'),
        ('$x;"}', '"\\$x\\;\\"\\}"'),
        ("a\nb", '"a\\nb"'),
        ("#", '"\\#"'),
    ],
)
def test_a_quoted_word_cannot_be_evaluated(text: str, word: str) -> None:
    assert tcl_quote(text) == word


@pytest.mark.parametrize("text", ["a\0b", "a\x1ab"])
def test_what_tcl_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="0x1A"):
        tcl_quote(text)
    with pytest.raises(ValueError, match="0x1A"):
        wrap(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("a b  c\n", ["a", "b", "c"]),
        ("{a b} {} {c {d e}}", ["a b", "", "c {d e}"]),
        ('"a \\"b" c\\ d', ['a "b', "c d"]),
        ("0 {stm32f4x.cpu 0 running}", ["0", "stm32f4x.cpu 0 running"]),
        ("{a\\}b}", ["a\\}b"]),
        ("a\\", ["a\\"]),
    ],
)
def test_a_list_is_split_as_tcl_does(text: str, words: list[str]) -> None:
    assert parse_list(text) == words


@pytest.mark.parametrize("text", ["{a", '"a', "{a {b}"])
def test_a_list_that_does_not_close_is_an_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="not closed"):
        parse_list(text)


def test_a_wrapped_command_shows_its_errors() -> None:
    assert wrap("targets") == b"list [catch {targets} _ocdsup_r] $_ocdsup_r" + END
    assert parse_reply(b"0 {a b}\x1a") == Reply(True, "a b")
    assert parse_reply(b'1 {invalid command name "x"}') == Reply(False, 'invalid command name "x"')
    assert parse_reply(b"0 {}") == Reply(True, "")
    assert [parse_reply(f"{code} x".encode()).ok for code in range(7)] == [True] + [False] * 6  # 2 … 6: catch(n), Jim's own


@pytest.mark.parametrize("command", ["a } b", "a { b", "a} ; exit ; {b"])
def test_a_command_cannot_leave_its_wrapping(command: str) -> None:
    with pytest.raises(ValueError, match="unbalanced braces"):
        wrap_script(command)


@pytest.mark.parametrize("frame", [b"", b"0", b"x y", b"0 a b", b"\xff"])
def test_what_is_no_wrapped_answer_is_an_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_reply(frame)


@pytest.mark.parametrize(
    ("frame", "kind", "value"),
    [
        (b"type target_event event gdb-halt\r\n\x1a", "target_event", "gdb-halt"),
        (b"type target_state state running\r\n\x1a", "target_state", "running"),
        (b"type target_reset mode run\r\n", "target_reset", "run"),
        (b"type target_trace data 00ff\r\n", "target_trace", "00ff"),
    ],
)
def test_a_notification_is_told_from_an_answer(frame: bytes, kind: str, value: str) -> None:
    assert parse_notification(frame) == Notification(kind, value)
    assert parse_notification(b"0 {" + frame) is None


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("0 done {} {}", Guarded(True, "done", "", None)),
        ("0 {} {} {halted\nhere\n}", Guarded(True, "", "halted\nhere\n", None)),
        ("1 {no such thing} {} {}", Guarded(False, "no such thing", "", None)),
        ("-600 {} shutdown {}", Guarded(True, "", "", 0)),
        ("-600 {} {shutdown error} bye", Guarded(True, "", "bye", 1)),
        ("0 -600 shutdown {}", Guarded(True, "-600", "", 0)),
        ("-600 {} {} {}", Guarded(True, "", "", 0)),
        ("6 {} {} {}", Guarded(True, "", "", 0)),
    ],
)
def test_a_guarded_command_tells_the_exit_code_it_would_have_had(text: str, outcome: Guarded) -> None:
    assert parse_guarded(text) == outcome


@pytest.mark.parametrize("command", ["}; shutdown; list {", "echo {", "}", "a\0", "a\x1a"])
def test_a_command_cannot_leave_its_guard(command: str) -> None:
    with pytest.raises(ValueError, match=r"braces|NUL"):
        guard_script(command)


@pytest.mark.parametrize("text", ["", "0", "0 a", "a {b", "0 a b", "0 a b c d"])
def test_what_no_guard_answers_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_guarded(text)


STREAM = b"0 {a b}\x1a\x1atype target_state state halted\r\n\x1a1 {x}\x1arest"


@given(st.integers(1, len(STREAM)))
def test_chunking_never_changes_the_frames(size: int) -> None:
    unframer = Unframer()
    found = [frame for at in range(0, len(STREAM), size) for frame in unframer.feed(STREAM[at : at + size])]
    assert found == [b"0 {a b}", b"", Notification("target_state", "halted"), b"1 {x}"]


def test_an_endless_answer_is_an_error_and_is_forgotten() -> None:
    unframer = Unframer(longest=100)
    assert unframer.feed(b"x" * 100) == []
    with pytest.raises(ProtocolError, match="longer than 100"):
        unframer.feed(b"x")
    assert unframer.feed(b"ok\x1a") == [b"ok"]
