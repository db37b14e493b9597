"""The command sequences of four IDEs, before, during and after a `kill -9` of OpenOCD, within the limits of those IDEs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import Desk, function
from tests.sessions.ide_books import BOOKS, CORTEX_DEBUG, Book
from tests.sessions.ide_player import Player, Said, answer

MEMORY = "-data-read-memory-bytes"
REGISTERS = "-data-list-register-values"
# What GDB prints when answers and questions no longer belong together, or when the connection is lost.
BROKEN = ("gnoring packet error", "Remote connection closed", "ommunication error", "nexpected", "Invalid remote reply")


class Studio:
    """A desk at which IDEs are played."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.players: list[Player] = []

    def open(self, book: Book) -> Player:
        """Start an IDE's GDB."""
        player = Player(book, firmware(), self.desk.port, self.folder)
        self.players.append(player)
        return player

    def kill(self) -> int:
        """`kill -9` of OpenOCD; returns how many recoveries there will have been when it is survived."""
        before = self.desk.recoveries()
        os.kill(self.desk.pid(), signal.SIGKILL)
        return before + 1

    def close(self) -> None:
        """Every GDB heard nothing strange; end those that are left."""
        strange = [line for player in self.players for line in player.log if any(part in line for part in BROKEN)]
        for player in self.players:
            player.close()
        assert strange == []


@pytest.fixture
def second_client() -> str:
    """The policy of the bench."""
    return "refuse"


@pytest.fixture
def studio(rig: Rig, second_client: str, tmp_path: Path) -> Iterator[Studio]:
    """A ready bench for IDEs."""
    with closing(Desk(rig, second_client=second_client)) as desk, closing(Studio(desk, tmp_path)) as studio:
        yield studio


every_ide = pytest.mark.parametrize("ide", BOOKS)
# What an IDE says does not depend on the driver: the second one is run by `./dev system`.
drivers = pytest.mark.parametrize("mode", ["hla", pytest.param("dap", marks=pytest.mark.system)])


@every_ide
@drivers
def test_the_session_of_an_ide_goes_through_a_restart(studio: Studio, ide: str) -> None:
    """Launch, views, breakpoint, step, pause and restart button: the same in front of, during and behind a restart."""
    ide_gdb = studio.open(BOOKS[ide])
    book = ide_gdb.book
    assert function(ide_gdb.start()) == "main"
    ide_gdb.good(ide_gdb.play((book.break_at,), where="blink"))
    ide_gdb.good(ide_gdb.play((book.resume,)))
    assert function(ide_gdb.stop()) == "blink"
    views = ide_gdb.good(ide_gdb.play(book.at_stop))

    recovery = studio.kill()
    during = ide_gdb.play(book.at_stop)  # every line is answered; if not with the truth then with an error
    studio.desk.rig.recovered(recovery)
    assert studio.desk.sim.core() == "halted"
    after = ide_gdb.good(ide_gdb.play(book.at_stop))
    for view in (MEMORY, REGISTERS):
        assert answer(after, view) == answer(views, view)
        assert answer(during, view) == answer(views, view) or next(s for s in during if view in s.line).kind == "error"

    ide_gdb.good(ide_gdb.play((book.step,)))
    assert "end-stepping-range" in ide_gdb.stop()
    ide_gdb.good(ide_gdb.play((book.resume,)))
    assert function(ide_gdb.stop()) == "blink"

    ide_gdb.good(ide_gdb.play(("-break-delete",)))
    ide_gdb.good(ide_gdb.play((book.resume,)))
    studio.desk.core_is("running")
    recovery = studio.kill()
    ide_gdb.good(ide_gdb.play((book.pause,)))
    assert "SIGINT" in ide_gdb.stop()
    studio.desk.rig.recovered(recovery)
    ide_gdb.good(ide_gdb.play(book.at_stop))

    if ide == "cpptools":  # its breakpoint at `main` is an ordinary one
        ide_gdb.good(ide_gdb.play((book.break_at,), where="main"))
    ide_gdb.good(ide_gdb.play(book.restart))
    assert function(ide_gdb.stop()) == "main"
    ide_gdb.leave()
    studio.desk.sessions_are(0)
    studio.desk.core_is("running")


@every_ide
@drivers
def test_an_ide_may_start_and_leave_while_openocd_is_away(studio: Studio, ide: str) -> None:
    """The launch waits for OpenOCD, the farewell does not, and the core runs on as if both had been at a quiet time."""
    recovery = studio.kill()
    ide_gdb = studio.open(BOOKS[ide])
    assert function(ide_gdb.start()) == "main"
    studio.desk.rig.recovered(recovery)
    ide_gdb.good(ide_gdb.play(ide_gdb.book.at_stop))
    recovery = studio.kill()
    ide_gdb.leave()
    studio.desk.sessions_are(0)
    studio.desk.rig.recovered(recovery)
    studio.desk.core_is("running")
    assert studio.desk.rig.ready()["targets"][0]["state"] == "running"


