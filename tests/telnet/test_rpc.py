"""A client of the stable Tcl port gets one answer to each of its commands, whatever happens to OpenOCD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.telnet.effects import Away, Close, ToBackend, ToClient
from ocdsup.telnet.rpc import LONGEST, LOST, WAITING_LIMIT, Out, RpcSession

AWAY = Away("backoff", "crashed", 1.5)


def session(*, up: bool = True, denied: str = "") -> RpcSession:
    made = RpcSession(AWAY, lambda line: denied if "exec" in line else "")
    if up:
        assert made.backend_up() == []
    return made


def said(outs: Out) -> list[bytes]:
    return [out.data for out in outs if isinstance(out, ToClient)]


def test_a_command_goes_to_openocd_and_its_answer_comes_back() -> None:
    rpc = session()
    assert rpc.client_bytes(b"capture version\x1atarget names\x1a") == [
        ToBackend(b"capture version\x1a"),
        ToBackend(b"target names\x1a"),
    ]
    assert rpc.running == "capture version"
    assert rpc.backend_bytes(b"Open On-Chip Debugger\x1acpu\x1a") == [
        ToClient(b"Open On-Chip Debugger\x1a"),
        ToClient(b"cpu\x1a"),
    ]
    assert rpc.running == ""


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\x1a", b"")), max_size=8), st.data())
def test_the_chunking_of_the_bytes_does_not_matter(commands: list[bytes], data: st.DataObject) -> None:
    stream = b"set first 1\x1a" + b"".join(command + b"\x1a" for command in commands)
    rpc, at, sent = session(), 0, b""
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        sent += b"".join(out.data for out in rpc.client_bytes(stream[at : at + step]) if isinstance(out, ToBackend))
        at += step
    assert sent == stream


def test_while_openocd_is_away_each_command_is_answered_with_the_reason() -> None:
    rpc = session(up=False)
    assert said(rpc.client_bytes(b"a\x1ab\x1a")) == [AWAY.sentence().encode() + b"\x1a"] * 2


def test_a_client_that_has_said_all_it_wants_is_closed_behind_its_last_answer() -> None:
    """`printf 'capture version\\x1a' | nc -N localhost 6666`; OpenOCD 0.12.0 answers it too."""
    rpc = session()
    rpc.client_bytes(b"a\x1ab\x1a")
    assert rpc.client_eof() == []
    assert rpc.backend_bytes(b"1\x1a") == [ToClient(b"1\x1a")]
    assert rpc.backend_bytes(b"2\x1a") == [ToClient(b"2\x1a"), Close()]


def test_a_client_that_waits_for_nothing_is_closed_when_it_sends_no_more() -> None:
    assert session().client_eof() == [Close()]


def test_a_client_that_sends_no_more_is_closed_behind_the_reason_when_openocd_goes() -> None:
    rpc = session()
    rpc.client_bytes(b"a\x1a")
    rpc.client_eof()
    assert rpc.backend_down(AWAY) == [ToClient(LOST.encode() + b"\x1a"), Close()]


def test_a_command_whose_openocd_goes_is_answered_once_and_the_next_one_by_the_next_openocd() -> None:
    rpc = session()
    rpc.client_bytes(b"a\x1ab\x1a")
    rpc.backend_bytes(b"half an ans")
    assert said(rpc.backend_down(AWAY)) == [LOST.encode() + b"\x1a"] * 2
    assert rpc.backend_down(AWAY) == []
    rpc.backend_up()
    assert rpc.client_bytes(b"c\x1a") == [ToBackend(b"c\x1a")]
    assert said(rpc.backend_bytes(b"3\x1a")) == [b"3\x1a"]


def test_notifications_that_were_switched_on_come_from_the_next_openocd_too_and_count_as_no_answer() -> None:
    rpc = session()
    rpc.client_bytes(b"tcl_notifications on\x1a")
    rpc.backend_bytes(b"\x1a")
    rpc.backend_down(AWAY)
    assert rpc.backend_up() == [ToBackend(b"tcl_notifications on\x1a")]
    rpc.client_bytes(b"target names\x1a")
    note = b"type target_state state halted\r\n\x1a"
    assert said(rpc.backend_bytes(note + b"\x1acpu\x1a")) == [note, b"cpu\x1a"]


@pytest.mark.parametrize("switch", [b"tcl_notifications", b"tcl notifications", b"tcl_trace"])
def test_the_last_word_of_a_switch_counts(switch: bytes) -> None:
    rpc = session(up=False)
    rpc.client_bytes(switch + b" on\x1a")
    rpc.client_bytes(switch + b" off\x1a")
    assert rpc.backend_up() == [ToBackend(switch + b" off\x1a")]


def test_what_the_policy_forbids_is_answered_and_not_passed() -> None:
    rpc = session(denied="`monitor: safe` does not let this line pass")
    assert rpc.client_bytes(b"exec ls\x1a") == [
        ToClient(b"ocdsup: `monitor: safe` does not let this line pass; nothing was executed\x1a")
    ]


@pytest.mark.parametrize(
    "stream",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\nexec rm\x1a",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"$qSupported:xmlRegisters=i386#6a",
        b"x" * (LONGEST + 1),
        b"set a 1\x1a" + b"x" * (LONGEST + 1) + b"\x1a",
        b"a\x1a" * (WAITING_LIMIT + 1),
    ],
    ids=["http", "tls", "gdb", "endless", "too long", "too many"],
)
def test_who_does_not_mean_this_port_is_shown_out(stream: bytes) -> None:
    assert isinstance(session().client_bytes(stream)[-1], Close)


def test_a_web_page_executes_nothing() -> None:
    assert not any(isinstance(out, ToBackend) for out in session().client_bytes(b"POST / HTTP/1.1\r\n\r\nexec rm\x1a"))
