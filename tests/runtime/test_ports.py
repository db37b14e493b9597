"""The stable ports of a bench: taken, opened, and OpenOCD behind them or not."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from ocdsup.config.model import Bench as BenchConfig
from ocdsup.config.model import MonitorPolicy, OpenOcd, Ports
from ocdsup.core import events as ev
from ocdsup.core.effects import Profile
from ocdsup.core.state import Backend
from ocdsup.openocd import command
from ocdsup.openocd.dialect import Version
from ocdsup.rsp.framing import encode
from ocdsup.rsp.packets import monitor_request
from ocdsup.runtime import listeners, port_owner
from ocdsup.runtime import ports as module
from ocdsup.runtime.backend import Private
from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.ports import StablePorts
from ocdsup.runtime.systemd import Notify
from ocdsup.runtime.tasks import Tasks
from ocdsup.telnet.effects import Away
from tests.runtime.gdb_rig import HELLO, Upstream, ended, packets, receive, send
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]
OURS = "this daemon itself, at 127.0.0.1"  # the thief of these tests is a socket of this very process


class Bench:
    """What the ports are given by their bench: a place for events, answers and the reason why OpenOCD is away."""

    def __init__(self) -> None:
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.events: list[ev.Event] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.made: list[StablePorts] = []
        self.upstreams = [Upstream(), Upstream()]
        self.clients: list[socket.socket] = []

    async def answer(self, verb: str, args: dict[str, Any]) -> str:
        self.asked.append((verb, args))
        return f"answer to {verb}"

    def ports(self, gdb: int = 0, telnet: int = 0, targets: int = 1) -> StablePorts:
        """Ports that are not open yet."""
        config = BenchConfig("nucleo", OpenOcd(("x.cfg",)), ports=Ports(gdb, telnet, targets=targets), bind=("127.0.0.1",))
        store = Store(Notify(""), Inherited())
        away = Away("recovering", "", None)
        self.made.append(StablePorts(config, self.events.append, lambda: away, self.tasks, self.answer, self.log, store))
        return self.made[-1]

    def opened(self, gdb: int = 0, telnet: int = 0) -> StablePorts:
        """Ports that are open."""
        ports = self.ports(gdb, telnet)
        ports.open()
        assert self.events == [ev.PortsOpened()]
        self.events.clear()
        return ports

    def connect(self, port: int, say: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port))
        self.clients.append(sock)
        sock.sendall(say)
        sock.setblocking(False)
        return sock

    def texts(self) -> list[str]:
        """What was said of ports that are taken."""
        return [event.text for event in self.events if isinstance(event, ev.PortTaken)]

    async def end(self) -> None:
        for ports in self.made:
            ports.close()
        for upstream in self.upstreams:
            upstream.close()
        for client in self.clients:
            client.close()
        await self.tasks.cancel()
        assert self.log.named("task_failed") == []


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench without ports."""
    made = Bench()
    yield made
    await made.end()


def backend(run: int = 1, after: str = "leave", speed_khz: int | None = None) -> Backend:
    return Backend(run, Profile(speed_khz=speed_khz, after=after), since=0.0, version="0.12.0", ready=True)


async def told(sock: socket.socket, part: bytes) -> bytes:
    """Read until `part` was said."""
    seen = b""
    async with asyncio.timeout(20):
        while part not in seen:
            seen += await receive(sock, 1)
    return seen


def neighbours() -> tuple[socket.socket, socket.socket]:
    """Listeners on two ports that follow each other."""
    while True:
        first = socket.create_server(("127.0.0.1", 0))
        try:
            return first, socket.create_server(("127.0.0.1", first.getsockname()[1] + 1))
        except (OSError, OverflowError):
            first.close()


async def test_open_ports_are_known_by_their_real_numbers(bench: Bench) -> None:
    ports = bench.opened()
    numbers = (*ports.gdb_numbers, ports.telnet_number)
    assert 0 not in numbers
    assert bench.log.named("ports_open") == [{"gdb": numbers[0], "telnet": numbers[1]}]


