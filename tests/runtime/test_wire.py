"""The stream under every port: what arrives, what is flushed, what is called back and what never."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from ocdsup.runtime import wire
from ocdsup.runtime.wire import Wire
from tests.runtime.gdb_rig import reset, turns

Until = Callable[[Callable[[], object]], Awaitable[None]]
Ends = tuple[socket.socket, socket.socket]
BIG = bytes(range(256)) * 16384  # 4 MiB: more than the kernel takes for a peer that does not read


class Seen:
    """What a wire called back, with an event to wait for each kind."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reasons: list[str] = []
        self.drained = 0
        self._news = asyncio.Event()

    def on_bytes(self, data: bytes) -> None:
        self.data += data
        self._news.set()

    def on_closed(self, reason: str) -> None:
        self.reasons.append(reason)
        self._news.set()

    def on_drained(self) -> None:
        self.drained += 1
        self._news.set()

    async def news(self) -> None:
        """Wait for the next call."""
        await asyncio.wait_for(self._news.wait(), 10)
        self._news.clear()

    async def closed(self) -> str:
        """Wait for the end and return its reason."""
        while not self.reasons:
            await self.news()
        return self.reasons[0]


def loopback() -> Ends:
    """Return both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    far.setblocking(False)
    return near, far


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """The near end, which becomes a wire, and the far end in the hands of the test."""
    near, far = loopback() if request.param == "tcp" else socket.socketpair()
    far.setblocking(False)
    yield near, far
    far.close()
    near.close()


@pytest.fixture
def tcp() -> Iterator[Ends]:
    """The same over TCP only, where a stream can be reset."""
    near, far = loopback()
    yield near, far
    far.close()
    near.close()


def wired(near: socket.socket) -> tuple[Wire, Seen]:
    """Return a wire over `near` and what it calls back."""
    seen = Seen()
    return Wire(near, seen.on_bytes, seen.on_closed, seen.on_drained), seen


async def read_all(sock: socket.socket) -> bytes:
    """Read to the end of the stream."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while part := await asyncio.wait_for(loop.sock_recv(sock, 65536), 10):
        data += part
    return bytes(data)


async def test_bytes_go_both_ways(ends: Ends) -> None:
    """What either side says arrives at the other."""
    near, far = ends
    line, seen = wired(near)
    far.send(b"$qSupported#37")
    await seen.news()
    assert seen.data == b"$qSupported#37"
    line.send(b"+")
    assert far.recv(10) == b"+"
    assert line.backlog == 0
    line.close()
    assert far.recv(10) == b""


async def test_a_packet_is_never_held_back_for_more(tcp: Ends) -> None:
    """Nagle's algorithm is off, and a vanished peer is noticed."""
    near, _ = tcp
    line, _ = wired(near)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    line.abort()


async def test_a_slow_reader_shows_as_backlog_and_its_end_as_drained(ends: Ends) -> None:
    """Whoever bridges two wires can see which side is slow."""
    near, far = ends
    line, seen = wired(near)
    line.send(BIG)
    line.send(b"tail")
    await turns()
    assert line.backlog > 0
    assert seen.drained == 0
    got = bytearray()
    while len(got) < len(BIG) + 4:
        got += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 65536), 10)
    assert got == BIG + b"tail"
    while not seen.drained:
        await seen.news()
    assert (seen.drained, line.backlog) == (1, 0)
    line.close()


async def test_a_paused_wire_leaves_bytes_with_the_peer_until_resumed(ends: Ends) -> None:
    """Pausing pushes back through the kernel instead of collecting in memory."""
    near, far = ends
    line, seen = wired(near)
    line.pause()
    line.pause()
    far.send(b"later")
    await turns()
    assert seen.data == b""
    line.resume()
    line.resume()
    await seen.news()
    assert seen.data == b"later"
    line.close()


async def test_close_delivers_every_byte_to_a_slow_reader(ends: Ends, until: Until) -> None:
    """Closing with a backlog still writes all of it, and only then the end."""
    near, far = ends
    line, seen = wired(near)
    line.send(BIG)
    line.close()
    assert not line.is_open
    assert await read_all(far) == BIG
    far.close()
    await until(lambda: near.fileno() == -1)
    assert seen.reasons == []


