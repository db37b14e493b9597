"""`ocdsup status [BENCH] [--json]`: what is going on."""

from __future__ import annotations

import json

from ocdsup.cli.ask import ask

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("status", description="What is going on.")
    verb.add_argument("bench", nargs="?", metavar="BENCH")
    verb.add_argument("--json", action="store_true", help="the snapshot as one line of JSON")
    # taking the interpreter down in order costs 4 ms, a seventh of the whole command, and there is nothing to take down
    verb.set_defaults(run=run, quick_exit=True)


def run(options: argparse.Namespace) -> int:
    """Print the snapshot."""
    snapshot = ask(options, "status")
    if options.json:
        print(json.dumps(snapshot))
    else:
        from ocdsup.control.render import status_text

        print(status_text(snapshot), end="")
    return 0
