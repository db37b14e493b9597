"""`ocdsup stop BENCH [--force]`: end a bench's OpenOCD and keep it down; the stable ports stay open."""

from __future__ import annotations

from ocdsup.cli.ask import act

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("stop", description="End a bench's OpenOCD and keep it down; the stable ports stay open.")
    verb.add_argument("bench", metavar="BENCH")
    verb.add_argument("--force", action="store_true", help="even while flash is written")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it."""
    return act(options, "stop", {"force": True} if options.force else {})
