"""The stable GDB port between clients and an OpenOCD that comes and goes (here a server that counts who connects)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.policy import Dialect, Policy
from ocdsup.runtime import gdb_session, wire
from ocdsup.runtime.gdb_port import MAX_CLIENTS, SLOW
from tests.runtime.gdb_rig import (
    ANSWER,
    HELLO,
    LONG,
    POLICY,
    QUESTION,
    REPLY,
    Bench,
    Until,
    attached,
    ended,
    packets,
    receive,
    reset,
    send,
    turns,
)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A port whose OpenOCD is away."""
    made = Bench()
    yield made
    await made.close()


async def test_a_session_goes_through_in_both_directions(bench: Bench, until: Until) -> None:
    """What GDB says reaches OpenOCD, the answer reaches GDB."""
    bench.up()
    await attached(bench, until)
    assert bench.port.sessions == 1


async def test_past_the_negotiation_packets_pass_as_they_are_and_at_once(bench: Bench, until: Until) -> None:
    """One packet in each direction, with nothing added and nothing between; half a packet waits until it is whole."""
    bench.up()
    client = bench.connect(b"+" + encode(b"QStartNoAckMode"))
    await until(lambda: bench.upstream.accepted)
    server = bench.upstream.accepted[0]
    assert await packets(server, 1) == [encode(b"QStartNoAckMode")]
    await send(server, b"+" + encode(b"OK"))
    assert await packets(client, 1) == [encode(b"OK")]
    await send(client, encode(b"m0,4"))
    assert await receive(server, 9) == b"+$m0,4#fd"  # the proxy has acknowledged the OK
    await send(server, encode(b"00112233"))
    assert await receive(client, 12) == encode(b"00112233")
    await send(client, b"$m0")
    await send(client, b",4#fd$m4,4#01")
    assert await receive(server, 16) == b"$m0,4#fd$m4,4#01"
    client.close()
    assert await ended(server)


async def test_a_port_is_lively_for_a_moment_after_its_debugger_spoke(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdb_session, "LIVELY_S", 3600.0)
    bench.up()
    seen = [bench.port.lively]
    bench.connect(HELLO)
    await until(lambda: bench.upstream.accepted)
    seen.append(bench.port.lively)
    monkeypatch.setattr(gdb_session, "LIVELY_S", 0.0)
    seen.append(bench.port.lively)
    assert seen == [False, True, False]


async def test_a_connect_that_says_nothing_never_reaches_openocd(bench: Bench, until: Until) -> None:
    """Neither a probe that hangs on nor one that closes at once costs OpenOCD anything, or counts as a session."""
    bench.up()
    probes = [bench.connect() for _ in range(4)]
    for probe in probes[:2]:
        probe.close()
    await attached(bench, until)  # whoever came later is through: the probes were looked at
    await turns()
    assert len(bench.upstream.accepted) == 1
    assert bench.port.sessions == 1


async def test_a_connect_that_says_nothing_is_cut_in_time(bench: Bench, until: Until) -> None:
    """Silence is limited; a session that once spoke may be silent for as long as it likes."""
    bench.with_policy(replace(POLICY, greeting_within=0.01))
    bench.up()
    speaking, upstream = await attached(bench, until)
    silent = bench.connect()
    assert await ended(silent)
    await send(upstream, REPLY)
    assert await packets(speaking, 1) == [REPLY]


async def test_a_client_is_held_while_openocd_is_away_and_served_when_it_is_back(bench: Bench, until: Until) -> None:
    """Its first packets wait, and arrive in order; it counts as a session meanwhile."""
    client = bench.connect(HELLO)
    await until(lambda: bench.port.sessions == 1)
    await send(client, encode(b"?"))
    await turns()
    assert bench.upstream.accepted == []
    bench.up()
    await until(lambda: bench.upstream.accepted)
    assert await packets(bench.upstream.accepted[0], 2) == [QUESTION, encode(b"?")]
    await send(bench.upstream.accepted[0], b"+" + ANSWER)
    assert await packets(client, 1) == [ANSWER]


