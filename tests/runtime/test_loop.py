"""The loop with the short way for streams: it serves them like asyncio's own, and never starves anything for it."""

import asyncio
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ocdsup.runtime.loop import StreamLoop, StreamSelector
from ocdsup.runtime.wire import Wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    yield near, far
    near.close()
    far.close()


@pytest.fixture
def loop() -> Iterator[StreamLoop]:
    made = StreamLoop()
    yield made
    made.close()


def pingpong(loop: StreamLoop, pair: Pair, done: Callable[[int], bool]) -> list[int]:
    """Two streams that pass a byte to and fro until `done` of the count; returns the count as it grows."""
    count = [0]

    def pass_on(here: socket.socket) -> None:
        data = here.recv(1)
        count[0] += 1
        if not done(count[0]):
            here.send(data)

    for end in pair:
        loop.add_stream(end.fileno(), lambda end=end: pass_on(end))  # type: ignore[misc]  # mypy 1: default of a lambda
    pair[0].send(b"x")
    return count


def test_streams_are_served_without_a_turn_of_the_loop(loop: StreamLoop, pair: Pair) -> None:
    turns = 0

    async def wait() -> None:
        over = loop.create_future()

        def done(count: int) -> bool:
            if count >= 1000 and not over.done():
                over.set_result(None)
            return count >= 1000

        count = pingpong(loop, pair, done)
        process = loop._process_events  # type: ignore[attr-defined]  # what every turn calls

        def counted(events: object) -> None:
            nonlocal turns
            turns += 1
            process(events)

        loop._process_events = counted  # type: ignore[attr-defined]  # likewise
        await asyncio.wait_for(over, 10)
        assert count[0] >= 1000

    loop.run_until_complete(wait())
    assert turns < 20


@pytest.mark.parametrize("wake", ["timer", "soon", "thread", "reader"])
def test_busy_streams_never_keep_the_loop_from_anything_else(loop: StreamLoop, pair: Pair, wake: str) -> None:
    async def wait() -> None:
        over = asyncio.Event()
        here, there = socket.socketpair()
        count = pingpong(loop, pair, lambda _n: over.is_set())
        match wake:
            case "timer":
                loop.call_later(0.01, over.set)
            case "soon":
                loop.call_later(0.01, loop.call_soon, over.set)
            case "thread":
                await loop.run_in_executor(None, lambda: loop.call_soon_threadsafe(over.set))
            case _:
                loop.add_reader(here.fileno(), over.set)
                there.send(b"x")
        await asyncio.wait_for(over.wait(), 10)
        loop.remove_reader(here.fileno())
        here.close()
        there.close()
        assert count[0] > 0

    loop.run_until_complete(wait())


@pytest.mark.parametrize("way", ["call_soon", "call_later"])
def test_what_a_stream_schedules_is_done_though_nothing_else_happens(loop: StreamLoop, pair: Pair, way: str) -> None:
    async def wait() -> None:
        over = asyncio.Event()

        def read() -> None:
            pair[0].recv(1)
            loop.call_soon(over.set) if way == "call_soon" else loop.call_later(0.001, over.set)

        loop.add_stream(pair[0].fileno(), read)
        loop.call_later(0.001, pair[1].send, b"x")  # then the loop has nothing to do but to wait for the stream
        rescued: list[str] = []
        loop.call_later(10, rescued.append, "by a timer")
        await over.wait()
        assert rescued == []

    loop.run_until_complete(wait())


def test_an_error_in_a_stream_is_reported_and_ends_nothing(loop: StreamLoop, pair: Pair) -> None:
    seen: list[dict[str, Any]] = []

    async def wait() -> None:
        reported = asyncio.Event()

        def report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            seen.append(context)
            reported.set()

        loop.set_exception_handler(report)
        over = asyncio.Event()

        def read() -> None:
            if pair[0].recv(1) == b"2":
                over.set()
            else:
                raise ValueError("one")

        loop.add_stream(pair[0].fileno(), read)
        pair[1].send(b"1")
        await asyncio.wait_for(reported.wait(), 10)
        pair[1].send(b"2")
        await asyncio.wait_for(over.wait(), 10)

    loop.run_until_complete(wait())
    assert [str(context["exception"]) for context in seen] == ["one"]


@pytest.mark.parametrize("writing", [False, True])
def test_a_stream_that_is_not_read_any_more_is_left_alone(loop: StreamLoop, pair: Pair, writing: bool) -> None:
    async def wait() -> None:
        number = pair[0].fileno()
        loop.add_stream(number, lambda: pytest.fail("called"))
        if writing:
            loop.add_writer(number, lambda: None)
        assert loop.remove_reader(number)
        pair[1].send(b"x")
        for _ in range(5):
            await asyncio.sleep(0)
        loop.remove_writer(number)

    loop.run_until_complete(wait())


