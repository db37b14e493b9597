"""Lines and messages are two forms of one thing; junk is refused and never an exception."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.control.protocol import LINE_LIMIT, Event, Refused, Reply, Request, Requests, decode, encode, encode_request, parse
from ocdsup.errors import ControlError


def test_a_request_survives_the_trip() -> None:
    request = Request(7, "restart", "nucleo", {"under_reset": True})
    (again,) = Requests().feed(encode_request(request))
    assert again == request
    assert isinstance(again, Request)
    assert again.row.acts


def test_bench_and_args_may_be_left_out() -> None:
    assert parse(b'{"id": "a", "verb": "status"}') == Request("a", "status")


@pytest.mark.parametrize("answer", [Reply(1, {"a": [1, None]}), Reply("x", None), Event(2, {"line": "a\nb\u2028c"})])
def test_an_answer_is_one_line_and_survives_the_trip(answer: Reply | Event) -> None:
    line = encode(answer)
    assert line.count(b"\n") == 1
    assert decode(line) == answer


def test_an_error_keeps_code_text_and_hint() -> None:
    line = encode(Reply(1, error=ControlError("refused", "stop nucleo", "flash runs", "wait")))
    assert json.loads(line) == {
        "id": 1,
        "ok": False,
        "error": {"code": "refused", "text": "cannot stop nucleo: flash runs", "hint": "wait"},
    }
    again = decode(line)
    assert isinstance(again, Reply)
    assert again.error is not None
    assert str(again.error) == "cannot stop nucleo: flash runs; wait"


@pytest.mark.parametrize(
    ("line", "name", "code"),
    [
        (b"", None, "bad-request"),
        (b"\xff\xfe", None, "bad-request"),
        (b"status", None, "bad-request"),
        (b"[1]", None, "bad-request"),
        (b"[" * 60_000, None, "bad-request"),
        (b'{"id": 1, "id": 2, "verb": "status"}', None, "bad-request"),
        (b'{"verb": "status"}', None, "bad-request"),
        (b'{"id": true, "verb": "status"}', None, "bad-request"),
        (b'{"id": 1.5, "verb": "status"}', None, "bad-request"),
        (b'{"id": "' + b"x" * 65 + b'", "verb": "status"}', None, "bad-request"),
        (b'{"id": ' + b"9" * 5000 + b', "verb": "status"}', None, "bad-request"),
        (b'{"id": 1, "verb": "status", "x": 1}', 1, "bad-request"),
        (b'{"id": 1, "verb": ["status"]}', 1, "bad-request"),
        (b'{"id": 1, "verb": "status", "bench": 3}', 1, "bad-request"),
        (b'{"id": 1, "verb": "status", "args": null}', 1, "bad-request"),
        (b'{"id": 1, "verb": "wait", "bench": "a", "args": {"timeout": NaN}}', None, "bad-request"),
        (b'{"id": 1, "verb": "wait", "bench": "a", "args": {"timeout": 1e999}}', 1, "bad-argument"),
        (b'{"id": 1, "verb": "exec"}', 1, "unknown-verb"),
    ],
)
def test_what_is_no_request_is_refused(line: bytes, name: object, code: str) -> None:
    refused = parse(line)
    assert isinstance(refused, Refused)
    assert (refused.id, refused.error.code) == (name, code)
    assert json.loads(encode(refused))["ok"] is False


GOOD = encode_request(Request(1, "status"))


def test_a_line_over_the_limit_is_refused_once_and_the_next_line_is_read() -> None:
    found = Requests().feed(b"x" * (3 * LINE_LIMIT) + b"\n" + GOOD)
    assert isinstance(found[0], Refused)
    assert found[1:] == [Request(1, "status")]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    padded = GOOD[:-1] + b" " * (LINE_LIMIT - len(GOOD)) + b"\n"
    assert len(padded) == LINE_LIMIT
    assert Requests().feed(padded) == [Request(1, "status")]


BYTES = st.lists(st.sampled_from([GOOD, b"\n", b"\r", b"{", b'{"id":1}', b"\x00", b"\xff"]) | st.binary(max_size=5)).map(
    b"".join
)


@settings(deadline=None)
@given(BYTES, st.integers(1, 9))
def test_chunking_changes_nothing(data: bytes, size: int) -> None:
    def run(parts: list[bytes]) -> list[str]:
        requests = Requests()
        return [repr(found) for part in parts for found in requests.feed(part)]

    assert run([data[at : at + size] for at in range(0, len(data), size)]) == run([data])


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=30_000), max_size=8))
def test_junk_never_raises_and_the_connection_goes_on(parts: list[bytes]) -> None:
    requests = Requests()
    for part in parts:
        requests.feed(part)
    assert requests.feed(b"\n" + GOOD)[-1] == Request(1, "status")


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"3", b'{"id":1}', b'{"id":1,"ok":true}', b'{"id":1,"ok":false,"error":3}', b"\xff"]
)
def test_an_answer_that_is_none_is_an_error_of_the_tree(line: bytes) -> None:
    with pytest.raises(ControlError, match="no answer"):
        decode(line)