async def test_ports_that_are_not_open_are_shown_as_configured(bench: Bench) -> None:
    ports = bench.ports(3333, 4444)
    assert (ports.gdb_numbers, ports.telnet_number) == ((3333,), 4444)


@pytest.mark.parametrize("which", ["gdb", "telnet"])
async def test_a_port_that_is_taken_is_told_with_its_owner_and_taken_when_it_is_free(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        number = thief.getsockname()[1]
        ports = bench.ports(**{which: number})
        ports.open()
        await until(lambda: len(bench.texts()) > 2)
    taken = (
        f"cannot bind 127.0.0.1 port {number}: Address already in use; it belongs to this daemon itself, at 127.0.0.1:{number}"
    )
    assert bench.texts()[0].startswith(taken)
    await until(lambda: ev.PortsOpened() in bench.events)
    assert number in (*ports.gdb_numbers, ports.telnet_number)


async def test_the_telnet_port_answers_although_the_gdb_port_is_taken(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = bench.ports(gdb=thief.getsockname()[1])
        ports.open()
        client = bench.connect(ports.telnet_number, b"ocdsup why\n")
        assert b"answer to why" in await told(client, b"why")
        assert ev.PortsOpened() not in bench.events


async def test_both_ports_that_are_taken_are_named_at_once(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        gdb, telnet = one.getsockname()[1], two.getsockname()[1]
        bench.ports(gdb, telnet).open()
    first, second = bench.texts()[0].split("; cannot ")
    assert f"127.0.0.1 port {gdb}: Address already in use; it belongs to {OURS}:{gdb}: " in first
    assert f"127.0.0.1 port {telnet}: Address already in use; it belongs to {OURS}:{telnet}: " in second


async def test_a_telnet_port_that_is_taken_does_not_open_the_gdb_port_twice(bench: Bench, until: Until) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = bench.ports(telnet=thief.getsockname()[1])
        ports.open()
        first = ports.gdb_numbers
        ports.open()
        assert ports.gdb_numbers == first


async def test_ports_that_are_closed_while_they_wait_are_not_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = bench.ports(thief.getsockname()[1])
        ports.open()
        ports.close()
    before = len(bench.events)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bench.events) == before


async def test_ports_of_several_targets_can_be_open_before_openocd_starts(bench: Bench) -> None:
    """`ports.targets`: a GDB of the second core may come first; one that is taken counts like the first."""
    ports = bench.ports(targets=2)
    ports.open()
    assert bench.events == [ev.PortsOpened()]
    assert len({*ports.gdb_numbers, 0}) == 3
    assert bench.ports(3333, targets=2).gdb_numbers == (3333, 3334)
    first, thief = neighbours()
    with thief:
        first.close()
        number = thief.getsockname()[1]
        bench.ports(number - 1, targets=2).open()
        assert [text for text in bench.texts() if f"port {number}:" in text]


async def test_the_names_of_the_ports_are_those_of_the_targets_they_were_opened_for(bench: Bench) -> None:
    ports = bench.opened()
    one, two = (upstream.port for upstream in bench.upstreams)
    ports.expose(Private([one, two], names={one: "a", two: "c"}, without=frozenset({"m"})), backend(), ("m", "a", "b", "c"))
    assert (ports.places, ports.names) == ({"a": 0, "b": 0, "c": 1}, ["a", "c"])


async def test_a_second_target_gets_the_port_that_follows(bench: Bench, until: Until) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        base = free.getsockname()[1]
    ports = bench.opened(gdb=base)
    ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"))
    if ports.gdb_numbers == (base,):  # somebody took the next number meanwhile: that is said instead
        await until(lambda: bench.log.named("target_port_taken"))
        assert bench.log.named("target_port_taken")[0]["port"] == base + 1
        return
    assert ports.gdb_numbers == (base, base + 1)
    bench.connect(base + 1, HELLO)
    await until(lambda: bench.upstreams[1].accepted)
    assert bench.upstreams[0].accepted == []


async def test_a_port_for_a_second_target_that_is_taken_costs_that_target_only(bench: Bench, until: Until) -> None:
    first, second = neighbours()
    base = first.getsockname()[1]
    with second:
        first.close()
        ports = bench.opened(gdb=base)
        ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"))
        assert ports.gdb_numbers == (base,)
        await until(lambda: bench.log.named("target_port_taken"))
        (said,) = bench.log.named("target_port_taken")
        assert (said["port"], "this daemon itself" in said["owner"]) == (base + 1, True)
        bench.connect(base, HELLO)
        await until(lambda: bench.upstreams[0].accepted)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("a mistake of ours")])
