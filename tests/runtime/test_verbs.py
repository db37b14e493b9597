"""What each verb answers, on the control socket and in text for a person on telnet."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ocdsup.control.protocol import Request
from ocdsup.control.verbs import VERBS
from ocdsup.core import events as ev
from ocdsup.core.state import Phase
from ocdsup.core.status import whole
from ocdsup.errors import ControlError
from ocdsup.openocd.pin import heard
from ocdsup.runtime import clock
from ocdsup.runtime import verbs as module
from ocdsup.runtime.bench import LiveBench
from ocdsup.runtime.verbs import Verbs
from tests.runtime import fake_openocd
from tests.runtime.bench_rig import Rig, phase, posted

Until = Callable[[Callable[[], object]], Awaitable[None]]
DIES = "sys.exit(1)"


async def reload() -> str:
    return "1 changed"


@pytest.fixture
async def verbs(rig: Rig) -> Verbs:
    """The verbs on the benches of the rig."""

    def snapshot() -> dict[str, Any]:
        return whole([bench.snapshot() for bench in rig.benches], "0.1.0", 1, 2.0)

    return Verbs(lambda: rig.benches, snapshot, reload)


async def ask(verbs: Verbs, verb: str, bench: str | None = None, **args: Any) -> Any:
    async with asyncio.timeout(20):
        return await verbs.carry_out(Request(1, verb, bench, args), lambda _event: None)


async def refusal(verbs: Verbs, verb: str, bench: str | None = "nucleo", **args: Any) -> ControlError:
    with pytest.raises(ControlError) as caught:
        await ask(verbs, verb, bench, **args)
    return caught.value


def test_no_verb_is_carried_out_that_is_not_in_the_table_of_the_socket() -> None:
    assert set(module._TABLE) <= set(VERBS)


async def test_a_verb_that_this_daemon_does_not_carry_out_is_refused_as_unknown(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer command line asks an older daemon; nothing of ours has gone wrong."""
    monkeypatch.delitem(module._TABLE, "why")
    assert (await refusal(verbs, "why")).code == "unknown-verb"


async def test_status_is_the_whole_or_one_bench(rig: Rig, verbs: Verbs) -> None:
    await rig.up()
    rig.bench(rig.config(name="disco"))
    assert [bench["name"] for bench in (await ask(verbs, "status"))["benches"]] == ["nucleo", "disco"]
    (one,) = (await ask(verbs, "status", "nucleo"))["benches"]
    assert (one["name"], one["phase"]) == ("nucleo", "ready")


@pytest.mark.parametrize("verb", ["status", "why", "logs", "wait", "restart", "start", "stop", "evict", "resume", "lend"])
async def test_a_bench_that_does_not_exist_is_refused_with_those_that_do(rig: Rig, verbs: Verbs, verb: str) -> None:
    rig.bench()
    refused = await refusal(verbs, verb, "nucelo")
    assert (refused.code, refused.hint) == ("unknown-bench", "there are: nucleo")


async def test_why_speaks_of_every_bench_that_is_asked_for(rig: Rig, verbs: Verbs) -> None:
    await rig.up()
    rig.bench(rig.config(name="disco"))
    assert "nucleo" in (await ask(verbs, "why"))["text"]
    assert "disco" in (await ask(verbs, "why"))["text"]
    assert "disco" not in (await ask(verbs, "why", "nucleo"))["text"]


