"""Real processes that hold a device: how each is ended, and when it is not."""

import asyncio
import contextlib
import os
import signal
import threading
from dataclasses import replace

import pytest

from ocdsup.probes.eviction import How, Patience
from ocdsup.probes.holders import Holder
from ocdsup.runtime import procfs, procs
from ocdsup.runtime.ending import EvictionResult, evict
from ocdsup.runtime.procs import find_holders, wanted
from tests.runtime.holding import HOLD, HURRY, IMPATIENT, NODE, WAIT, Start, holder_of, is_running, pids, until


async def _end(pid: int, patience: Patience = HURRY, **fields: object) -> EvictionResult:
    what = wanted([NODE])
    holder = await asyncio.to_thread(holder_of, pid, what)
    return await evict(replace(holder, **fields), what, patience)  # type: ignore[arg-type]  # fields of Holder by name


async def test_a_holder_that_obeys_is_ended_by_term(start: Start) -> None:
    pid = start(HOLD + WAIT)
    result = await _end(pid)
    assert (result.pid, result.how, result.ended) == (pid, How.TERM, True)
    assert not is_running(pid)


async def test_a_stubborn_holder_is_ended_by_kill(start: Start) -> None:
    pid = start(HOLD + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT)
    result = await _end(pid, IMPATIENT)
    assert result.how is How.KILL
    assert not is_running(pid)


async def test_a_stopped_holder_is_continued_and_ended(start: Start) -> None:
    pid = start(HOLD + WAIT)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: (status := procfs.read_stat(pid)) is not None and status.state == "T")
    result = await _end(pid)
    assert result.how is How.TERM
    assert not is_running(pid)


async def test_a_stopped_and_stubborn_holder_is_ended_by_kill(start: Start) -> None:
    pid = start(HOLD + "signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGSTOP))\n" + WAIT)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: (status := procfs.read_stat(pid)) is not None and status.state == "T")
    assert (await _end(pid, IMPATIENT)).how is How.KILL


@pytest.mark.parametrize("steps", [0, 1], ids=["before TERM", "before KILL"])
async def test_what_speaks_for_a_holder_right_before_a_step_stays_the_hand(start: Start, steps: int) -> None:
    pid = start(HOLD + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT)
    what, seen = wanted([NODE]), list[int]()

    def objection(holder: Holder) -> str:
        seen.append(holder.pid)
        return "somebody uses it" if len(seen) > steps else ""

    holder = await asyncio.to_thread(holder_of, pid, what)
    result = await evict(holder, what, IMPATIENT, objection=objection)
    assert (result.how, result.ended, result.text) == (How.LEFT, False, "somebody uses it")
    assert seen == [pid] * (steps + 1)
    assert is_running(pid)


async def test_a_reused_pid_is_left_alone(start: Start) -> None:
    pid = start(HOLD + WAIT)
    result = await _end(pid, start_ticks=1)
    assert result.how is How.GONE
    assert "another process" in result.text
    assert is_running(pid)


async def test_a_holder_that_became_another_program_is_left_alone(start: Start) -> None:
    pid = start(HOLD + WAIT)
    result = await _end(pid, exe="/usr/bin/openocd")
    assert result.how is How.REFUSED
    assert "look again" in result.text
    assert is_running(pid)


async def test_a_holder_that_lets_go_before_it_is_signalled_is_left_alone(start: Start) -> None:
    code = "import signal\nprobe = open('/dev/full')\nsignal.signal(signal.SIGUSR1, lambda *_: probe.close())\n"
    pid = start(code + WAIT)
    what = wanted([NODE])
    holder = await asyncio.to_thread(holder_of, pid, what)
    os.kill(pid, signal.SIGUSR1)
    until(lambda: procs.still_holds(pid, what) is False)
    result = await evict(holder, what, HURRY)
    assert (result.how, result.text) == (How.GONE, "it has let go of the probe")
    assert is_running(pid)


async def test_a_holder_that_lets_go_on_term_is_not_killed(start: Start) -> None:
    code = "import signal\nprobe = open('/dev/full')\nsignal.signal(signal.SIGTERM, lambda *_: probe.close())\n"
    pid = start(code + WAIT)
    result = await _end(pid, IMPATIENT)
    assert (result.how, result.ended) == (How.TERM, True)
    assert is_running(pid)


async def test_a_holder_that_is_gone_needs_no_ending(start: Start) -> None:
    pid = start(HOLD + WAIT)
    holder = await asyncio.to_thread(holder_of, pid, wanted([NODE]))
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid))
    assert (await evict(holder, wanted([NODE]), HURRY)).how is How.GONE


async def test_the_child_of_an_ended_holder_is_the_next_holder(start: Start) -> None:
    code = """
        import os, signal
        probe = open('/dev/full')
        if os.fork():
            print('ready', flush=True)
        signal.pause()
    """
    pid = start(code)
    child = next(h.pid for h in find_holders(wanted([NODE]), budget_s=10).holders if h.parent and h.parent.pid == pid)
    try:
        assert (await _end(pid)).how is How.TERM
        assert child in await asyncio.to_thread(lambda: pids(find_holders(wanted([NODE]), budget_s=10)))
        assert (await _end(child)).ended
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


async def test_an_eviction_that_is_called_off_while_it_looks_signals_nobody(start: Start) -> None:
    """Its descriptor is closed then, and the number may be another process's descriptor already."""
    pid, looks, go_on = start(HOLD + WAIT), threading.Event(), threading.Event()
    what = wanted([NODE])
    holder = await asyncio.to_thread(holder_of, pid, what)

    def objection(_holder: Holder) -> str:
        looks.set()
        assert go_on.wait(10)
        return ""

    eviction = asyncio.ensure_future(evict(holder, what, HURRY, objection=objection))
    assert await asyncio.to_thread(looks.wait, 10)
    for _ in range(2):  # somebody in a hurry
        eviction.cancel()
        await asyncio.wait({eviction}, timeout=0.01)
        assert not eviction.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await eviction
    assert is_running(pid)


async def test_nothing_is_left_open_by_an_eviction(start: Start) -> None:
    pid = start(HOLD + WAIT)
    holder = await asyncio.to_thread(holder_of, pid, wanted([NODE]))
    before = len(os.listdir("/proc/self/fd"))
    await evict(holder, wanted([NODE]), HURRY)
    assert len(os.listdir("/proc/self/fd")) == before