async def test_close_delivers_every_byte_to_a_peer_that_goes_on_talking(tcp: Ends, until: Until) -> None:
    """Unread input at close would make the kernel reset the stream and drop what is on its way."""
    near, far = tcp
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
    line, seen = wired(near)
    line.pause()
    line.send(BIG[: 3 * 1024 * 1024])
    far.send(b"+" * 1000)
    line.close()
    far.send(b"+" * 1000)
    await turns()
    assert await read_all(far) == BIG[: 3 * 1024 * 1024]
    far.close()
    await until(lambda: near.fileno() == -1)
    assert not seen.data
    assert not seen.reasons


async def test_a_peer_that_never_takes_the_rest_is_dropped(ends: Ends, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """A closed wire keeps its descriptor for a limited time only."""
    monkeypatch.setattr(wire, "LINGER_S", 0.01)
    near, _ = ends
    line, seen = wired(near)
    line.send(BIG)
    line.close()
    await until(lambda: near.fileno() == -1)
    assert seen.reasons == []


async def test_abort_closes_at_once_whatever_is_left(ends: Ends) -> None:
    """Aborting does not wait for a slow reader."""
    near, _ = ends
    line, seen = wired(near)
    line.send(BIG)
    line.abort()
    line.abort()
    line.close()
    line.send(b"more")
    line.pause()
    line.resume()
    assert near.fileno() == -1
    await turns()
    assert seen.reasons == []


async def test_bytes_that_we_stumble_over_end_the_stream_and_are_reported(ends: Ends) -> None:
    """A debugger that waits for the answer to them would wait for ever."""
    near, far = ends
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    seen = Seen()
    Wire(near, lambda data: seen.on_bytes(data[: 1000000 // (len(data) - 3)]), seen.on_closed, seen.on_drained)
    far.send(b"bad")
    await seen.news()
    assert (bytes(seen.data), seen.reasons) == (b"", ["a fault of ocdsup's own"])
    assert [type(fault["exception"]) for fault in faults] == [ZeroDivisionError]
    assert await read_all(far) == b""


async def test_the_end_of_the_peer_is_told_once_after_its_last_bytes(ends: Ends) -> None:
    """Bytes, then one reason; the wire is closed by then."""
    near, far = ends
    line, seen = wired(near)
    far.send(b"last")
    far.close()
    assert await seen.closed() == "closed by peer"
    await turns()
    assert seen.data == b"last"
    assert (len(seen.reasons), line.is_open, near.fileno()) == (1, False, -1)


async def test_a_peer_that_only_stopped_sending_still_gets_what_was_written(ends: Ends, until: Until) -> None:
    """The last answer reaches a client that closed its sending side (`nc -N`)."""
    near, far = ends
    line, seen = wired(near)
    line.send(BIG)
    far.shutdown(socket.SHUT_WR)
    assert await seen.closed() == "closed by peer"
    assert await read_all(far) == BIG
    await until(lambda: near.fileno() == -1)
    assert len(seen.reasons) == 1


async def test_a_half_close_can_be_told_from_the_end(ends: Ends) -> None:
    """With `on_eof` the wire stays open for answers, and reading again never repeats the news."""
    near, far = ends
    seen = Seen()
    eofs: list[int] = []
    line = Wire(near, seen.on_bytes, seen.on_closed, on_eof=lambda: eofs.append(1))
    far.send(b"status\n")
    far.shutdown(socket.SHUT_WR)
    await seen.news()
    await turns()
    line.resume()
    await turns()
    assert seen.data == b"status\n"
    assert (len(eofs), len(seen.reasons), line.is_open) == (1, 0, True)
    line.send(b"ready")
    line.close()
    assert await read_all(far) == b"ready"


@pytest.mark.parametrize("said", [b"$D#44", BIG], ids=["little", "much"])
async def test_a_half_close_follows_the_last_byte_and_leaves_the_other_way_open(ends: Ends, said: bytes) -> None:
    """The peer gets everything, then the end, and its answer still arrives."""
    near, far = ends
    line, seen = wired(near)
    line.send(said)
    line.half_close()
    assert await read_all(far) == said
    far.send(b"$OK#9a")
    while seen.data != b"$OK#9a":
        await seen.news()
    line.close()


async def test_an_abrupt_end_is_told_with_its_reason(tcp: Ends) -> None:
    """A reset is the end of the stream like any other."""
    near, far = tcp
    _, seen = wired(near)
    reset(far)
    assert await seen.closed() == "Connection reset by peer"
    await turns()
    assert len(seen.reasons) == 1


async def test_a_reset_found_while_writing_is_told_once(tcp: Ends) -> None:
    """However often it is written, a broken stream ends once and never inside `send`."""
    near, far = tcp
    line, seen = wired(near)
    line.pause()
    reset(far)
    for _ in range(3):
        line.send(b"data")
    assert seen.reasons == []
    await seen.closed()
    await turns()
    assert len(seen.reasons) == 1
    assert near.fileno() == -1


async def test_a_reset_found_while_flushing_is_told_once(tcp: Ends) -> None:
    """The same when a backlog was waiting for the peer."""
    near, far = tcp
    line, seen = wired(near)
    line.send(BIG)
    reset(far)
    await seen.closed()
    await turns()
    assert len(seen.reasons) == 1
    line.close()


async def test_a_reset_while_closing_is_told_to_nobody(tcp: Ends, until: Until) -> None:
    """After `close` the wire is silent, and still gives its socket back."""
    near, far = tcp
    line, seen = wired(near)
    line.send(BIG)
    line.close()
    reset(far)
    await until(lambda: near.fileno() == -1)
    await turns()
    assert seen.reasons == []


async def test_last_words_are_read_though_writing_fails_first(tcp: Ends) -> None:
    """A peer that says something and closes is heard, even if our own write notices its end."""
    near, far = tcp
    line, seen = wired(near)
    far.send(b"W00")
    far.close()
    near.shutdown(socket.SHUT_WR)  # so that the next write fails at once
    line.send(b"+")
    await seen.closed()
    assert seen.data == b"W00"


async def test_nothing_is_called_back_after_close_even_when_bytes_wait(ends: Ends, until: Until) -> None:
    """Closing inside `on_bytes` is the end, also with input left; resuming does not undo it."""
    near, far = ends
    heard: list[bytes] = []

    def once(data: bytes) -> None:
        heard.append(data)
        line.close()
        line.resume()

    line = Wire(near, once, lambda reason: heard.append(reason.encode()))
    far.send(b"one")
    await until(lambda: heard)
    assert near.fileno() == -1
    await turns()
    assert heard == [b"one"]


async def test_closing_inside_on_drained_is_the_end(ends: Ends, until: Until) -> None:
    """The callback may close the wire that calls it."""
    near, far = ends
    done = asyncio.Event()

    def drained() -> None:
        line.close()
        done.set()

    line = Wire(near, lambda _: None, lambda _: None, drained)
    line.send(BIG)
    assert await read_all(far) == BIG
    await asyncio.wait_for(done.wait(), 10)
    far.close()
    await until(lambda: near.fileno() == -1)


async def test_writing_inside_on_drained_goes_on(ends: Ends) -> None:
    """A sender may refill from the callback."""
    near, far = ends
    rounds: list[int] = []

    def drained() -> None:
        rounds.append(1)
        if len(rounds) < 3:
            line.send(BIG)
        else:
            line.close()

    line = Wire(near, lambda _: None, lambda _: None, drained)
    line.send(BIG)
    assert await read_all(far) == BIG * 3
    assert len(rounds) == 3


async def test_connecting_gives_a_prompt_socket_or_an_error_and_leaks_nothing() -> None:
    """A refused connect raises OSError."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with await wire.connect("127.0.0.1", port) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()
    with pytest.raises(ConnectionRefusedError):
        await wire.connect("127.0.0.1", port)


@pytest.mark.parametrize("at", ["127.0.0.1", "::1"])
async def test_localhost_is_where_the_server_is(at: str) -> None:
    """gdbserver 13.1 listens at the first address of `localhost` only, which may be ::1."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with (
        socket.create_server((at, 0), family=family) as server,
        await wire.connect("localhost", server.getsockname()[1]) as sock,
    ):
        assert sock.getpeername()[0] == at


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of the last one."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        assert host == "board.example"
        return [(family, 1, 6, "", (at, port)) for family, at in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with await wire.connect("board.example", port) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        await wire.connect("board.example", port)


async def test_a_cancelled_connect_leaves_no_socket_behind() -> None:
    """Cancelling while the other side does not answer gives the descriptor back."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first = socket.create_connection(full.getsockname())  # the backlog is full now
        second = socket.socket()
        second.setblocking(False)
        second.connect_ex(full.getsockname())
        dialling = asyncio.ensure_future(wire.connect(*full.getsockname()))
        await turns()
        assert not dialling.done()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        first.close()
        second.close()