async def test_logs_are_the_newest_lines_of_all_benches_in_their_order(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(1_767_261_600.0)
    monkeypatch.setattr(clock, "read", lambda: SimpleNamespace(wall=next(seconds)))
    first, second = rig.bench(), rig.bench(rig.config(name="disco"))
    for number in range(4):
        (first, second)[number % 2].ring.add("ocdsup", str(number))
    assert [line["text"] for line in (await ask(verbs, "logs", lines=3))["lines"]] == ["1", "2", "3"]
    assert [line["text"] for line in (await ask(verbs, "logs", "disco", lines=9))["lines"]] == ["1", "3"]


async def test_following_the_logs_begins_with_the_last_lines_and_ends_with_the_client(rig: Rig, verbs: Verbs) -> None:
    bench, events = rig.bench(), list[Any]()
    for text in ("old", "older", "new"):
        bench.ring.add("ocdsup", text)
    request = Request(1, "logs", "nucleo", {"follow": True, "lines": 1})
    following = asyncio.create_task(verbs.carry_out(request, events.append))
    await asyncio.sleep(0)
    bench.ring.add("ocdsup", "newest")
    following.cancel()
    await asyncio.wait([following])
    bench.ring.add("ocdsup", "after")
    assert [line["text"] for line in events] == ["new", "newest"]


@pytest.mark.parametrize("asked", ["nucleo", None])
async def test_who_follows_the_logs_goes_on_with_the_bench_that_a_reload_has_made_of_it(
    rig: Rig, verbs: Verbs, until: Until, asked: str | None
) -> None:
    old, events = rig.bench(), list[Any]()
    following = asyncio.create_task(verbs.carry_out(Request(1, "logs", asked, {"follow": True}), events.append))
    await asyncio.sleep(0)
    rig.benches.clear()
    verbs.changed()
    await asyncio.sleep(0)
    old.ring.add("openocd", "last words")
    new = rig.bench()
    new.ring.add("ocdsup", "first words")
    verbs.changed()
    await until(lambda: len(events) > 1)
    for text, ring in (("nobody hears this", old.ring), ("further words", new.ring)):
        ring.add("ocdsup", text)
    verbs.changed()
    await asyncio.sleep(0)
    assert [line["text"] for line in events] == ["last words", "first words", "further words"]
    following.cancel()
    await asyncio.wait([following])
    new.ring.add("ocdsup", "after")
    assert (len(events), verbs._watchers) == (3, [])


async def test_who_follows_one_bench_hears_nothing_of_one_that_is_added(rig: Rig, verbs: Verbs) -> None:
    rig.bench()
    events = list[Any]()
    following = asyncio.create_task(verbs.carry_out(Request(1, "logs", "nucleo", {"follow": True}), events.append))
    await asyncio.sleep(0)
    rig.bench(rig.config(name="disco")).ring.add("ocdsup", "of another")
    verbs.changed()
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following])
    assert events == []


@pytest.mark.parametrize(("verb", "said"), [("stop", True), ("resume", True), ("status", False), ("why", False)])
async def test_what_is_asked_for_at_a_console_is_in_the_log_when_it_acts(rig: Rig, verbs: Verbs, verb: str, said: bool) -> None:
    """As it is for the control socket: who wonders why OpenOCD went finds it."""
    bench = rig.bench()
    async with asyncio.timeout(20):
        await verbs.telnet(bench, verb, {"force": True} if said else {})
    asked = {"bench": "nucleo", "verb": verb, "args": {"force": True}, "by": "a telnet or GDB console"}
    assert rig.log.named("asked") == ([asked] if said else [])
    assert any("asked verb" in str(line["text"]) for line in bench.ring.last(10)) is said


async def test_watch_shows_the_snapshot_at_once_and_at_every_change(rig: Rig, verbs: Verbs, until: Until) -> None:
    rig.bench()
    events: list[Any] = []
    watching = asyncio.create_task(verbs.carry_out(Request(1, "watch"), events.append))
    await until(lambda: len(events) == 1)
    verbs.changed()
    await until(lambda: len(events) == 2)
    watching.cancel()
    await asyncio.wait([watching])
    verbs.changed()
    assert len(events) == 2
    assert verbs._watchers == []


async def test_wait_answers_when_the_port_is_usable(rig: Rig, verbs: Verbs) -> None:
    bench = rig.bench()
    waiting = asyncio.create_task(ask(verbs, "wait", "nucleo"))
    bench.start()
    assert (await waiting)["gdb"] == list(bench.ports.gdb_numbers)
    assert bench.driver.state.phase is Phase.READY


async def test_wait_gives_up_with_the_summary_and_the_next_step(rig: Rig, verbs: Verbs) -> None:
    rig.bench()
    refused = await refusal(verbs, "wait", timeout=0.01)
    assert (refused.code, refused.hint) == ("not-usable", "`ocdsup why nucleo`")
    assert "within 0.01 s" in str(refused)


