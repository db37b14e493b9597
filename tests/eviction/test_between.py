"""Between the verdict and each step of an eviction somebody may begin to use the OpenOCD: with the real GDB and OpenOCD."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ocdsup.core.events import HolderSeen
from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import is_alive, until
from ocdsup.demo.story import firmware
from ocdsup.probes.eviction import Ending, Policy, Seen
from ocdsup.probes.selector import ProbeSelector
from ocdsup.runtime import ending
from ocdsup.runtime import looks as module
from ocdsup.runtime.looks import Home, Looks
from tests.bench.rig import PATIENCE, SERIAL, connect, gone, read_until
from tests.eviction.test_ides import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rig import Rig, Sim
    from tests.eviction.test_ides import Ide

HOME = Home("one", lambda: "localhost:3333")


def looks(sim: Sim, policy: Policy = Policy.STALE_OPENOCD) -> Looks:
    """The eyes and the hand of a bench whose probe this is."""
    selector = ProbeSelector("0483:374b", SERIAL, server=f"127.0.0.1:{sim.port}")
    return Looks(selector, policy, 0.0, frozenset, lambda: False, home=HOME)


@pytest.fixture
def sim(rig: Rig) -> Sim:
    return rig.sim()


@pytest.fixture
def orphan(rig: Rig, sim: Sim) -> Iterator[Ide]:
    """An OpenOCD whose IDE has died, so that the default policy ends it."""
    ide = start(rig, sim, "Eclipse")
    ide.dies()
    yield ide
    if is_alive(ide.pid):
        os.kill(ide.pid, signal.SIGKILL)
    gone(ide.pid)


async def verdict(eyes: Looks, *, force: bool = False) -> HolderSeen:
    (seen,) = (await eyes.holders(force=force)).holders
    return seen


async def attach(gdb: Gdb, ide: Ide) -> None:
    await asyncio.to_thread(gdb.command, f"-target-select extended-remote localhost:{ide.gdb_port}")


async def test_a_gdb_that_attaches_after_the_verdict_stays_the_hand_as_long_as_it_is_there(sim: Sim, orphan: Ide) -> None:
    eyes = looks(sim)
    seen = await verdict(eyes)
    assert seen.evict
    with Gdb(firmware()) as gdb:
        await attach(gdb, orphan)
        ended = await eyes.end(seen.pid, seen.start)
        assert (ended.ended, ended.how, ended.text) == (False, "left-alone", "a GDB session is live")
        assert await asyncio.to_thread(gdb.command, "-data-evaluate-expression $pc")
        assert not (await verdict(eyes)).evict
    seen = await verdict(eyes)
    assert (await eyes.end(seen.pid, seen.start)).ended
    gone(orphan.pid)


@pytest.mark.parametrize("name", ["one", "other"])
@pytest.mark.parametrize("lent", [True, False], ids=["lent", "not lent"])
@pytest.mark.parametrize("grace_s", [0.0, 600.0])
async def test_the_mark_of_a_loan_that_is_over_protects_nobody(
    rig: Rig, sim: Sim, monkeypatch: pytest.MonkeyPatch, name: str, lent: bool, grace_s: float
) -> None:
    """A tmux that was started in a loan hands the mark on for days; a daemon that is new may still meet a real borrower."""
    monkeypatch.setattr(module, "LOAN_GRACE_S", grace_s)
    ide = await asyncio.to_thread(start, rig, sim, "Eclipse", OCDSUP_LEASE=name)
    selector = ProbeSelector("0483:374b", SERIAL, server=f"127.0.0.1:{sim.port}")
    home = Home("one", HOME.place, lambda: lent)
    eyes = Looks(selector, Policy.STALE_OPENOCD, 0.0, frozenset, lambda: False, home=home)
    seen = await verdict(eyes)
    borrows = name == "one" and (lent or grace_s > 0)
    assert (seen.pid, seen.evict, "borrows" in seen.why) == (ide.pid, not borrows, borrows)
    os.kill(ide.pid, signal.SIGKILL)
    gone(ide.pid)


async def test_a_telnet_client_that_comes_after_the_verdict_stays_the_hand_too(sim: Sim, orphan: Ide) -> None:
    eyes = looks(sim)
    seen = await verdict(eyes)
    with connect(orphan.telnet_port) as console:
        await asyncio.to_thread(read_until, console, b"> ")
        ended = await eyes.end(seen.pid, seen.start)
        assert (ended.how, ended.text) == ("left-alone", "a telnet or Tcl client is connected")
        assert is_alive(orphan.pid)


@pytest.mark.parametrize(("policy", "force"), [(Policy.STALE_OPENOCD, True), (Policy.OPENOCD, False), (Policy.ANY, False)])
async def test_whoever_ends_sessions_anyway_is_not_held_up_by_a_new_one(
    sim: Sim, orphan: Ide, policy: Policy, force: bool
) -> None:
    eyes = looks(sim, policy)
    seen = await verdict(eyes, force=force)
    with Gdb(firmware()) as gdb:
        await attach(gdb, orphan)
        assert (await eyes.end(seen.pid, seen.start)).ended
    gone(orphan.pid)


async def test_a_gdb_that_attaches_while_a_step_is_waited_for_stays_the_next_one(
    rig: Rig, sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This OpenOCD does not end on `shutdown`; a GDB is attached before the time of that step is up."""
    ide = start(rig, sim, "Eclipse", "-c", "proc shutdown {} {echo ASKED}")
    ide.dies()
    eyes, attached = looks(sim), asyncio.Event()
    seen = await verdict(eyes)

    async def time_up(_gone: asyncio.Event, _ending: Ending) -> Seen:
        await attached.wait()
        return Seen.TIME_UP

    monkeypatch.setattr(ending, "_outcome", time_up)
    end = asyncio.create_task(eyes.end(seen.pid, seen.start))
    await asyncio.to_thread(until, "see it asked", lambda: "\nASKED" in ide.program.output.read_text(), PATIENCE)
    with Gdb(firmware()) as gdb:
        await attach(gdb, ide)
        attached.set()
        left = await end
        assert (left.how, left.text) == ("left-alone", "a GDB session is live")
        assert await asyncio.to_thread(gdb.command, "-data-evaluate-expression $pc")
    os.kill(ide.pid, signal.SIGTERM)
    gone(ide.pid)
