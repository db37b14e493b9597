"""`on_detach`: however GDB leaves, and whatever the core did, the board is left as its owner chose, and the status says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from ocdsup.demo.gdb import Gdb
from tests.bench.rig import Rig
from tests.sessions.desk import Desk, hits, let_run


def detach(gdb: Gdb) -> None:
    """The connection stays after it: it is `extended-remote`."""
    gdb.command("-target-detach")
    gdb.command("-target-disconnect")


def disconnect(gdb: Gdb) -> None:
    """The connection ends without a word."""
    gdb.command("-target-disconnect")


def die(gdb: Gdb) -> None:
    """The kernel closes the connection."""
    os.kill(gdb.pid, signal.SIGKILL)


def stand(desk: Desk, gdb: Gdb) -> None:
    """The core stands at a breakpoint, with two comparators set that would stop it again."""
    gdb.command("-break-insert -h blink")
    hits(gdb)
    gdb.command("-gdb-set breakpoint always-inserted on")


def freed(desk: Desk, gdb: Gdb) -> None:
    """The program runs, and GDB does not know: it does not let go of a target that it believes to run."""
    gdb.command('-interpreter-exec console "monitor resume"')
    desk.core_is("running")


Act = Callable[[Gdb], None]
State = Callable[[Desk, Gdb], None]
CASES: list[tuple[State, Act]] = [
    (stand, detach),
    (stand, disconnect),
    (stand, die),
    (freed, detach),
    (freed, disconnect),
    (freed, die),
    (let_run, die),
]
AFTER: dict[str, dict[State, str]] = {
    "resume": {stand: "running", let_run: "running", freed: "running"},
    "halt": {stand: "halted", let_run: "halted", freed: "halted"},
    "leave": {stand: "halted", let_run: "running", freed: "running"},
}


@pytest.fixture(params=AFTER)
def policy(request: pytest.FixtureRequest) -> str:
    """What the bench's owner chose."""
    return str(request.param)


@pytest.fixture
def desk(rig: Rig, policy: str) -> Iterator[Desk]:
    """A desk whose bench has that policy."""
    with closing(Desk(rig, on_detach=policy)) as desk:
        yield desk


def left(desk: Desk, state: str) -> tuple[str, str]:
    """Wait until nobody is attached and the core is in that state; returns what board and status then say it is."""
    desk.sessions_are(0)
    desk.core_is(state)
    bench = desk.rig.until(f"show it {state}", lambda bench: bench["targets"][0]["state"] == state)
    return desk.sim.core(), bench["targets"][0]["state"]


# The policy is carried out in what both drivers share: the second one is run by `./dev system`.
drivers = pytest.mark.parametrize("mode", ["hla", pytest.param("dap", marks=pytest.mark.system)])


@drivers
def test_the_core_is_left_as_the_policy_says(desk: Desk, policy: str) -> None:
    """Detach, disconnect and `kill -9` of GDB, from a halted and from a running core."""
    for state, leave in CASES:
        gdb = desk.gdb()
        state(desk, gdb)
        leave(gdb)
        wanted = AFTER[policy][state]
        assert left(desk, wanted) == (wanted, wanted)


@drivers
def test_the_core_is_left_as_the_policy_says_when_openocd_is_away(desk: Desk, policy: str) -> None:
    """GDB leaves in the outage; the OpenOCD that comes next does what the policy says."""
    for state, leave in ((stand, detach), (stand, disconnect), (let_run, die)):
        gdb = desk.gdb()
        state(desk, gdb)
        before, pid = desk.recoveries(), desk.pid()
        os.kill(pid, signal.SIGSTOP)  # nothing more is said to it, and then it is gone
        os.kill(pid, signal.SIGKILL)
        leave(gdb)
        desk.rig.recovered(before + 1)
        wanted = AFTER[policy][state]
        assert left(desk, wanted) == (wanted, wanted)


@drivers
def test_a_core_that_gdb_has_left_is_not_touched_by_a_restart(desk: Desk, policy: str) -> None:
    """The connection of `extended-remote` outlives a detach; a restart of OpenOCD then is no attach."""
    gdb = desk.gdb()
    stand(desk, gdb)
    gdb.command("-target-detach")
    state = AFTER[policy][stand]
    desk.core_is(state)
    desk.kill_and_recover()
    assert desk.sim.core() == state
    desk.rig.until(f"show it {state}", lambda bench: bench["targets"][0]["state"] == state)
