"""`ocdsup logs [BENCH] [-f] [-n N]`: recent lines of OpenOCD and decisions of the supervisor."""

from __future__ import annotations

import json

from ocdsup.cli.ask import connect
from ocdsup.control.render import log_line

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("logs", description="Recent lines of OpenOCD and decisions of the supervisor.")
    verb.add_argument("bench", nargs="?", metavar="BENCH")
    verb.add_argument("-f", "--follow", action="store_true", help="go on with every new line")
    verb.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many lines (50)")
    verb.add_argument("--json", action="store_true", help="each line as an object")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the lines; with --follow until the daemon or the user ends it."""
    args = {"lines": options.lines} | ({"follow": True} if options.follow else {})
    with connect(options, for_ever=options.follow) as client:
        for part in client.stream("logs", options.bench, args):
            for line in part.get("lines", [part]):
                print(json.dumps(line) if options.json else log_line(line), flush=options.follow)
    return 0
