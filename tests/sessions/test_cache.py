"""`cache: true`: what ocdsup answers in OpenOCD's place is what OpenOCD would have answered, whoever changed it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from ocdsup.demo.gdb import Gdb
from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import Desk, hits, value

FLASH = 0x08004000  # behind the demo firmware, in a sector of its own
RAM = 0x20002000


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A desk whose bench answers from memory where it can."""
    with closing(Desk(rig, cache=True)) as desk:
        yield desk


def shown(gdb: Gdb) -> dict[str, int]:
    """What a GDB that has forgotten everything is answered: registers, flash and RAM."""
    for cache in ("register-cache", "dcache"):
        gdb.command(f'-interpreter-exec console "maintenance flush {cache}"')
    words = {name: f"${name}" for name in ("pc", "sp", "r0", "r7")}
    words |= {f"{at:#x}": f"*(unsigned *){at:#x}" for at in (0x08000000, FLASH, RAM)}
    return {name: value(gdb, f"(unsigned){word}") for name, word in words.items()}


def truth(desk: Desk) -> dict[str, int]:
    """The same, asked of OpenOCD itself by the control socket."""
    names, places = ("pc", "sp", "r0", "r7"), (0x08000000, FLASH, RAM)
    asked = [f"[reg {name}]" for name in names] + [f"[mdw {at:#x}]" for at in places]
    text: str = desk.rig.ask("tcl", "one", script=f'set all "{" ".join(asked)}"')["text"]
    found = {name: int(word, 16) for name, word in zip(names, re.findall(r"/32\): (0x[0-9a-f]+)", text), strict=True)}
    words = re.findall(r"0x[0-9a-f]{8}: ([0-9a-f]{8})", text)
    return found | {f"{at:#x}": int(word, 16) for at, word in zip(places, words, strict=True)}


def step(desk: Desk, gdb: Gdb) -> None:
    """One instruction."""
    gdb.command("-exec-step-instruction")
    gdb.wait_stop(PATIENCE)


def write_in_gdb(desk: Desk, gdb: Gdb) -> None:
    """A register and RAM."""
    gdb.command('-data-evaluate-expression "$r7=0x1234"')
    gdb.command(f'-data-evaluate-expression "*(unsigned *){RAM:#x}=0x5678"')


def write_on_telnet(desk: Desk, gdb: Gdb) -> None:
    """Behind GDB's back."""
    desk.rig.tcl("reg r7 0x4321")
    desk.rig.tcl(f"mww {RAM:#x} 0x8765")


def flash_on_telnet(desk: Desk, gdb: Gdb) -> None:
    """Flash, behind GDB's back."""
    desk.rig.tcl(f"flash fillw {FLASH:#x} 0x11223344 4")


def flash_by_monitor(desk: Desk, gdb: Gdb) -> None:
    """Flash, by GDB's user."""
    gdb.command('-interpreter-exec console "monitor flash erase_address 0x08004000 0x4000"')


def write_by_verb(desk: Desk, gdb: Gdb) -> None:
    """By another program, through the control socket."""
    desk.rig.ask("tcl", "one", script=f"reg r7 0x77; flash fillw {FLASH + 16:#x} 1 1; flash fillw {FLASH:#x} 0x55667788 1")


def reset_by_monitor(desk: Desk, gdb: Gdb) -> None:
    """A reset that GDB's user wants."""
    gdb.command('-interpreter-exec console "monitor reset halt"')


def step_on_telnet(desk: Desk, gdb: Gdb) -> None:
    """The core moves behind GDB's back."""
    desk.rig.tcl("step")


def run_on(desk: Desk, gdb: Gdb) -> None:
    """To the next breakpoint."""
    hits(gdb)


def load(desk: Desk, gdb: Gdb) -> None:
    """The program, written anew."""
    gdb.command("-target-download", PATIENCE)


def restart(desk: Desk, gdb: Gdb) -> None:
    """`kill -9` of OpenOCD."""
    desk.kill_and_recover()


CHANGES: list[Callable[[Desk, Gdb], None]] = [
    step,
    write_in_gdb,
    write_on_telnet,
    flash_on_telnet,
    flash_by_monitor,
    write_by_verb,
    step_on_telnet,
    restart,
    run_on,
    reset_by_monitor,
    step,
    load,
]


def test_what_is_answered_is_true_whoever_changed_it(desk: Desk) -> None:
    """After each of GDB's own changes, other people's, resets and a restart: the same as on OpenOCD's console."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    wrong = {}
    assert shown(gdb) == truth(desk)
    for change in CHANGES:
        shown(gdb)  # so that there is something to be forgotten
        change(desk, gdb)
        now = shown(gdb)
        if now != (real := truth(desk)):
            wrong[change.__name__] = {name: (now[name], real[name]) for name in now if now[name] != real[name]}
    assert wrong == {}
