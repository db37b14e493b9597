"""`ocdsup why [BENCH]`: the diagnosis in plain words."""

from __future__ import annotations

import json

from ocdsup.cli.ask import ask
from ocdsup.control.render import safe

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("why", description="The diagnosis: fault, evidence, what was tried, what comes next, what to do.")
    verb.add_argument("bench", nargs="?", metavar="BENCH")
    verb.add_argument("--json", action="store_true", help="the answer as one line of JSON")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis."""
    answer = ask(options, "why")
    print(json.dumps(answer) if options.json else safe(str(answer["text"])))
    return 0
