"""Packets: each request has one name, one kind of answer, and one verdict on sending it twice."""

import pytest

from ocdsup.rsp import packets
from ocdsup.rsp.packets import Answer, Group, Point


@pytest.mark.parametrize(
    ("body", "name", "group", "answer"),
    [
        (b"?", "?", Group.READ, Answer.ONE),
        (b"g", "g", Group.READ, Answer.ONE),
        (b"m20000000,4", "m", Group.READ, Answer.ONE),
        (b"vCont?", "vCont?", Group.QUERY, Answer.ONE),
        (b"vCont;c", "vCont", Group.RESUME, Answer.STOP),
        (b"vCont;r8000000,8000010:p1.1;c", "vCont", Group.RESUME, Answer.STOP),
        (b"c", "c", Group.RESUME, Answer.STOP),
        (b"qRcmd,72", "qRcmd", Group.MONITOR, Answer.TEXT),
        (b"qXfer:features:read:target.xml:0,ffb", "qXfer", Group.QUERY, Answer.ONE),
        (b"qC", "qC", Group.QUERY, Answer.ONE),
        (b"qCRC:0,10", "qCRC", Group.READ, Answer.ONE),
        (b"qSupported:multiprocess+", "qSupported", Group.QUERY, Answer.ONE),
        (b"QStartNoAckMode", "QStartNoAckMode", Group.SESSION, Answer.ONE),
        (b"vFlashWrite:8000000:\x01\x02", "vFlashWrite", Group.FLASH, Answer.ONE),
        (b"k", "k", Group.SESSION, Answer.NONE),
        (b"R00", "R", Group.SESSION, Answer.NONE),
        (b"vNonsense", "unknown", Group.OTHER, Answer.ONE),
        (b"jThreadsInfo", "unknown", Group.OTHER, Answer.ONE),
        (b"\xff", "unknown", Group.OTHER, Answer.ONE),
        (b"", "unknown", Group.OTHER, Answer.ONE),
    ],
)
def test_a_request_has_its_name(body: bytes, name: str, group: Group, answer: Answer) -> None:
    """The first bytes of a body decide its row."""
    row = packets.name(body)
    assert (row.name, row.group, row.answer) == (name, group, answer)


def test_nothing_of_a_flash_transaction_or_a_resume_is_ever_sent_twice() -> None:
    """OpenOCD 0.12 crashes on a `vFlashDone` it has no image for, and a step sent twice is two steps."""
    rows = [*packets.LETTERS.values(), *packets.WORDS.values()]
    unsafe = {Group.FLASH, Group.RESUME, Group.MONITOR}
    assert {row.name for row in rows if row.group in unsafe and row.again} == set()


@pytest.mark.parametrize(
    ("body", "point"),
    [
        (b"Z0,20000100,2", Point(0, 0x20000100, 2)),
        (b"z1,8000234,2", Point(1, 0x8000234, 2)),
        (b"Z1,8000234,2;X3,220027", Point(1, 0x8000234, 2)),
        (b"Z2,20000000,4", Point(2, 0x20000000, 4)),
        (b"Z5,20000000,4", Point(5, 0x20000000, 4)),
        (b"Z1,8000234", None),
        (b"Z1", None),
        (b"Zx,1,2", None),
    ],
)
def test_a_point_is_read_without_its_conditions(body: bytes, point: Point | None) -> None:
    """`Z` and `z` name the same point; malformed ones give None."""
    assert packets.point_of(body) == point


@pytest.mark.parametrize(
    ("body", "span"),
    [(b"m20000000,10", (0x20000000, 16)), (b"X0,0:", (0, 0)), (b"M4,1:ff", (4, 1)), (b"m1", None), (b"m1,2,3", None)],
)
def test_a_span_is_address_and_length(body: bytes, span: tuple[int, int] | None) -> None:
    """Memory requests give address and length; malformed ones give None."""
    assert packets.span_of(body) == span


@pytest.mark.parametrize(
    ("body", "piece"),
    [
        (b"qXfer:features:read:target.xml:0,ffb", (b"qXfer:features:read:target.xml", 0)),
        (b"qXfer:memory-map:read::1ff,4", (b"qXfer:memory-map:read:", 0x1FF)),
        (b"qXfer:features:read:target.xml:zz,ffb", None),
        (b"qXfer:spu:write:7:0:data", None),
        (b"qXfer:features", None),
        (b"qXfer:threads:read::,", None),
    ],
)
def test_a_piece_is_what_is_read_and_from_where(body: bytes, piece: tuple[bytes, int] | None) -> None:
    """Reads give object, annex and offset; writes and malformed ones give None."""
    assert packets.piece_of(body) == piece


def test_text_goes_through_console_packets_and_monitor_requests_unharmed() -> None:
    """Console text and monitor lines come back as they were; `OK` is no console packet."""
    assert packets.text_of(packets.text_packet("halted ä\n")) == "halted ä\n"
    assert packets.monitor_line(packets.monitor_request("reset halt")) == "reset halt"
    assert packets.text_of(b"OK") is None
    assert packets.text_of(b"Oxyz") is None
    assert packets.monitor_line(b"qRcmd,0") is None


@pytest.mark.parametrize(("reply", "error"), [(b"E01", True), (b"E.no", True), (b"E0011223", False), (b"OK", False)])
def test_an_error_is_told_from_hex_data(reply: bytes, error: bool) -> None:
    """Hex data may begin with E; only three characters or `E.` make an error."""
    assert packets.is_error(reply) is error


@pytest.mark.parametrize(
    ("body", "step"), [(b"s", True), (b"vCont;s:1;c", True), (b"vCont;r8,9:1", True), (b"c", False), (b"vCont;c", False)]
)
def test_steps_are_told_from_continues(body: bytes, step: bool) -> None:
    """The first action of a resume request says whether it steps."""
    assert packets.steps(body) is step
