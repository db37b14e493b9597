"""`ocdsup evict BENCH [--force]`: end the holders of a bench's probe, as the policy allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocdsup.cli.ask import act

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "evict",
        description="End whoever else holds a bench's probe, as `holders:` of the configuration allows; exit code 1 if none.",
    )
    verb.add_argument("bench", metavar="BENCH")
    verb.add_argument("--force", action="store_true", help="whatever it is, also with a debug session; never what respawns")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it, and say who was ended and who was left alone, and why."""
    return act(options, "evict", {"force": True} if options.force else {})
