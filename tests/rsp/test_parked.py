"""A session goes through bytes unharmed, goes on where it was, and bytes that are anything else are refused."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocdsup.rsp.framing import encode as frame
from ocdsup.rsp.learned import Learned
from ocdsup.rsp.outputs import News, Notice, Output, ToClient
from ocdsup.rsp.packets import Point
from ocdsup.rsp.parked import SLOT, Parked, Recorder, RecordError, decode, encode, newest, park, resume
from ocdsup.rsp.policy import BackendUp
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.shadow import Flash, Shadow

POINTS = st.builds(Point, st.integers(0, 4), st.integers(0, 2**32), st.integers(0, 8))
BYTES = st.binary(max_size=20)
LEARNED = st.builds(
    Learned,
    st.dictionaries(BYTES, BYTES),
    st.dictionaries(st.integers(0, 9), BYTES),
    st.dictionaries(st.integers(0, 9), st.integers(0, 99)),
)
SHADOWS = st.builds(
    Shadow,
    learned=LEARNED,
    supported=st.none() | BYTES,
    no_ack=st.booleans(),
    attached=st.booleans(),
    threads=st.dictionaries(BYTES, BYTES),
    points=st.dictionaries(POINTS, st.none()),
    under=st.dictionaries(POINTS, BYTES),
    registers=st.dictionaries(BYTES, BYTES),
    all_registers=st.none() | BYTES,
    unsettled=st.none() | BYTES,
    settings=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
    resume=st.none() | BYTES,
    flash=st.sampled_from(Flash),
    untold=st.text(max_size=20),
)
SESSIONS = st.builds(Parked, SHADOWS, st.tuples(BYTES, BYTES), BYTES, st.booleans(), st.booleans())


@given(SESSIONS, st.integers(0, 10**8 - 1), st.binary(max_size=50))
def test_what_was_written_is_what_is_read(parked: Parked, generation: int, behind: bytes) -> None:
    """Whatever an older, longer record left behind it in the slot."""
    assert decode(encode(parked, generation) + behind) == (parked, generation)


@given(SESSIONS, st.data())
def test_a_byte_that_changed_is_noticed(parked: Parked, data: st.DataObject) -> None:
    """A process that was killed while it wrote; never a session that is a little wrong."""
    record = bytearray(encode(parked, 7))
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(record))
    except RecordError:
        return
    assert found[0] == parked  # only the generation is outside the checksum


@given(SESSIONS, st.data())
def test_a_record_that_was_cut_is_noticed(parked: Parked, data: st.DataObject) -> None:
    record = encode(parked, 7)
    with pytest.raises(RecordError):
        decode(record[: data.draw(st.integers(0, len(record) - 1))])


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_being_refused(junk: bytes) -> None:
    with pytest.raises(RecordError):
        decode(junk)


def changed(change: Callable[[dict[str, object]], object], version: int = 1) -> bytes:
    """A record with a good checksum and a changed tree."""
    whole = encode(Parked(Shadow()), 1)
    head, _, text = whole.partition(b"\n")
    tree = json.loads(text)
    change(tree)
    text = json.dumps(tree).encode()
    numbers = b"%08d %08d %08d %08x" % (version, 1, len(text), zlib.crc32(text))
    return head[: -len(numbers)] + numbers + b"\n" + text


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.pop("asks"),
        lambda tree: tree.update(more=1),
        lambda tree: tree["shadow"].pop("resume"),
        lambda tree: tree["shadow"].update(mood="good"),
        lambda tree: tree["shadow"].update(no_ack=1),
        lambda tree: tree["shadow"].update(flash="maybe"),
        lambda tree: tree["shadow"].update(points=[[{"type": 1, "address": 2}, None]]),
        lambda tree: tree["shadow"].update(supported="\u0416"),
        lambda tree: tree["shadow"].update(registers=[[1, ""]]),
        lambda tree: tree["shadow"].update(threads=7),
        lambda tree: tree.update(shadow=None),
        lambda tree: tree.pop("learned"),
    ],
)
def test_another_ocdsups_idea_of_a_session_is_refused(change: Callable[[dict[str, object]], object]) -> None:
    """Newer or older: a field more, a field less, another type."""
    with pytest.raises(RecordError):
        decode(changed(change))


def test_another_version_is_refused_by_its_number() -> None:
    assert decode(changed(lambda tree: None))[1] == 1
    with pytest.raises(RecordError, match="version 2, this is 1"):
        decode(changed(lambda tree: None, version=2))


def test_the_younger_good_slot_counts() -> None:
    old, young = encode(Parked(Shadow(untold="old")), 7), encode(Parked(Shadow(untold="young")), 8)
    assert newest([old, young])[0].shadow.untold == newest([young, old])[0].shadow.untold == "young"
    assert newest([old, young[:-1]])[0].shadow.untold == "old"
    with pytest.raises(RecordError):
        newest([b"", young[:-1]])


def test_a_session_too_large_for_a_slot_is_refused() -> None:
    with pytest.raises(RecordError, match="bytes"):
        encode(Parked(Shadow(untold="x" * SLOT)), 1)


def test_records_go_into_both_slots_in_turn_and_hold_what_was_learned_since() -> None:
    """The text of the description is kept between two records, and made again when there is more of it."""
    proxy, recorder = Proxy(), Recorder()
    slots = {}
    for reply in (b"a", b"b", b"c"):
        slot, record = recorder.record(proxy)
        slots[slot] = record
        proxy.shadow.learned.replies[reply] = reply
    assert set(slots) == {0, 1}
    assert newest(list(slots.values()))[0].shadow.learned.replies == {b"a": b"a", b"b": b"b"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SHADOWS, min_size=2, max_size=3), st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=3, max_size=3))
def test_a_record_is_the_same_as_if_there_had_been_none_before_it(shadows: list[Shadow], rest: list[tuple[bool, int]]) -> None:
    """Whatever the one before it was: the text of a field is taken over only when the field has not changed."""
    proxy, recorder = Proxy(), Recorder()
    for shadow, (interrupted, taken) in zip(shadows, rest, strict=False):
        for field in fields(Shadow):
            if field.name != "learned":
                setattr(proxy.shadow, field.name, getattr(shadow, field.name))
        proxy._session.interrupted = interrupted
        record = recorder.record(proxy, taken, 7)[1]
        assert record == encode(park(proxy, taken, 7), recorder.generation)


def test_a_record_sees_what_changed_inside_of_a_mapping() -> None:
    proxy, recorder = Proxy(), Recorder()
    for points in ({Point(1, 2, 2): None}, {}):
        proxy.shadow.points.clear()
        proxy.shadow.points.update(points)
        assert decode(recorder.record(proxy)[1])[0] == park(proxy)


def test_no_two_fields_of_a_record_have_one_name() -> None:
    names = [field.name for field in (*fields(Parked), *fields(Shadow))]
    assert len(names) == len(set(names))


def attached(*, no_ack: bool = True) -> Proxy:
    """A session that is halted at a breakpoint, as far as GDB knows, with its backend there."""
    proxy = Proxy()
    proxy.client_open(0)
    proxy.shadow.attached, proxy.shadow.no_ack = True, no_ack
    proxy._greeting.meet()
    proxy._session.client.acks = not no_ack
    proxy.shadow.points[Point(1, 0x8000100, 2)] = None
    return proxy


def said(outputs: list[Output]) -> bytes:
    return b"".join(output.data for output in outputs if isinstance(output, ToClient))


def news(outputs: list[Output]) -> list[News]:
    return [output.news for output in outputs if isinstance(output, Notice)]


def moved(proxy: Proxy) -> tuple[Proxy, list[Output]]:
    """The same session in another process."""
    fresh = Proxy()
    return fresh, resume(fresh, decode(encode(park(proxy), 1))[0], 100.0)


@pytest.mark.parametrize("running", [False, True])
def test_the_new_process_knows_whether_the_program_runs(running: bool) -> None:
    proxy = attached()
    proxy.shadow.resume = b"vCont;c" if running else None
    fresh, outputs = moved(proxy)
    assert news(outputs) == [News.SESSION, News.RUNNING if running else News.HALTED]
    assert said(outputs) == b""
    assert fresh.shadow.points == proxy.shadow.points


def test_a_request_that_may_be_asked_twice_waits_for_the_next_backend() -> None:
    """GDB asked for memory when the process was killed: it gets its answer, late but right."""
    proxy = attached()
    proxy.client_bytes(frame(b"m20000000,4"), 1)
    fresh, outputs = moved(proxy)
    assert said(outputs) == b""
    sent = fresh.backend_ready(BackendUp(halted=True), 101.0)
    assert fresh.next_deadline() is not None
    assert said(sent) == b""
    assert park(fresh).asks == (frame(b"m20000000,4"),)


def test_a_request_that_must_not_be_repeated_is_answered_with_an_error() -> None:
    """A write to flash memory that was under way: never sent again."""
    proxy = attached()
    proxy._backlog.clear()
    raw = frame(b"vFlashWrite:8000000:abc")
    parked = Parked(proxy.shadow, asks=(raw,))
    fresh = Proxy()
    assert said(resume(fresh, parked, 1.0)).startswith(b"$E")
    assert park(fresh).asks == ()


def test_half_a_packet_is_completed_by_its_other_half() -> None:
    proxy = attached()
    whole = frame(b"m20000000,4")
    proxy.client_bytes(whole[:5], 1)
    fresh, _ = moved(proxy)
    fresh.client_bytes(whole[5:], 101)
    assert park(fresh).asks == (whole,)


def test_acknowledgements_stay_as_they_were_agreed() -> None:
    for no_ack in (False, True):
        fresh, _ = moved(attached(no_ack=no_ack))
        assert said(fresh.client_bytes(frame(b"m20000000,4"), 101)) == (b"" if no_ack else b"+")


def test_a_monitor_line_that_was_ours_is_answered() -> None:
    proxy = attached()
    proxy.client_bytes(frame(b"qRcmd," + b"ocdsup why".hex().encode()), 1)
    _, outputs = moved(proxy)
    assert b"$OK#9a" in said(outputs)


def test_every_field_of_a_shadow_comes_along() -> None:
    """One that is added later cannot be forgotten: it is written because it is a field."""
    tree = json.loads(encode(Parked(Shadow()), 1).partition(b"\n")[2])
    assert set(tree["shadow"]) | {"learned"} == {field.name for field in fields(Shadow)}