def test_a_stream_may_close_another_that_is_ready_in_the_same_round(loop: StreamLoop, pair: Pair) -> None:
    async def wait() -> None:
        served: list[int] = []

        def read(own: int, other: int) -> None:
            served.append(own)
            loop.remove_reader(own)
            loop.remove_reader(other)

        first, second = pair[0].fileno(), pair[1].fileno()
        loop.add_stream(first, lambda: read(first, second))
        loop.add_stream(second, lambda: read(second, first))
        pair[0].send(b"x")
        pair[1].send(b"x")
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(served) == 1

    loop.run_until_complete(wait())


def test_the_end_of_a_stream_is_told_like_a_read(loop: StreamLoop, pair: Pair) -> None:
    reads: list[bytes] = []

    async def wait() -> None:
        over = asyncio.Event()

        def read() -> None:
            reads.append(pair[0].recv(1))
            if not reads[-1]:
                over.set()
                loop.remove_reader(pair[0].fileno())

        loop.add_stream(pair[0].fileno(), read)
        pair[1].send(b"x")
        pair[1].close()
        await asyncio.wait_for(over.wait(), 10)

    loop.run_until_complete(wait())
    assert reads == [b"x", b""]


@pytest.mark.parametrize("size", [1, 4 << 20])
def test_a_wire_on_it_loses_nothing_when_its_reader_is_slow_and_pauses(loop: StreamLoop, pair: Pair, size: int) -> None:
    sent = bytes(range(256)) * (size // 256) or b"x"

    async def echo() -> bytes:
        over: asyncio.Future[str] = loop.create_future()
        far = Wire(pair[1], lambda data: pausing(far, data), lambda _reason: None)
        back = bytearray()

        def pausing(wire: Wire, data: bytes) -> None:
            wire.send(data)
            wire.pause()
            loop.call_soon(wire.resume)

        def take(data: bytes) -> None:
            back.extend(data)
            if len(back) == len(sent):
                far.close()

        near = Wire(pair[0], take, over.set_result)
        near.send(sent)
        assert await asyncio.wait_for(over, 30) == "closed by peer"
        return bytes(back)

    assert loop.run_until_complete(echo()) == sent


@pytest.fixture
def selector() -> Iterator[StreamSelector]:
    made = StreamSelector(lambda error: pytest.fail(str(error)))
    yield made
    made.close()


def test_the_selector_keeps_the_rules_of_the_standard_ones(selector: StreamSelector, pair: Pair) -> None:
    near, far = pair
    assert selector.select(0) == []
    key = selector.register(near, selectors.EVENT_READ, "mine")
    assert (key.fileobj, key.fd, key.data) == (near, near.fileno(), "mine")
    with pytest.raises(KeyError):
        selector.register(near, selectors.EVENT_READ)
    assert selector.select(0) == []
    far.send(b"x")
    assert selector.select(0) == [(key, selectors.EVENT_READ)]
    both = selector.modify(near, selectors.EVENT_READ | selectors.EVENT_WRITE, "more")
    assert selector.select(0) == [(both, selectors.EVENT_READ | selectors.EVENT_WRITE)]
    assert selector.get_key(near) == selector.get_map()[near.fileno()] == both
    assert selector.unregister(near) == both
    with pytest.raises(KeyError):
        selector.get_key(near)
    with pytest.raises(KeyError):
        selector.unregister(near)


def test_a_descriptor_that_was_closed_first_can_be_unregistered(selector: StreamSelector) -> None:
    near, far = socket.socketpair()
    number = near.fileno()
    selector.register(number, selectors.EVENT_READ)
    near.close()
    far.close()
    selector.unregister(number)
    assert selector.get_map() == {}


def test_a_stream_that_is_written_to_as_well_is_served_in_the_loops_own_turn(loop: StreamLoop, pair: Pair) -> None:
    """What is written comes first there, and nothing that was read is lost."""
    seen: list[str] = []

    async def wait() -> None:
        over = asyncio.Event()

        def read(way: str) -> None:
            seen.append(f"{way} {pair[0].recv(1).decode()}")
            over.set()

        loop.add_stream(pair[0].fileno(), lambda: read("turn"))
        loop.hasten(pair[0].fileno(), lambda: read("at once"))
        for byte, writing in ((b"1", True), (b"2", False)):
            over.clear()
            if writing:
                loop.add_writer(pair[0].fileno(), lambda: seen.append("write") if "write" not in seen else None)
            else:
                loop.remove_writer(pair[0].fileno())
            pair[1].send(byte)
            await asyncio.wait_for(over.wait(), 10)
        loop.remove_reader(pair[0].fileno())

    loop.run_until_complete(wait())
    assert [one for one in seen if one != "write"] == ["turn 1", "at once 2"]
    assert "write" in seen