@pytest.mark.parametrize("at", [1, 2], ids=["at the first try", "at a later one"])
async def test_one_try_that_breaks_off_is_not_the_last(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch, error: Exception, at: int
) -> None:
    """A port that is not tried again keeps its bench blocked for good, also when it is free."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    bind, tries = listeners.bind_all, list[int]()

    def once(*args: Any) -> list[socket.socket]:
        tries.append(1)
        if len(tries) == at:
            raise error
        return bind(*args)

    with socket.create_server(("127.0.0.1", 0)) as thief:
        number = thief.getsockname()[1]
        monkeypatch.setattr(module, "bind_all", once)
        said = list[str]()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(str(context["exception"])))
        ports = bench.ports(gdb=number)
        with suppress(RuntimeError):
            ports.open()
        await until(lambda: len(tries) > 3)
    await until(lambda: ev.PortsOpened() in bench.events)
    assert number in ports.gdb_numbers
    if isinstance(error, OSError):
        assert said == []
        assert at > 1 or "cannot open a port: Too many open files" in bench.texts()[0]


async def test_one_further_port_that_cannot_be_tried_is_tried_again(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = bench.opened()
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    bind, tries = listeners.bind_all, list[int]()

    def once(*args: Any) -> list[socket.socket]:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return bind(*args)

    monkeypatch.setattr(module, "bind_all", once)
    ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"))
    await until(lambda: len(ports.gdb_numbers) == 2)
    assert len(tries) == 3
    await until(lambda: bench.log.named("target_port_taken"))
    assert bench.log.named("target_port_taken")[0]["error"] == "Too many open files"


async def test_who_has_a_port_is_looked_for_beside_the_loop_from_the_second_time_on(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk through /proc takes tens of milliseconds, in which nobody's debugger is heard."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    asked: list[threading.Thread] = []

    def find(_port: int) -> str:
        asked.append(threading.current_thread())
        return f"look {len(asked)}"

    monkeypatch.setattr(port_owner, "find", find)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        bench.ports(gdb=thief.getsockname()[1]).open()
        await until(lambda: len(bench.texts()) > 3)
    assert [thread is threading.main_thread() for thread in asked[:4]] == [True, False, False, False]
    assert [text.rpartition(" ")[2] for text in bench.texts()[:4]] == ["1", "2", "3", "4"]


async def test_a_port_that_was_taken_is_opened_when_it_is_free_and_leads_to_its_target(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    first, second = neighbours()
    base = first.getsockname()[1]
    with second:
        first.close()
        ports = bench.opened(gdb=base)
        ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"))
        assert ports.gdb_numbers == (base,)
    await until(lambda: ports.gdb_numbers == (base, base + 1))
    await until(lambda: bench.log.named("target_port_taken"))
    assert len(bench.log.named("target_port_taken")) == 1
    bench.connect(base + 1, HELLO)
    await until(lambda: bench.upstreams[1].accepted)


async def test_a_target_is_reached_by_its_name_whatever_the_order_of_openocds_ports(bench: Bench, until: Until) -> None:
    ports = bench.opened()
    one, two = (upstream.port for upstream in bench.upstreams)
    ports.expose(Private([two, one], names={one: "a", two: "b"}, without=frozenset({"ap"})), backend(), ("ap", "a", "b"))
    assert ports.places == {"a": 0, "b": 1}
    bench.connect(ports.gdb_numbers[0], HELLO)
    await until(lambda: bench.upstreams[0].accepted)
    assert bench.upstreams[1].accepted == []


async def test_the_same_targets_keep_their_ports_when_one_is_not_served_this_time(bench: Bench, until: Until) -> None:
    """And others get theirs anew: a new configuration may name other targets."""
    ports = bench.opened()
    one, two = (upstream.port for upstream in bench.upstreams)
    both = {one: "a", two: "b"}
    ports.expose(Private([one, two], names=both), backend(), ("a", "b"))
    ports.hide("again")
    ports.expose(Private([two], names=both, without=frozenset("a")), backend(2), ("a", "b"))
    assert ports.places == {"a": 0, "b": 1}
    bench.connect(ports.gdb_numbers[1], HELLO)
    await until(lambda: bench.upstreams[1].accepted)
    ports.hide("reload")
    ports.expose(Private([two], names=both), backend(3), ("b",))
    assert ports.places == {"b": 0}
    assert len(ports.gdb_numbers) == 2  # what was opened stays open


def two_places(bench: Bench, dead: dict[str, str]) -> StablePorts:
    """Two targets, exposed while these are dead."""
    ports = bench.opened()
    ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"), dead)
    return ports


async def test_a_dead_target_is_not_served_until_it_answers(bench: Bench, until: Until) -> None:
    """From the start: its debugger waits, and OpenOCD is not bothered with it; the other one is served at once."""
    ports = two_places(bench, {"b": "b does not answer"})
    for number in ports.gdb_numbers:
        bench.connect(number, HELLO)
    await until(lambda: bench.upstreams[0].accepted)
    await until(lambda: ev.SessionsChanged((1, 1), halted=False, debugged=("a", "b")) in bench.events)
    assert bench.upstreams[1].accepted == []
    ports.silent({"b": "b does not answer"})
    ports.silent({})
    await until(lambda: bench.upstreams[1].accepted)
    assert len(bench.upstreams[0].accepted) == 1


async def test_the_connection_of_a_target_that_dies_is_closed_and_made_again(bench: Bench, until: Until) -> None:
    ports = two_places(bench, {})
    for number in ports.gdb_numbers:
        bench.connect(number, HELLO)
    await until(lambda: all(upstream.accepted for upstream in bench.upstreams))
    ports.silent({"b": "b does not answer"})
    assert (ports._gdb[0].served is None, ports._gdb[1].served is None) == (False, True)
    ports.hide("OpenOCD ended")
    ports.silent({})
    assert ports._gdb[1].served is None  # not dead any more, but there is no OpenOCD either
    ports.expose(Private([one.port for one in bench.upstreams]), backend(2), ("a", "b"))
    await until(lambda: [len(upstream.accepted) for upstream in bench.upstreams] == [2, 2])


async def test_a_group_is_served_while_one_of_its_cores_answers(bench: Bench) -> None:
    ports = bench.opened()
    private = Private([bench.upstreams[0].port], names={bench.upstreams[0].port: "a"})
    ports.expose(private, backend(), ("a", "b"), {"b": "b does not answer"})
    served = [ports._gdb[0].served is not None]
    for dead in ("ab", "a"):
        ports.silent({name: f"{name} does not answer" for name in dead})
        served.append(ports._gdb[0].served is not None)
    assert served == [True, False, True]


async def test_a_group_has_one_port_and_its_first_target_speaks_for_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = bench.opened()
    ports.expose(Private([bench.upstreams[0].port], names={bench.upstreams[0].port: "a"}), backend(), ("a", "b"))
    assert (ports.places, len(ports.gdb_numbers)) == ({"a": 0, "b": 0}, 1)
    told: list[bool] = []
    monkeypatch.setattr(ports._gdb[0], "target_seen", lambda *, halted: told.append(halted))
    for target, halted in (("b", True), ("a", True), ("c", True), ("a", False)):
        ports.target_seen(target, halted=halted)
    assert told == [True, False]


async def test_an_examination_is_told_to_the_sessions_of_that_target(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = bench.opened()
    ports.expose(Private([one.port for one in bench.upstreams]), backend(), ("a", "b"))
    told: list[int] = []
    for place, port in enumerate(ports._gdb):
        monkeypatch.setattr(port, "reexamined", lambda place=place: told.append(place))
    ports.reexamined("b")
    assert told == [1]
    ports.reexamined(None)
    assert told == [1, 0, 1]


async def test_openocd_is_reached_while_it_is_exposed_and_waited_for_while_it_is_not(bench: Bench, until: Until) -> None:
    ports = bench.opened()
    client = bench.connect(ports.gdb_numbers[0], HELLO)
    ports.expose(Private([bench.upstreams[0].port]), backend(1), ("a",))
    await until(lambda: bench.upstreams[0].accepted)
    ports.hide("OpenOCD ended")
    assert not ports.exposed
    assert await ended(bench.upstreams[0].accepted[0])
    ports.expose(Private([bench.upstreams[1].port]), backend(2), ("a",))
    await until(lambda: bench.upstreams[1].accepted)
    client.getpeername()  # the session is the same


async def test_debuggers_are_told_why_openocd_is_away_also_those_that_come_meanwhile(bench: Bench, until: Until) -> None:
    """The first reason is what the socket says; what is really the matter is known a moment later."""
    ports = bench.opened()
    bench.connect(ports.gdb_numbers[0], HELLO)
    ports.expose(Private([bench.upstreams[0].port]), backend(1), ("a",))
    await until(lambda: bench.upstreams[0].accepted)
    ports.hide("OpenOCD ended: exit code 1")
    ports.hide("blocked, the probe is not on the bus")
    bench.connect(ports.gdb_numbers[0], HELLO)
    await until(lambda: len(ports._gdb[0]._sessions) == 2)
    words = [session._proxy._why for session in ports._gdb[0]._sessions]
    assert words == ["OpenOCD is away (blocked, the probe is not on the bus)"] * 2


async def test_telnet_clients_are_told_that_openocd_is_away(bench: Bench) -> None:
    ports = bench.opened()
    client = bench.connect(ports.telnet_number, b"targets\n")
    assert b"recovering" in await told(client, b"\r\n")


async def test_only_a_start_that_reset_the_board_counts_as_a_reset(bench: Bench) -> None:
    ports = bench.opened()
    counts = []
    for run, after in enumerate(("leave", "run", "halt", "leave"), 1):
        ports.expose(Private([bench.upstreams[0].port]), backend(run, after), ("a",))
        counts.append(ports._gdb[0].resets)
        ports.hide("again")
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[2] == 2
    assert counts[3] == 2


async def test_a_start_that_resets_the_board_counts_although_it_was_never_served(bench: Bench) -> None:
    """It may have come to the reset before it died; the next start, which does nothing to the board, brings the news once."""
    ports = bench.opened()
    ports.half_reset()
    for run in (1, 2):
        ports.expose(Private([bench.upstreams[0].port]), backend(run), ("a",))
        served = ports._gdb[0].served
        assert served is not None
        assert (served.resets, "may have been reset" in served.told) == (1, run == 1)
        ports.hide("again")


@pytest.mark.parametrize("after", ["hold", "resume"])
async def test_a_start_that_only_halts_or_resumes_is_no_reset(bench: Bench, after: str) -> None:
    ports = bench.opened()
    ports.expose(Private([bench.upstreams[0].port]), backend(1, after), ("a",))
    assert ports._gdb[0].resets == 0


async def test_after_a_loan_debuggers_learn_that_the_board_may_be_another(bench: Bench) -> None:
    ports = bench.opened()
    ports.lent("cargo run")
    ports.expose(Private([bench.upstreams[0].port]), backend(), ("a",))
    served = ports._gdb[0].served
    assert served is not None
    assert (served.resets, "cargo run had the probe" in served.told) == (1, True)
    ports.hide("again")
    ports.expose(Private([bench.upstreams[0].port]), backend(2), ("a",))
    again = ports._gdb[0].served
    assert again is not None
    assert (again.resets, again.told) == (1, "")


@pytest.mark.parametrize(("speed_khz", "replayed"), [(None, True), (240, False)], ids=["usual speed", "slower rung"])
async def test_the_adapter_speed_that_a_debugger_has_set_does_not_undo_a_slower_recovery(
    bench: Bench, until: Until, speed_khz: int | None, replayed: bool
) -> None:
    ports, (upstream, _) = bench.opened(), bench.upstreams
    bench.connect(ports.gdb_numbers[0], HELLO)
    await until(lambda: ports._gdb[0].sessions)
    (session,) = ports._gdb[0]._sessions
    session._proxy.shadow.settings["adapter speed"] = "adapter speed 4000"
    session._proxy.shadow.attached = True
    ports.expose(Private([upstream.port]), backend(speed_khz=speed_khz), ("a",))
    await until(lambda: upstream.accepted)
    asked: list[bytes] = []
    while b"$?#3f" not in asked:  # its settings come before
        asked += await packets(upstream.accepted[0], 1)
        await send(upstream.accepted[0], b"+" + encode(b"OK"))
    assert (encode(monitor_request("adapter speed 4000")) in asked) is replayed


async def test_sessions_are_counted_for_each_target(bench: Bench, until: Until) -> None:
    ports = bench.opened()
    client = bench.connect(ports.gdb_numbers[0], HELLO)
    await until(lambda: ev.SessionsChanged((1,), halted=False) in bench.events)
    client.close()
    await until(lambda: bench.events[-1] == ev.SessionsChanged((0,), halted=False))
    told = [event.counts for event in bench.events if isinstance(event, ev.SessionsChanged)]
    assert [counts for counts, _ in groupby(told)] == [(1,), (0,)]


@pytest.mark.parametrize(
    ("words", "text"),
    [("why", "answer to why"), ("logs 7", "answer to logs"), ("frobnicate", "ocdsup: unknown word; `ocdsup help` lists them")],
)
async def test_monitor_ocdsup_means_what_the_same_words_mean_on_telnet(bench: Bench, words: str, text: str) -> None:
    assert await bench.ports()._answer_monitor(words) == text


@pytest.mark.parametrize(
    ("policy", "line", "passes"),
    [
        (MonitorPolicy.FULL, "exec id", True),
        (MonitorPolicy.SAFE, "targets", True),
        (MonitorPolicy.SAFE, "exec id", False),
        (MonitorPolicy.SAFE, "targets [exec id]", False),
        (MonitorPolicy.OFF, "targets", False),
    ],
)
async def test_the_monitor_policy_holds_on_the_telnet_port_too(
    bench: Bench, policy: MonitorPolicy, line: str, passes: bool
) -> None:
    ports = bench.ports()
    ports._config = replace(ports._config, monitor=policy)
    ports.open()
    client = bench.connect(ports.telnet_number, f"{line}\nocdsup why\nexit\n".encode())
    said = await told(client, b"answer to why")
    assert (b"OpenOCD is away" in said) is passes
    assert (f"`monitor: {policy.value}`".encode() in said) is not passes


async def test_an_openocd_that_does_not_announce_its_ports_gets_free_ones(bench: Bench) -> None:
    ports = bench.ports()
    assert ports.private(Version(0, 12, 0)) == command.Ports()
    old = ports.private(Version(0, 10, 0))
    assert len({old.gdb, old.telnet, old.tcl} - {0}) == 3


async def test_closed_ports_end_their_sessions_and_are_free_again(bench: Bench, until: Until) -> None:
    ports = bench.opened()
    client = bench.connect(ports.telnet_number, b"ocdsup why\n")
    await until(lambda: bench.asked)
    ports.close()
    assert await ended(client)
    with pytest.raises(ConnectionRefusedError):
        bench.connect(ports.gdb_numbers[0])
