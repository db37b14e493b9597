"""Other protocols are told from telnet by their first bytes, and Tcl is not taken for GDB."""

import pytest

from ocdsup.telnet.intruder import intruder, judged


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (b"GET / HTTP/1.1\r\nX: y\r\n", "http"),
        (b"POST /x HTTP/1.0", "http"),
        (b"\x16\x03\x01\x02\x00", "tls"),
        (b"+", "gdb"),
        (b"+$qSupported:multiprocess+#c6", "gdb"),
        (b"$qSupported#37", "gdb"),
        (b"$_TARGETNAME curstate\n", None),
        (b"get_reg {r0}\n", None),
        (b"status\nGET / HTTP/1.1\n", None),
        (b"echo GET / HTTP/1.1\n", None),
        (b"", None),
    ],
)
def test_the_first_line_tells(first: bytes, kind: str | None) -> None:
    assert intruder(first) == kind


def test_a_first_line_is_judged_when_it_ends_or_is_too_long() -> None:
    assert not judged(b"x" * 100)
    assert judged(b"x\n")
    assert judged(b"x" * 9000)
