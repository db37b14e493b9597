"""What passes from socket to socket without a look, and what the session still hears of it."""

import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.parked import Parked
from ocdsup.rsp.policy import Policy, SecondClient
from ocdsup.rsp.shadow import Shadow
from ocdsup.runtime.account import Balance, Moved
from ocdsup.runtime.fd_store import Kept
from ocdsup.runtime.gdb_session import GdbSession
from ocdsup.runtime.lane import SLOW
from tests.runtime.gdb_rig import HELLO, Bench, Until, attached, packets, send, turns

READ, STEP, STOP = encode(b"m20000000,4"), encode(b"vCont;s:p1.1"), encode(b"T05thread:p1.1;")
NO_ACKS = encode(b"QStartNoAckMode")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A port and a server behind it."""
    made = Bench()
    made.up()
    yield made
    await made.close()


async def past_the_negotiation(bench: Bench, until: Until) -> tuple[socket.socket, socket.socket, GdbSession]:
    """Return a client, its server and its session, in front of any server, when nobody acknowledges packets any more."""
    client, upstream = await attached(bench, until)
    await send(client, b"+" + NO_ACKS)
    assert await packets(upstream, 1) == [NO_ACKS]
    await send(upstream, b"+" + encode(b"OK"))
    assert await packets(client, 1) == [encode(b"OK")]
    await send(client, b"+")
    (session,) = bench.port._sessions
    await until(lambda: session._proxy.shortcut() is not None)
    return client, upstream, session


async def openocd_says(upstream: socket.socket, until_asked: bytes) -> None:
    """Answer as OpenOCD with a halted core does, up to a request that is left without an answer."""
    while (request := (await packets(upstream, 1))[0]) != until_asked:
        if request.startswith(b"$qRcmd,"):
            await send(upstream, encode(b"O" + b"halted\n".hex().encode()) + encode(b"OK"))
        else:
            await send(upstream, encode(b"S05" if request == encode(b"?") else b"OK"))


def unheard(session: GdbSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may reach the session itself from now on."""
    monkeypatch.setattr(session, "asked", lambda data, _now: pytest.fail(f"looked at {data!r}"))
    monkeypatch.setattr(session, "answered", lambda data: pytest.fail(f"looked at {data!r}"))


async def test_a_session_that_was_taken_up_is_not_idle_at_once(bench: Bench) -> None:
    """With `takeover`, who typed a second before the daemon was restarted would lose his place to the next who asks."""
    bench.with_policy(replace(Policy(), second_client=SecondClient.TAKEOVER, idle_after=20.0))
    ours, theirs = socket.socketpair()
    with theirs, os.fdopen(os.memfd_create("record")) as record:
        parked = Parked(Shadow(attached=True, no_ack=True))
        bench.port.adopt(Kept("kept", ours, record.fileno(), parked, 1, Balance(Moved(0, 0))))
        (session,) = bench.port._sessions
        assert not session.idle
        session._lane.heard -= 20.0
        assert session.idle


async def test_a_step_and_a_read_pass_without_a_look(bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    client, upstream, session = await past_the_negotiation(bench, until)
    unheard(session, monkeypatch)
    for request, answer in ((STEP, STOP), (READ, encode(b"00010203")), (STEP, STOP)):
        await send(client, request)
        assert await packets(upstream, 1) == [request]
        await send(upstream, answer)
        assert await packets(client, 1) == [answer]


async def test_a_mistake_of_ours_about_a_packet_ends_the_session_that_would_wait_for_its_answer(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, upstream, session = await past_the_negotiation(bench, until)
    reported: list[object] = []
    session._loop.set_exception_handler(lambda _loop, context: reported.append(context["message"]))

    def fails(*_of: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr(session._proxy.shadow.__class__, "stands", fails)
    await send(client, STEP)
    assert await packets(upstream, 1) == [STEP]
    await send(upstream, STOP)
    await until(lambda: reported)
    assert reported == ["bytes that could not be dealt with"]
    await until(lambda: session._up is None or not session._up.is_open)


async def test_what_a_full_socket_does_not_take_follows_in_order(bench: Bench, until: Until) -> None:
    """A write that is larger than the kernel's room, and the next answer behind it."""
    client, upstream, _ = await past_the_negotiation(bench, until)
    answer, last = encode(b"5a" * 0x180000), encode(b"00010203")
    for reply in (answer, last):
        await send(client, READ)
        assert await packets(upstream, 1) == [READ]
        await send(upstream, reply)
    assert await packets(client, 2) == [answer, last]


async def test_the_port_hears_that_the_core_runs_and_stands(bench: Bench, until: Until) -> None:
    client, upstream, _ = await past_the_negotiation(bench, until)
    halted, changes = [], []
    for end, other, data in ((client, upstream, STEP), (upstream, client, STOP)) * 2:
        await send(end, data)
        assert await packets(other, 1) == [data]
        halted.append(bench.port.halted)
        changes.append(bench.changes)
    assert halted == [False, True] * 2
    assert sorted(set(changes)) == changes


async def test_when_the_debugger_last_spoke_is_known(bench: Bench, until: Until) -> None:
    client, upstream, session = await past_the_negotiation(bench, until)
    session._lane.heard = 0.0
    assert not session.lively
    await send(client, READ)
    assert await packets(upstream, 1) == [READ]
    assert session._lane.heard > 0.0


async def test_a_debugger_that_asks_on_without_reading_pauses_the_server_and_loses_nothing(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer alone is short and passes; what waits for the debugger stays bounded."""
    client, upstream, session = await past_the_negotiation(bench, until)
    unheard(session, monkeypatch)
    out, wire, answer, asked = session._client, session._proxy._link._wire, encode(b"00" * 0x7000), 0
    assert out is not None
    assert wire is not None
    slow = False
    while not slow:
        slow = out.backlog > SLOW  # then once more
        await send(client, READ)
        assert await packets(upstream, 1) == [READ]
        await send(upstream, answer)
        asked += 1
        await until(lambda: slow or not wire.fresh)  # noqa: B023  (asked before the next round) its answer has passed
    await turns()
    assert out.backlog <= SLOW + len(answer)
    assert await packets(client, asked) == [answer] * asked


async def test_what_the_short_way_does_not_take_is_looked_at(bench: Bench, until: Until) -> None:
    client, upstream, session = await past_the_negotiation(bench, until)
    await send(client, READ + READ)
    assert await packets(upstream, 2) == [READ, READ]
    await send(upstream, encode(b"00010203") + encode(b"E01"))
    assert await packets(client, 2) == [encode(b"00010203"), encode(b"E01")]
    assert session._proxy.shortcut() is not None


async def test_a_request_that_passed_is_answered_in_time_when_openocd_is_silent(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's timer is set for what it never looked at, also when it was not set at all."""
    bench.with_policy(replace(Policy(), answer_within=0.2))
    bench.up()
    client = bench.connect(HELLO)
    await until(lambda: bench.upstream.accepted)
    upstream = bench.upstream.accepted[-1]
    for request in (encode(b"QStartNoAckMode"), encode(b"?"), encode(b"Hg0")):
        await send(client, b"+" + request)
    last = encode(b"Hg0")
    await openocd_says(upstream, last)
    await send(upstream, encode(b"OK"))
    assert (await packets(client, 4))[-1] == encode(b"OK")
    (session,) = bench.port._sessions
    await until(lambda: session._proxy.shortcut() is not None and session._timer_at == float("inf"))
    unheard(session, monkeypatch)
    await send(client, READ)
    assert await packets(upstream, 1) == [READ]
    assert await packets(client, 1) == [encode(b"E01")]
