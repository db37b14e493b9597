"""`ocdsup ide NAME [BENCH]`: what to paste into an IDE so that it uses a bench's stable port."""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from typing import Any

from ocdsup.cli.ask import ask
from ocdsup.errors import ControlError
from ocdsup.ide.place import Place, gdb_for
from ocdsup.ide.tools import TOOLS


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
    name, gdb_port, telnet_port, files, serial = _known(_chosen(_benches(options), options.bench))
    tool = TOOLS[options.tool]
    place = Place(name, gdb_port, telnet_port, options.gdb or gdb_for(files), options.elf, files, serial)
    print(tool.make(place), end="")
    print(f"ocdsup: this goes to {tool.place}", file=sys.stderr)
    return 0


Row = tuple[str, int, int, tuple[str, ...], str | None]


def _benches(options: argparse.Namespace) -> list[Row]:
    """Name, ports, OpenOCD's files, the probe's serial of every bench: from the daemon, else from the configuration."""
    try:
        return [_running(bench) for bench in ask(argparse.Namespace(**{**vars(options), "bench": None}), "status")["benches"]]
    except ControlError as error:
        if error.code != "not-running":
            raise
        return _configured(options.config)


def _running(bench: dict[str, Any]) -> Row:
    argv = (bench.get("backend") or {}).get("argv") or []
    files = tuple(file for flag, file in pairwise(argv) if flag == "-f")
    return bench["name"], bench["ports"]["gdb"][0], bench["ports"]["telnet"], files, bench["probe"]["serial"]


def _configured(file: str | None) -> list[Row]:
    from ocdsup.cli.check import default_config
    from ocdsup.config.__main__ import read

    benches = read(file or default_config()).config.benches
    return [(one.name, one.ports.gdb, one.ports.telnet, one.openocd.config, one.probe.serial) for one in benches]


def _known(row: Row) -> Row:
    if 0 in row[1:3]:
        what, why = (
            f"tell the ports of {row[0]}",
            "its configuration says 0, any free one, and no daemon runs that could tell which",
        )
        raise ControlError("not-running", what, why, "start the daemon, or give it fixed ports")
    return row


def _chosen(rows: list[Row], name: str | None) -> Row:
    if name is None and len(rows) == 1:
        return rows[0]
    for row in rows:
        if row[0] == name:
            return row
    names = ", ".join(row[0] for row in rows)
    what = "choose a bench" if name is None else f"find the bench {name}"
    raise ControlError("unknown-bench", what, f"there are {names}", "name one of them")
