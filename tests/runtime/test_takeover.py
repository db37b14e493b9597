"""Who may be taken over: a debugger that is halted and silent; never one that waits for its running program."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.policy import Policy, SecondClient
from tests.runtime.gdb_rig import HELLO, POLICY, Bench, Until, attached, ended, packets, send

RESUME = encode(b"vCont;c")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A port on which the second debugger takes the place of an idle first one."""
    made = Bench()
    made.with_policy(replace(POLICY, second_client=SecondClient.TAKEOVER, idle_after=0.0))
    made.up()
    yield made
    await made.close()


async def test_a_silent_debugger_whose_program_stands_gives_way(bench: Bench, until: Until) -> None:
    """Its connection ends, and the second one is served."""
    first, _ = await attached(bench, until)
    await attached(bench, until)
    assert await ended(first)
    assert bench.port.sessions == 1


async def test_a_silent_debugger_whose_program_runs_keeps_its_place(bench: Bench, until: Until) -> None:
    """It is silent because it waits for a stop; when that has come, its silence counts."""
    first, upstream = await attached(bench, until)
    await send(first, RESUME)
    assert await packets(upstream, 1) == [RESUME]
    second = bench.connect(HELLO)
    await until(lambda: "gdb_refused" in bench.log.events)
    assert bench.port.sessions == 1
    second.close()
    await send(upstream, encode(b"T05"))
    assert await packets(first, 1) == [encode(b"T05")]
    await attached(bench, until)
    assert await ended(first)


def test_a_minute_is_the_least_that_counts_as_idle_without_a_configuration() -> None:
    """Somebody who reads code at a breakpoint is not idle after a few seconds."""
    assert Policy().idle_after >= 60.0
