"""A reload in the middle of a debug session: what it changes holds for the session that is there, which goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import Desk, hits, value


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A desk whose bench has the defaults."""
    with closing(Desk(rig)) as desk:
        yield desk


def at_blink(desk: Desk) -> Gdb:
    """A GDB at its breakpoint."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    return gdb


def reload(desk: Desk, **changes: Any) -> None:
    """Change the bench in the file and have it read again."""
    desk.rig.write(one=desk.rig.bench(desk.sim, **changes))
    done = desk.rig.ocdsup("reload")
    assert done.stdout.startswith("1 changed, 0 started, 0 ended"), done.stderr


def test_how_a_debugger_leaves_the_core_is_what_the_file_says_when_it_leaves(desk: Desk) -> None:
    """`on_detach` was `resume` when it came; `cache` comes on and goes off under it, and it steps as before."""
    gdb, pid = at_blink(desk), desk.pid()
    for changes in ({"cache": True}, {"on_detach": "halt"}):
        before = value(gdb, "blinks")
        reload(desk, **changes)
        hits(gdb)
        assert value(gdb, "blinks") == before + 1
    gdb.command("-target-detach")
    gdb.command("-target-disconnect")
    desk.sessions_are(0)
    desk.rig.until("see the core halted", lambda bench: bench["targets"][0]["state"] == "halted")
    assert (desk.sim.core(), desk.pid()) == ("halted", pid)


def test_share_starts_openocd_again_and_the_first_debugger_goes_on_beside_the_second(desk: Desk) -> None:
    """How many connections OpenOCD takes is part of its command line."""
    first, pid = at_blink(desk), desk.pid()
    before = value(first, "blinks")
    reload(desk, second_client="share")
    desk.rig.until("see another OpenOCD", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != pid)
    second = Gdb(firmware())
    desk.gdbs.append(second)
    second.command("-gdb-set remote interrupt-on-connect off")
    second.command(f"-target-select extended-remote localhost:{desk.port}", PATIENCE)
    desk.sessions_are(2)
    assert value(second, "blinks") == before
    hits(first)
    assert value(first, "blinks") == before + 1
