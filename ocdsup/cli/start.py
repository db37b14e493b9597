"""`ocdsup start BENCH`: bring a bench's OpenOCD back."""

from __future__ import annotations

from ocdsup.cli.ask import act

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("start", description="Bring a bench's OpenOCD back.")
    verb.add_argument("bench", metavar="BENCH")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it."""
    return act(options, "start")
