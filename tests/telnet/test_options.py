"""Telnet commands are stripped, options refused, and no byte sequence makes the session deaf."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.telnet.options import SUBNEGOTIATION_LIMIT, Options


@pytest.mark.parametrize(
    ("data", "plain", "reply"),
    [
        (b"status\r\n", b"status\r\n", b""),
        (b"\xff\xfb\x1fa", b"a", b"\xff\xfe\x1f"),  # WILL NAWS → DONT
        (b"\xff\xfd\x01a", b"a", b"\xff\xfc\x01"),  # DO ECHO → WONT
        (b"\xff\xfc\x01\xff\xfe\x01a", b"a", b""),  # WONT, DONT: nothing to refuse
        (b"\xff\xfd\x06", b"", b"\xff\xfb\x06"),  # DO TIMING-MARK → WILL
        (b"a\xff\xffb", b"a\xffb", b""),
        (b"ab\xff\xf4\xff\xf3", b"ab\x03\x03", b""),
        (b"ab\xff\xf7\xff\xf8", b"ab\x08\x15", b""),
        (b"\xff\xf1x\xff\xf9y\xff\xf0", b"xy", b""),  # NOP, GA, stray SE
        (b"\xff\xf6", b"", b"\r\n[ocdsup is here]\r\n"),
        (b"\xff\xfa\x18\x00xterm\xff\xff\xff\xf0a", b"a", b""),
        (b"\xff\xfa" + b"x" * (SUBNEGOTIATION_LIMIT + 1) + b"status\n", b"status\n", b""),
    ],
)
def test_a_stream_is_cleaned(data: bytes, plain: bytes, reply: bytes) -> None:
    assert Options().feed(data) == (plain, reply)


STREAMS = st.lists(
    st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xfb", b"\xfd", b"\x06", b"\xf4", b"ab", b"\r\n"]) | st.binary(max_size=5),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(STREAMS, st.integers(1, 7))
def test_chunking_changes_nothing(data: bytes, size: int) -> None:
    cut = Options()
    parts = [cut.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert (b"".join(p for p, _ in parts), b"".join(r for _, r in parts)) == Options().feed(data)


@settings(deadline=None)
@given(STREAMS)
def test_a_session_hears_again_after_any_junk(junk: bytes) -> None:
    options = Options()
    options.feed(junk + b"\x00" * (SUBNEGOTIATION_LIMIT + 3))
    assert options.feed(b"help\n") == (b"help\n", b"")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_replies_are_no_amplifier(data: bytes) -> None:
    _, reply = Options().feed(data)
    assert len(reply) <= 10 * len(data)
