"""`monitor` in GDB: what the supervisor answers itself, also while OpenOCD is away, and what each policy lets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from tests.bench.rig import Rig
from tests.sessions.desk import Desk, console, hits, value

pytestmark = pytest.mark.parametrize("mode", ["hla"])
GDB_PATIENCE = 6.0  # seconds: then GDB gives a `monitor` up, seen with GDB 13.1


@pytest.fixture
def policy() -> str:
    """The `monitor` of the bench."""
    return "full"


@pytest.fixture
def desk(rig: Rig, policy: str) -> Iterator[Desk]:
    """A desk whose bench has that policy, and a GDB at its breakpoint."""
    with closing(Desk(rig, monitor=policy)) as desk:
        gdb = desk.gdb()
        gdb.command("-break-insert -h blink")
        hits(gdb)
        yield desk


def monitor(gdb: Gdb, line: str) -> str:
    """All that GDB's user sees of one `monitor` line; an error of the command is part of it."""
    before = len(gdb.log)
    quoted = line.replace("\\", "\\\\").replace('"', '\\"')
    try:
        gdb.command(f'-interpreter-exec console "monitor {quoted}"', GDB_PATIENCE)
    except GdbError as error:
        return f"{console_since(gdb, before)}\nerror: {error}"
    return console_since(gdb, before)


def console_since(gdb: Gdb, before: int) -> str:
    """What was printed for the user since then."""
    pieces = [line[2:-1] for line in gdb.log[before:] if line[:1] in "~@&"]
    return "".join(pieces).replace("\\n", "\n")


def test_the_supervisor_answers_in_the_debug_console(desk: Desk) -> None:
    """Status, diagnosis and help are there in the middle of a session, and cost it nothing."""
    (gdb,) = desk.gdbs
    before = value(gdb, "$pc")
    assert "one" in (status := monitor(gdb, "ocdsup status"))
    assert "ready" in status
    assert "error" not in monitor(gdb, "ocdsup why")
    told = monitor(gdb, "ocdsup help")
    assert "ocdsup restart [--under-reset]" in told
    assert "exit" not in told
    assert "unknown word" in monitor(gdb, "ocdsup make coffee")
    assert value(gdb, "$pc") == before
    hits(gdb)


def test_the_supervisor_answers_while_openocd_is_away(desk: Desk) -> None:
    """What is wrong is said where the user looks; OpenOCD's own lines fail with the reason, and the session goes on."""
    (gdb,) = desk.gdbs
    with desk.outage():
        assert "blocked" in monitor(gdb, "ocdsup status")
        assert "plug" in monitor(gdb, "ocdsup why").lower()
        assert "lend SECONDS" in monitor(gdb, "ocdsup help")
        refused = monitor(gdb, "reg pc")
        assert "OpenOCD is away" in refused
        assert "error: " in refused
        assert "blocked" in monitor(gdb, "ocdsup status")
    assert "pc (/32)" in monitor(gdb, "reg pc")
    hits(gdb)
    assert "gnoring packet error" not in console(gdb)


def test_a_restart_may_be_asked_for_in_the_debug_console(desk: Desk) -> None:
    """`monitor ocdsup restart` replaces OpenOCD under the very session that asks for it."""
    (gdb,) = desk.gdbs
    pid = desk.pid()
    assert "error" not in monitor(gdb, "ocdsup restart")
    desk.rig.until("be another one", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != pid)
    hits(gdb)


ESCAPES = (
    "exec touch {file}",
    "reset halt; exec touch {file}",
    "mdw [exec touch {file}]",
    "eval {{exec touch {file}}}",
    "shutdown",
    "shutdown curstate",
    "exec curstate",
)


@pytest.mark.parametrize("policy", ["safe", "off"])
def test_what_the_policy_forbids_never_reaches_openocd(desk: Desk, policy: str, tmp_path: Path) -> None:
    """No program is started and OpenOCD is not ended; the user is told which setting it was."""
    (gdb,) = desk.gdbs
    pid, file = desk.pid(), tmp_path / "touched"
    for line in ESCAPES:
        said = monitor(gdb, line.format(file=file))
        assert f"(monitor: {policy})" in said, said
        assert "error: " in said
    assert not file.exists()
    assert desk.pid() == pid
    assert "ready" in monitor(gdb, "ocdsup status")
    hits(gdb)


@pytest.mark.parametrize("policy", ["safe", "off"])
def test_what_ides_send_passes_safe_and_not_off(desk: Desk, policy: str) -> None:
    """The lines of `tests/sessions/ide_books.py`: with `safe` an IDE does not notice, with `off` it is told."""
    (gdb,) = desk.gdbs
    for line in ("reset init", "halt", "arm semihosting enable", "reg", "init", "reset halt", "gdb_sync", "sleep 1"):
        said = monitor(gdb, line)
        assert ("error: " in said) is (policy == "off"), said
    gdb.command("-target-download")
    hits(gdb)


def test_full_lets_everything_pass(desk: Desk, tmp_path: Path) -> None:
    """The default is OpenOCD's own console, with all that Tcl can do."""
    (gdb,) = desk.gdbs
    file = tmp_path / "touched"
    monitor(gdb, f"exec touch {file}")
    assert file.exists()
    assert "0x20000000" in monitor(gdb, "mdw 0x20000000 [expr {1 + 1}]")