@pytest.mark.parametrize("second_client", ["share"])
def test_live_watch_of_cortex_debug_goes_through_a_restart(studio: Studio) -> None:
    """The second GDB sees the variable count while the first runs, before and after; the first hits its breakpoint."""
    ide_gdb = studio.open(CORTEX_DEBUG)
    assert function(ide_gdb.start()) == "main"
    live = studio.open(CORTEX_DEBUG)
    live.good(live.play(CORTEX_DEBUG.live))
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.resume,)))
    studio.desk.core_is("running")
    live.good(live.play(CORTEX_DEBUG.watch))

    def counts() -> None:
        seen = live.good(live.play(CORTEX_DEBUG.refresh))[0].rest
        until("see it count", lambda: live.good(live.play(CORTEX_DEBUG.refresh))[0].rest != seen, PATIENCE)

    counts()
    recovery = studio.kill()
    live.play(CORTEX_DEBUG.refresh)
    studio.desk.rig.recovered(recovery)
    counts()
    assert studio.desk.sim.core() == "running"
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.pause,)))
    assert "SIGINT" in ide_gdb.stop(2.0)
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.break_at,), where="blink"))
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.resume,)))
    assert function(ide_gdb.stop()) == "blink"
    live.leave()
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.resume,)))
    assert function(ide_gdb.stop()) == "blink"
    ide_gdb.leave()
    studio.desk.sessions_are(0)
    studio.desk.core_is("running")


@drivers
@pytest.mark.parametrize("away", [False, True], ids=["at a quiet time", "while OpenOCD is away"])
def test_cortex_debug_attaches_to_a_board_that_runs_and_leaves_it_running(studio: Studio, away: bool) -> None:
    """No reset and no load: the program is where it was, in front of and behind a restart, and goes on when the IDE leaves."""
    boots = studio.desk.sim.control.status()[0]["boots"]
    recovery = studio.kill() if away else studio.desk.recoveries()
    ide_gdb = studio.open(CORTEX_DEBUG)
    ide_gdb.good(ide_gdb.play(CORTEX_DEBUG.attach))
    studio.desk.rig.recovered(recovery)
    studio.desk.core_is("halted")
    views = ide_gdb.good(ide_gdb.play(CORTEX_DEBUG.at_stop))
    recovery = studio.kill()
    ide_gdb.play(CORTEX_DEBUG.at_stop)
    studio.desk.rig.recovered(recovery)
    assert answer(ide_gdb.good(ide_gdb.play(CORTEX_DEBUG.at_stop)), REGISTERS) == answer(views, REGISTERS)
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.break_at,), where="blink"))
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.resume,)))
    assert function(ide_gdb.stop()) == "blink"
    ide_gdb.leave()
    studio.desk.sessions_are(0)
    studio.desk.core_is("running")
    assert studio.desk.sim.control.status()[0]["boots"] == boots


def test_cortex_debug_and_openocd_agree_behind_its_reset(studio: Studio) -> None:
    """`gdb_sync`: the step that follows is none, and GDB learns where the core stands."""
    ide_gdb = studio.open(CORTEX_DEBUG)
    assert function(ide_gdb.start()) == "main"
    ide_gdb.good(ide_gdb.play(CORTEX_DEBUG.sync))
    stop = ide_gdb.stop()
    at = re.search(r'addr="(0x[0-9a-f]+)"', stop)
    assert at is not None, stop
    assert int(at[1], 0) == int(studio.desk.rig.tcl("lindex [get_reg pc] 1"), 0)
    ide_gdb.good(ide_gdb.play((CORTEX_DEBUG.resume,)))
    studio.desk.core_is("running")
    ide_gdb.leave()


@drivers
def test_cortex_debug_gets_the_answer_to_its_farewell_in_its_tenth_of_a_second(studio: Studio) -> None:
    """On a machine that others use too it may miss that limit; then the core runs on just the same, and it is tried again."""
    said: list[Said] = []
    for _attempt in range(5):
        ide_gdb = studio.open(CORTEX_DEBUG)
        assert function(ide_gdb.start()) == "main"
        said = ide_gdb.leave()
        studio.desk.sessions_are(0)
        studio.desk.core_is("running")
        if [line.line for line in said] == ["-break-delete", "-target-detach", "-gdb-exit"]:
            return
    pytest.fail(f"the detach took {said[1].took:.3f} s")
