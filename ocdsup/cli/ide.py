"""`ocdsup ide NAME [BENCH]`: what to paste into an IDE so that it uses a bench's stable port."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocdsup.cli.ask import ask
from ocdsup.control.render import safe
from ocdsup.errors import ControlError
from ocdsup.ide.place import Place, gdb_for
from ocdsup.ide.tools import TOOLS
from ocdsup.openocd.pin import heard
from ocdsup.openocd.tcl import tcl_quote

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "ide", description="Print what an IDE needs to use a bench's stable port; it starts no OpenOCD then."
    )
    verb.add_argument("tool", choices=TOOLS, metavar="NAME", help=", ".join(TOOLS))
    verb.add_argument("bench", nargs="?", metavar="BENCH", help="needed if there are several")
    verb.add_argument("--elf", metavar="FILE", help="the program, as the tool writes paths")
    verb.add_argument("--gdb", metavar="PROGRAM", help="the GDB to use")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the snippet; where it goes is said on stderr."""
    place = _known(_chosen(_benches(options), options.bench))
    tool = TOOLS[options.tool]
    print(tool.make(replace(place, gdb=options.gdb or gdb_for(place.files), elf=options.elf)), end="")
    print(f"ocdsup: this goes to {tool.place}", file=sys.stderr)
    return 0


def _benches(options: argparse.Namespace) -> list[Place]:
    """Every bench: from the daemon, which knows its ports, else from the configuration."""
    try:
        found = ask(argparse.Namespace(**{**vars(options), "bench": None}), "benches")["benches"]
    except ControlError as error:
        if error.code != "not-running":
            raise
        return _configured(options.config)
    return [_running(bench) for bench in found]


def _running(bench: dict[str, Any]) -> Place:
    """What is configured, also while there is no OpenOCD: it is set up then."""
    pin = heard(bench.get("pin"))
    return Place(
        str(bench["name"]),
        int(bench["ports"]["gdb"][0]),
        int(bench["ports"]["telnet"]),
        files=_words(bench["config"]),
        serial=_tcl(pin.serial),
        location=pin.location,
        search=_words(bench["search"]),
        speed_khz=bench.get("adapter_speed_khz"),
        commands=_words(bench.get("commands") or ()),
    )


def _tcl(text: str | None) -> str | None:
    return tcl_quote(text) if text else None


def _words(told: Iterable[object]) -> tuple[str, ...]:
    """Text of the daemon's, which goes to a terminal."""
    return tuple(safe(str(one)) for one in told)


def _configured(file: str | None) -> list[Place]:
    from ocdsup.cli.check import default_config
    from ocdsup.config.__main__ import read

    return [
        Place(
            one.name,
            one.ports.gdb,
            one.ports.telnet,
            files=tuple(one.openocd.config),
            serial=_tcl(one.probe.serial),
            location=one.probe.location,
            search=tuple(one.openocd.search),
            speed_khz=one.openocd.adapter_speed_khz,
            commands=tuple(one.openocd.commands),
        )
        for one in read(file or default_config()).config.benches
    ]


def _known(place: Place) -> Place:
    if 0 in (place.gdb_port, place.telnet_port):
        what, why = (
            f"tell the ports of {place.bench}",
            "its configuration says 0, any free one, and no daemon runs that could tell which",
        )
        raise ControlError("not-running", what, why, "start the daemon, or give it fixed ports")
    return place


def _chosen(rows: list[Place], name: str | None) -> Place:
    if name is None and len(rows) == 1:
        return rows[0]
    for row in rows:
        if row.bench == name:
            return row
    names = ", ".join(row.bench for row in rows)
    what = "choose a bench" if name is None else f"find the bench {name}"
    raise ControlError("unknown-bench", what, f"there are {names}", "name one of them")
