"""`ocdsup restart BENCH [--under-reset] [--force]`: end OpenOCD and start it again."""

from __future__ import annotations

from ocdsup.cli.ask import act

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("restart", description="End a bench's OpenOCD and start it again.")
    verb.add_argument("bench", metavar="BENCH")
    verb.add_argument("--under-reset", action="store_true", help="connect while NRST is held; the program starts anew")
    verb.add_argument("--force", action="store_true", help="even while flash is written")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for the restart; it goes on after the answer, `ocdsup wait` waits for its end."""
    asked = {"under_reset": options.under_reset, "force": options.force}
    return act(options, "restart", {name: True for name, wanted in asked.items() if wanted})
