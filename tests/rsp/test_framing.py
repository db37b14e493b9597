"""Framing: whatever the chunks and the damage, the frames are the same and nothing is lost behind them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.rsp.framing import Frame, Framer, Kind, Side, checksum, encode, escape, expand, unescape

BODIES = st.binary(max_size=600).map(escape)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def feed_all(framer: Framer, chunks: list[bytes]) -> list[Frame]:
    return [frame for chunk in chunks for frame in framer.feed(chunk)]


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (b"+", [(Kind.ACK, b"+")]),
        (b"-", [(Kind.NACK, b"-")]),
        (b"\x03", [(Kind.INTERRUPT, b"\x03")]),
        (b"+$g#67", [(Kind.ACK, b"+"), (Kind.PACKET, b"$g#67")]),
        (b"$g#67\x03", [(Kind.PACKET, b"$g#67"), (Kind.INTERRUPT, b"\x03")]),
        (b"$X20000000,1:\x03#74", [(Kind.PACKET, b"$X20000000,1:\x03#74")]),
        (b"$g#68", [(Kind.DAMAGED, b"$g#68")]),
        (b"$g#zz", [(Kind.DAMAGED, b"$g#zz")]),
        (b"hello$g#67", [(Kind.JUNK, b"hello"), (Kind.PACKET, b"$g#67")]),
        (b"$m2000$g#67", [(Kind.JUNK, b"$m2000"), (Kind.PACKET, b"$g#67")]),
        (b"$g#67$?#3f", [(Kind.PACKET, b"$g#67"), (Kind.PACKET, b"$?#3f")]),
        (b"$#00", [(Kind.PACKET, b"$#00")]),
        (b"$g#6", []),
        (b"$g", []),
        (b"$g#+", []),
        (b"%Stop:T05#00", [(Kind.JUNK, b"%Stop:T05#00")]),
    ],
)
def test_client_bytes_become_frames(data: bytes, frames: list[tuple[Kind, bytes]]) -> None:
    """Each sequence of client bytes gives exactly the frames of the table."""
    assert [(f.kind, f.raw) for f in Framer(Side.CLIENT).feed(data)] == frames


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (encode(b"oocd_keepalive:00", b"%") + b"$OK#9a", [Kind.NOTIFICATION, Kind.PACKET]),
        (b"+$OK#9a", [Kind.ACK, Kind.PACKET]),
        (b"%oocd_keepalive:00#11", [Kind.DAMAGED]),
        (b"\x03$OK#9a", [Kind.JUNK, Kind.PACKET]),
    ],
)
def test_server_bytes_become_frames(data: bytes, kinds: list[Kind]) -> None:
    """Notifications exist only from a server, interrupts only from a client."""
    assert [f.kind for f in Framer(Side.SERVER).feed(data)] == kinds


def test_without_acks_checksums_are_not_looked_at() -> None:
    """In no-ack mode a wrong checksum passes untouched, as gdbserver and OpenOCD do."""
    assert Framer(Side.CLIENT, verify=False).feed(b"$g#00") == [Frame(Kind.PACKET, b"$g#00")]


@given(st.lists(st.one_of(BODIES.map(encode), st.sampled_from([b"+", b"-", b"\x03"]))), st.lists(st.integers(0, 10**6)))
def test_chunks_do_not_matter(parts: list[bytes], places: list[int]) -> None:
    """However the stream is cut, the frames are the parts that were sent."""
    frames = feed_all(Framer(Side.CLIENT), cut(b"".join(parts), places))
    assert [frame.raw for frame in frames] == parts
    assert Kind.DAMAGED not in {frame.kind for frame in frames}


@given(st.binary(max_size=300), st.lists(st.integers(0, 10**6)), st.sampled_from(list(Side)))
def test_any_bytes_are_cut_the_same_way_in_any_chunks(data: bytes, places: list[int], side: Side) -> None:
    """For arbitrary bytes, the packets found do not depend on the chunks, and every byte is in a frame or waits."""
    pieces, whole = Framer(side), Framer(side)
    split, joined = feed_all(pieces, cut(data, places)), whole.feed(data)
    assert [f for f in split if f.kind is not Kind.JUNK] == [f for f in joined if f.kind is not Kind.JUNK]
    for framer, frames in ((pieces, split), (whole, joined)):
        assert sum(len(f.raw) for f in frames) + framer.unfinished == len(data)


@given(st.binary(max_size=200), BODIES, st.lists(st.integers(0, 10**6)))
def test_after_junk_the_next_packet_but_one_is_found(junk: bytes, body: bytes, places: list[int]) -> None:
    """Arbitrary junk costs at most the packet it runs into; the one after it is whole."""
    stream = junk + encode(body) + encode(b"vMustReplyEmpty")
    assert feed_all(Framer(Side.CLIENT), cut(stream, places))[-1] == Frame(Kind.PACKET, encode(b"vMustReplyEmpty"))


@given(BODIES, st.integers(0, 10**6), st.integers(1, 255))
def test_one_changed_byte_never_passes_as_another_packet(body: bytes, place: int, flip: int) -> None:
    """One changed byte gives no intact packet other than one that the bytes really spell."""
    raw = bytearray(encode(body))
    raw[place % len(raw)] ^= flip
    for frame in Framer(Side.CLIENT).feed(bytes(raw) + encode(b"?")):
        if frame.kind is Kind.PACKET:
            assert int(frame.raw[-2:], 16) == sum(frame.body) % 256


@pytest.mark.parametrize("step", [1, 7, 4096, 10**6])
def test_a_packet_beyond_the_cap_is_skipped_whole(step: int) -> None:
    """A megabyte packet becomes one oversize frame, keeps no memory, and the packet behind it is found."""
    framer = Framer(Side.CLIENT, limit=1000)
    big = 20_000 if step == 1 else 1_000_000
    stream = b"$" + b"A" * big + b"#00" + b"$?#3f"
    frames, waiting = [], 0
    for at in range(0, len(stream), step):
        frames += framer.feed(stream[at : at + step])
        waiting = max(waiting, framer.unfinished)
    assert [frame.kind for frame in frames] == [Kind.OVERSIZE, Kind.PACKET]
    assert waiting <= 1005


def test_a_body_of_exactly_the_cap_passes_in_any_chunks() -> None:
    """The cap counts the body, at once or byte by byte."""
    raw = encode(b"A" * 98)
    assert [f.kind for f in Framer(Side.CLIENT, limit=101).feed(raw)] == [Kind.PACKET]
    assert [f.kind for f in feed_all(Framer(Side.CLIENT, limit=101), [bytes((b,)) for b in raw])] == [Kind.PACKET]


@given(st.binary(max_size=5000))
def test_the_fast_checksum_is_the_sum(data: bytes) -> None:
    """The blockwise adler32 equals the plain sum for every length."""
    assert checksum(data) == sum(data) % 256


@given(st.binary(max_size=1000))
def test_escapes_are_undone(data: bytes) -> None:
    """What is escaped comes back, by the reading of either side, and holds no frame byte in between."""
    assert unescape(escape(data)) == data
    assert expand(escape(data)) == data
    assert not set(escape(data)) & set(b"#$*")


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"0* ", b"0000"),
        (b'0*"1*"', b"0000001" + b"11111"),
        (b"}\x03*!", b"#####"),
        (b"0*~*~", b"0" * 195),
        (b"a", b"a"),
        (b"", b""),
    ],
)
def test_runs_are_written_out(body: bytes, data: bytes) -> None:
    """Run-length encoding follows the examples of the GDB manual, after escapes too."""
    assert expand(body) == data