async def test_a_silent_client_that_speaks_after_openocd_came_back_is_served(bench: Bench, until: Until) -> None:
    """The dial follows the first word, whichever comes first."""
    client = bench.connect()
    bench.up()
    await turns()
    assert bench.upstream.accepted == []
    await send(client, HELLO)
    await until(lambda: bench.upstream.accepted)
    assert await packets(bench.upstream.accepted[0], 1) == [QUESTION]


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: localhost:3333\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n$qRcmd,73687574646f776e#00",
        b"PATCH /x HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xff\xfd\x03\xff\xfb\x18",
    ],
    ids=["http get", "http post", "http patch", "tls", "ssh", "telnet"],
)
async def test_a_client_of_another_protocol_is_cut_before_openocd_hears_it(bench: Bench, greeting: bytes) -> None:
    """A web page cannot make a browser talk to OpenOCD."""
    bench.up()
    assert await ended(bench.connect(greeting))
    assert "gdb_closed" in bench.log.events
    assert (bench.upstream.accepted, bench.port.sessions) == ([], 0)


@pytest.mark.parametrize("first", [b"+", b"-", b"", b"\x03"], ids=["ack", "nack", "nothing", "interrupt"])
async def test_the_first_packet_opens_a_session_and_nothing_less(bench: Bench, until: Until, first: bytes) -> None:
    """A byte alone, of a port scan or of a GDB that gave up, must neither reach OpenOCD nor keep the next GDB out."""
    bench.up()
    bench.connect(first)
    bench.connect(QUESTION)
    await until(lambda: bench.upstream.accepted)
    assert (len(bench.upstream.accepted), bench.port.sessions) == (1, 1)


async def test_a_megabyte_goes_through_intact_in_both_directions_at_once(bench: Bench, until: Until) -> None:
    """Neither side loses, changes or reorders a byte."""
    bench.up()
    client, upstream = await attached(bench, until)
    _, _, down, up = await asyncio.gather(send(client, LONG), send(upstream, REPLY), packets(client, 1), packets(upstream, 1))
    assert down == [REPLY]
    assert up == [LONG]


async def test_a_megabyte_as_the_very_first_words_waits_for_the_dial(bench: Bench, until: Until) -> None:
    """However much is said before OpenOCD is connected, it arrives whole."""
    bench.up()
    client = bench.connect()
    sending = asyncio.ensure_future(send(client, LONG))
    await until(lambda: bench.upstream.accepted)
    assert await packets(bench.upstream.accepted[0], 1) == [LONG]
    await sending


async def test_a_client_that_floods_an_absent_openocd_is_cut(bench: Bench, until: Until) -> None:
    """What is held is bounded."""
    bench.with_policy(Policy())
    client = bench.connect(HELLO + encode(b"m20000000,4") * 1000)
    await until(lambda: "gdb_closed" in bench.log.events)
    assert await ended(client)
    assert bench.port.sessions == 0


@pytest.mark.parametrize("slow", ["gdb", "openocd"])
async def test_a_slow_reader_pauses_the_other_side_and_loses_nothing(bench: Bench, until: Until, slow: str) -> None:
    """Memory stays bounded while one side does not read, and every byte arrives when it does."""
    bench.up()
    client, upstream = await attached(bench, until)
    reader, writer = (client, upstream) if slow == "gdb" else (upstream, client)
    packet = REPLY if slow == "gdb" else LONG
    sending = asyncio.ensure_future(send(writer, packet * 32))
    (session,) = bench.port._sessions
    out = session._client if slow == "gdb" else session._up
    assert out
    worst = 0
    await until(lambda: out.backlog > SLOW)
    for _ in range(200):
        await asyncio.sleep(0)
        worst = max(worst, out.backlog)
    assert worst <= SLOW + len(packet) + wire.READ
    assert not sending.done()
    assert await packets(reader, 32) == [packet] * 32
    await sending


async def test_the_last_words_of_openocd_reach_gdb_before_the_end(bench: Bench, until: Until) -> None:
    """An OpenOCD that says something and exits is heard, also by a client that talks at the same time."""
    bench.up()
    client, upstream = await attached(bench, until)
    await send(client, encode(b"m20000000,100000") + encode(b"?"))
    assert len(await packets(upstream, 2)) == 2
    await send(upstream, REPLY + encode(b"S05"))
    upstream.close()
    await send(client, b"+")
    assert await packets(client, 2) == [REPLY, encode(b"S05")]
    await until(lambda: bench.port.sessions == 0)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_away_ends_its_own_session_only(bench: Bench, until: Until, how: str) -> None:
    """OpenOCD sees the end of that session, other sessions go on, and the watchers are told."""
    bench.up()
    first, first_up = await attached(bench, until)
    second, second_up = await attached(bench, until)
    changes = bench.changes
    if how == "reset":
        reset(first)
    else:
        first.close()
    assert await ended(first_up)
    assert bench.port.sessions == 1
    assert bench.changes > changes
    await send(second_up, REPLY)
    assert await packets(second, 1) == [REPLY]


