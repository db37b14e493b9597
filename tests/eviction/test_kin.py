"""Whose child a holder is: a borrower's, or ours, however many programs stand in between. With the real OpenOCD."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from ocdsup.demo.stage import is_alive
from tests.bench.rig import PATIENCE, gone
from tests.eviction.test_ides import PARENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.rig import Rig, Sim

TARGET = "target/stm32f4x.cfg"
LEND = [sys.executable, "-m", "ocdsup", "lend", "one", "--"]


def server(sim: Sim) -> list[str]:
    """A borrower's OpenOCD, which nobody is connected to."""
    words = ["gdb_port 0", "telnet_port 0", "tcl_port 0", f"hla_stlink_backend tcp {sim.port}"]
    return ["openocd", "-f", "interface/stlink.cfg", *(part for word in words for part in ("-c", word)), "-f", TARGET]


@pytest.mark.parametrize("scrub", [[], ["env", "-u", "OCDSUP_LEASE"]], ids=["with the mark of the loan", "without it"])
def test_what_a_borrower_has_started_is_left_alone_by_the_next_daemon_however_deep_it_is(rig: Rig, scrub: list[str]) -> None:
    """`make` in a loan, whose recipe starts an OpenOCD, outlives the daemon that lent the probe."""
    sim = rig.sim()
    config = rig.bench(sim)
    rig.run(one=config)
    rig.ready()
    pidfile = rig.folder / "server.pid"
    make = ["python3", "-c", PARENT, str(rig.folder / "recipe.pid"), *scrub, "python3", "-c", PARENT, str(pidfile)]
    borrower = rig.start("lend", [*LEND, *make, *server(sim)])
    borrower.await_line("for telnet connections", PATIENCE)
    pid = int(pidfile.read_text())
    rig.kill()
    borrower.await_line("goes on")
    rig.run(one=config)
    seen = rig.until("see it longer than the grace time", lambda bench: bench["phase"] == "blocked" and bench["since_s"] > 4)
    (holder,) = seen["probe"]["holders"]
    assert (holder["pid"], holder["stale"], "borrow" in holder["why"]) == (pid, False, True), holder["why"]
    assert is_alive(pid)
    os.kill(pid, signal.SIGTERM)
    assert borrower._process.wait(PATIENCE) == 0
    assert rig.ready()["counters"]["evictions"] == 0


def test_what_a_borrower_leaves_behind_is_nobody_s_when_the_loan_is_over(rig: Rig) -> None:
    """Guard and command were killed, and with them the loan ended; an orphan does not have the probe on loan."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    pidfile = rig.folder / "server.pid"
    script = 'echo guard $PPID; exec "$@"'
    recipe = ["sh", "-c", script, "sh", "python3", "-c", PARENT, str(pidfile)]
    borrower = rig.start("lend", [*LEND, *recipe, *server(sim)])
    guard = int(borrower.await_line("guard").split()[1])
    borrower.await_line("for telnet connections", PATIENCE)
    os.kill(guard, signal.SIGKILL)
    gone(int(pidfile.read_text()))
    assert rig.ready()["counters"]["evictions"] == 1


def wrapper(folder: Path, inner: str, depth: int) -> str:
    """A program that runs another one and waits for it, as often as asked; not a shell that becomes it."""
    for level in range(depth):
        path = folder / f"wrapper-{level}"
        path.write_text(f'#!/bin/sh\n{inner} "$@"\nexit $?\n')
        path.chmod(0o755)
        inner = str(path)
    return inner


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_our_own_openocd_behind_wrappers_is_ours(rig: Rig, depth: int) -> None:
    sim = rig.sim()
    rig.run(one=rig.bench(sim, openocd={"binary": wrapper(rig.folder, "openocd", depth)}))
    rig.ready()
    done = rig.ocdsup("evict", "one", "--force")
    assert (done.returncode, done.stdout.strip()) == (0, "nobody else holds the probe"), done.stderr
    bench = rig.ready()
    assert (bench["probe"]["holders"], bench["counters"]["restarts"]) == ([], 0)
    assert '"ours": "one"' in rig.ocdsup("probes", "--json").stdout