async def test_stop_is_answered_when_openocd_is_gone_and_start_when_it_is_back(rig: Rig, verbs: Verbs) -> None:
    bench = await rig.up()
    await ask(verbs, "stop", "nucleo")
    assert (bench.backend_pid, bench.driver.state.phase) == (None, Phase.STOPPED)
    answer = await ask(verbs, "start", "nucleo")
    assert bench.driver.state.phase is Phase.READY
    assert answer["text"] == bench.snapshot()["summary"]


async def test_start_of_a_bench_that_is_up_changes_nothing(rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await rig.up()
    events = posted(bench, monkeypatch)
    assert (await ask(verbs, "start", "nucleo"))["text"] == bench.snapshot()["summary"]
    assert events == []


async def test_stop_that_does_not_come_about_is_an_error(rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await rig.up()
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    monkeypatch.setattr(bench, "_perform", lambda _effect: None)
    monkeypatch.setattr(bench.driver, "_perform", lambda _effect: None)
    assert (await refusal(verbs, "stop")).code == "failed"
    monkeypatch.undo()
    pid = bench.backend_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await phase(bench, Phase.STOPPED)


@pytest.mark.parametrize("under_reset", [True, False])
async def test_restart_is_answered_by_a_new_openocd(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, under_reset: bool
) -> None:
    bench = await rig.up()
    events, pid, run = posted(bench, monkeypatch), bench.backend_pid, bench.driver.state.run
    answer = await ask(verbs, "restart", "nucleo", under_reset=under_reset)
    assert events[0] == ev.RestartAsked(under_reset)
    assert (bench.backend_pid != pid, bench.driver.state.run > run) == (True, True)
    assert answer["text"] == bench.snapshot()["summary"]


async def test_restart_is_answered_also_when_it_is_clear_that_it_fails(rig: Rig, verbs: Verbs) -> None:
    config = rig.config()
    bench = await rig.up(config)
    fake_openocd.write(rig.folder / "openocd-nucleo", DIES)
    answer = await ask(verbs, "restart", "nucleo")
    assert bench.driver.state.phase is not Phase.READY
    assert answer["text"]


async def test_restart_is_answered_after_the_limit_whatever_happens(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody waits at a terminal."""
    bench = await rig.up()
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    fake_openocd.write(rig.folder / "openocd-nucleo", "sys.stdin.read()")
    assert (await ask(verbs, "restart", "nucleo"))["text"]
    assert bench.driver.state.phase is not Phase.READY


def held(rig: Rig) -> LiveBench:
    """A bench whose probe somebody else has."""
    bench = rig.bench()
    bench.driver.state.phase = Phase.BLOCKED
    return bench


async def test_a_stopped_bench_ends_nobody_and_says_so_at_once(rig: Rig, verbs: Verbs) -> None:
    rig.bench()
    refused = await refusal(verbs, "evict", force=True)
    assert (refused.code, refused.hint) == ("refused", "`ocdsup start nucleo` takes the probe")
    assert "it is stopped" in str(refused)


async def test_a_look_that_does_not_come_to_an_end_is_not_an_answer_that_nobody_holds_the_probe(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVICT_S", 0.05)
    monkeypatch.setattr(held(rig), "_look", lambda *_: None)
    refused = await refusal(verbs, "evict")
    assert (refused.code, "within 0.05 s" in str(refused)) == ("failed", True)


async def test_a_lent_probe_is_neither_restarted_nor_evicted(rig: Rig, verbs: Verbs) -> None:
    bench = await rig.up()
    await ask(verbs, "lend", "nucleo", seconds=100)
    for verb in ("restart", "evict"):
        assert (await refusal(verbs, verb)).code == "refused"
    await ask(verbs, "resume", "nucleo")
    await phase(bench, Phase.READY)


SEEN = tuple(ev.HolderSeen(pid, 1, "code", "bench", "", stale=False, evict=False, why="no OpenOCD") for pid in (11, 12))


@pytest.mark.parametrize(
    ("seen", "ended", "text"),
    [
        ((), frozenset(), "nobody else holds the probe"),
        (SEEN, frozenset({11, 12}), "ended 2 of 2"),
        (SEEN, frozenset({11}), "ended 1 of 2; left alone: PID 12 code, user bench: no OpenOCD"),
    ],
)
async def test_evict_tells_who_was_ended_and_who_was_not(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, seen: tuple[ev.HolderSeen, ...], ended: frozenset[int], text: str
) -> None:
    async def evict(*, force: bool, limit_s: float, by: str) -> Any:
        return seen, ended

    monkeypatch.setattr(held(rig), "evict", evict)
    assert await ask(verbs, "evict", "nucleo") == {"text": text, "ended": sorted(ended)}


async def test_an_eviction_that_ended_nobody_is_refused_with_the_way_to_insist(
    rig: Rig, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def evict(*, force: bool, limit_s: float, by: str) -> Any:
        return SEEN, frozenset()

    monkeypatch.setattr(held(rig), "evict", evict)
    refused = await refusal(verbs, "evict")
    assert refused.code == "refused"
    assert "no OpenOCD" in str(refused)
    assert "--force" in str(refused)


async def test_probes_are_those_of_the_pc_and_of_the_benches_servers(rig: Rig, verbs: Verbs) -> None:
    await rig.up()
    (probe,) = [one for one in (await ask(verbs, "probes"))["probes"] if one["serial"] == rig.sim.probes[0].serial]
    assert probe["bench"] == "nucleo"


@pytest.mark.parametrize(
    ("peer", "ok"), [((7, 0), True), ((7, os.geteuid()), True), ((7, os.geteuid() + 12345), False), (None, False)]
)
async def test_tcl_that_may_do_anything_is_for_root_and_the_daemons_own_user(
    rig: Rig, verbs: Verbs, peer: tuple[int, int] | None, ok: bool
) -> None:
    """Tcl is a shell as the daemon's user. Where it is let through it comes as far as the bench, which has no OpenOCD yet."""
    rig.bench()
    with pytest.raises(ControlError) as caught:
        await verbs.carry_out(Request(1, "tcl", "nucleo", {"script": "exec id"}, peer=peer), lambda _event: None)
    assert caught.value.code == ("not-usable" if ok else "denied")


async def test_what_tells_the_benches_apart_is_data_and_no_tcl(rig: Rig, verbs: Verbs) -> None:
    """The drop-in and `ide` use it also while there is no OpenOCD; what they run they make themselves."""
    rig.bench()
    (told,) = (await ask(verbs, "benches"))["benches"]
    assert set(told["pin"]) == {"vid_pid", "serial", "location", "server"}
    assert heard(told["pin"]) == heard({**told["pin"], "node": "1:4"})
    assert {"config", "search", "commands", "adapter_speed_khz", "binary"} <= set(told)
    assert "pins" not in told


async def test_reload_and_help_answer(verbs: Verbs) -> None:
    assert await ask(verbs, "reload") == {"text": "1 changed"}
    assert set((await ask(verbs, "help"))["verbs"]) == set(module._TABLE)


# In text


async def test_telnet_status_is_text_or_the_same_object_as_everywhere(rig: Rig, verbs: Verbs) -> None:
    bench = await rig.up()
    assert "nucleo" in await verbs.telnet(bench, "status", {})
    shown = json.loads(await verbs.telnet(bench, "status", {"json": True}))
    assert shown["benches"][0]["name"] == "nucleo"


async def test_telnet_words_are_about_the_bench_of_the_port(rig: Rig, verbs: Verbs) -> None:
    bench = rig.bench()
    other = rig.bench(rig.config(name="disco"))
    bench.ring.add("openocd", "Info : mine")
    other.ring.add("openocd", "Info : theirs")
    told = await verbs.telnet(bench, "logs", {"lines": 5})
    assert "mine" in told
    assert "theirs" not in told
    assert "nucleo" in await verbs.telnet(bench, "why", {})
    assert "ocdsup status" in await verbs.telnet(bench, "help", {})
    assert await verbs.telnet(bench, "stop", {}) == bench.snapshot()["summary"]


async def test_a_refusal_on_telnet_is_a_sentence(rig: Rig, verbs: Verbs) -> None:
    assert (await verbs.telnet(rig.bench(), "resume", {})).startswith("ocdsup: cannot take the probe back: it is not lent")