async def test_a_client_that_goes_away_while_it_is_held_is_forgotten(bench: Bench, until: Until) -> None:
    """Nobody dials for the dead."""
    client = bench.connect(HELLO)
    await until(lambda: bench.port.sessions == 1)
    reset(client)
    await until(lambda: bench.port.sessions == 0)
    bench.up()
    await turns()
    assert bench.upstream.accepted == []


async def test_openocd_going_away_ends_what_it_served_and_keeps_who_waits(bench: Bench, until: Until) -> None:
    """Sessions end honestly; who has not been connected yet goes on waiting."""
    bench.up()
    client, _ = await attached(bench, until)
    bench.port.backend_down("restart")
    waiting = bench.connect(HELLO)
    assert await ended(client)
    await until(lambda: bench.port.sessions == 1)
    bench.up()
    await until(lambda: len(bench.upstream.accepted) == 2)
    assert await packets(bench.upstream.accepted[1], 1) == [QUESTION]
    await send(bench.upstream.accepted[1], ANSWER)
    assert await packets(waiting, 1) == [ANSWER]


async def test_openocd_going_away_while_it_is_dialled_keeps_the_client_waiting(bench: Bench, until: Until) -> None:
    """The dial to the old one is given up, and the next one gets every byte."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())  # now connects are not answered: an OpenOCD that is stopped
        bench.up(deaf.getsockname()[1])
        client = bench.connect(HELLO)
        await until(lambda: bench.port.sessions == 1)
        await turns()
        bench.port.backend_down("restart")
        bench.up()
        await until(lambda: bench.upstream.accepted)
        assert await packets(bench.upstream.accepted[0], 1) == [QUESTION]
        await send(bench.upstream.accepted[0], ANSWER)
        assert await packets(client, 1) == [ANSWER]
        await turns()
        assert len(bench.upstream.accepted) == 1
        for filler in fillers:
            filler.close()


async def test_a_refused_dial_is_tried_again(bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that opens late is found, without another word of GDB."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01,))
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        late.setblocking(False)
        bench.connect(HELLO)
        bench.up(late.getsockname()[1])
        await until(lambda: bench.log.events.count("gdb_upstream_refused") >= 2)
        late.listen()
        upstream, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(late), 20)
        bench.upstream.accepted.append(upstream)
        assert await packets(upstream, 1) == [QUESTION]


async def test_a_server_of_somebody_else_is_asked_often(bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells when it is back, and its user may wait for it: the long pauses are for an OpenOCD that is there."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01, 0.01, 0.01, 1e6))
    bench.with_policy(Policy(dialect=Dialect.ANY))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bench.connect(HELLO)
        bench.up(closed.getsockname()[1])
        await until(lambda: bench.log.events.count("gdb_upstream_refused") >= 8)
        assert bench.port.sessions == 1, "and its debugger waits"


async def test_a_server_that_does_not_even_refuse_is_asked_again(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without power: the kernel would go on asking for two minutes, ever more rarely."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01,))
    monkeypatch.setattr(gdb_session, "DIAL_S", 0.01)

    async def silence(host: str, port: int) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError("waited for ever")

    monkeypatch.setattr(wire, "connect", silence)
    bench.connect(HELLO)
    bench.up(1)
    await until(lambda: bench.log.events.count("gdb_upstream_refused") >= 2)
    assert bench.port.sessions == 1, "its debugger waits"


async def test_a_debugger_that_openocd_turns_away_goes_on_asking(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenOCD serves one GDB a target and closes on the next at once; when the first has gone, the second is served."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01,))
    bench.with_policy(replace(Policy(), answer_within=60.0))
    bench.up()
    bench.connect(HELLO)
    for turned_away in range(3):
        before = turned_away
        await until(lambda: len(bench.upstream.accepted) > before)  # noqa: B023  # asked before the next round
        bench.upstream.accepted[-1].close()
    await until(lambda: len(bench.upstream.accepted) == 4)
    assert await packets(bench.upstream.accepted[3], 1) == [encode(b"QStartNoAckMode")]
    assert bench.port.sessions == 1


@pytest.mark.parametrize("lasted", [0.0, 3600.0])
async def test_the_pause_grows_when_openocd_accepts_and_drops(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch, lasted: float
) -> None:
    """Also if it has said something: it clears all breakpoints at each connection. One that has lasted was no refusal."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01, 3600.0))
    monkeypatch.setattr(gdb_session, "LASTED_S", lasted)
    bench.with_policy(replace(Policy(), answer_within=60.0))
    bench.up()
    bench.connect(HELLO)
    for dropped in range(2):
        before = dropped
        await until(lambda: len(bench.upstream.accepted) > before)  # noqa: B023  # asked before the next round
        assert await packets(bench.upstream.accepted[dropped], 1) == [encode(b"QStartNoAckMode")]
        await send(bench.upstream.accepted[dropped], encode(b"OK"))
        await packets(bench.upstream.accepted[dropped], 1)
        bench.upstream.accepted[dropped].close()
    (session,) = bench.port._sessions
    if lasted:
        await until(lambda: session._redial is not None)
        assert session._redial is not None
        assert session._redial.when() - asyncio.get_running_loop().time() > 3000
    else:
        await until(lambda: len(bench.upstream.accepted) == 3)


