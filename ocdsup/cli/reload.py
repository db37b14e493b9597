"""`ocdsup reload`: let the daemon read its configuration again; a bad one changes nothing."""

from __future__ import annotations

from ocdsup.cli.ask import act

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("reload", description="Let the daemon read its configuration again; a bad one changes nothing.")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it."""
    return act(options, "reload")