async def test_nobody_asks_again_when_openocd_is_gone(bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause before the next dial ends with the OpenOCD that was to be dialled."""
    monkeypatch.setattr(gdb_session, "REDIAL_S", (0.01,))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bench.connect(HELLO)
        bench.up(closed.getsockname()[1])
        await until(lambda: "gdb_upstream_refused" in bench.log.events)
        bench.port.backend_down("restart")
        refusals = bench.log.events.count("gdb_upstream_refused")
        await until(passed(0.03))
        assert bench.log.events.count("gdb_upstream_refused") == refusals


def passed(seconds: float) -> Callable[[], bool]:
    """Return a condition that becomes true after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    return lambda: loop.time() >= end


async def test_a_question_to_the_supervisor_is_answered_without_openocd(bench: Bench, until: Until) -> None:
    """`monitor ocdsup status` works while OpenOCD is away."""
    bench.with_policy(replace(Policy(), answer_within=60.0))
    client = bench.connect(b"+" + encode(b"qRcmd," + b"ocdsup status".hex().encode()))
    await until(lambda: bench.port.sessions == 1)
    found = await packets(client, 2)
    assert bytes.fromhex(found[0][2:-3].decode()) == b"asked for status\n"
    assert found[1] == encode(b"OK")


async def test_the_ninth_session_is_refused(bench: Bench, until: Until) -> None:
    """The others are not disturbed."""
    clients = [bench.connect(HELLO) for _ in range(MAX_CLIENTS)]
    await until(lambda: bench.port.sessions == MAX_CLIENTS)
    assert await ended(bench.connect(HELLO))
    assert "gdb_too_many_clients" in bench.log.events
    assert bench.port.sessions == MAX_CLIENTS
    clients[0].close()
    await until(lambda: bench.port.sessions == MAX_CLIENTS - 1)
    bench.connect(HELLO)
    await until(lambda: bench.port.sessions == MAX_CLIENTS)


async def test_a_flood_of_silent_connects_does_not_keep_a_debugger_out(bench: Bench, until: Until) -> None:
    """The oldest silent connect makes room, and what is open stays bounded."""
    bench.up()
    silent = [bench.connect() for _ in range(50)]
    await attached(bench, until)
    assert bench.port.sessions == 1
    assert await ended(silent[0])
    assert len(bench.port._sessions) <= MAX_CLIENTS


async def test_closing_the_port_ends_everything(bench: Bench, until: Until) -> None:
    """Sessions, held clients and silent connects see the end, and nobody can connect any more."""
    held = bench.connect(HELLO)
    await until(lambda: bench.port.sessions == 1)
    bench.up()
    await until(lambda: bench.upstream.accepted)
    served, upstream = await attached(bench, until)
    silent = bench.connect()
    await until(lambda: len(bench.port._sessions) == 3)
    bench.port.close()
    for sock in (held, served, silent, upstream):
        assert await ended(sock)
    with pytest.raises(ConnectionRefusedError):
        bench.connect()


async def test_a_number_of_sessions_is_told_when_it_changes(bench: Bench, until: Until) -> None:
    """The first word and the end are told."""
    seen: list[int] = []
    port: Any = bench.port
    port.changed = lambda: seen.append(bench.port.sessions)
    client = bench.connect(HELLO)
    await until(lambda: seen == [1])
    client.close()
    await until(lambda: seen[-1] == 0)
    assert [count for count, _ in groupby(seen)] == [1, 0]
