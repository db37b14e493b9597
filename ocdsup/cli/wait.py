"""`ocdsup wait BENCH [--timeout 30s]`: return when the GDB port is usable; exit code 4 if it is not in time."""

from __future__ import annotations

import argparse

from ocdsup.cli.ask import act
from ocdsup.config.kinds import seconds


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("wait", description="Return when a bench's GDB port is usable; exit code 4 if it is not in time.")
    verb.add_argument("bench", metavar="BENCH")
    verb.add_argument("--timeout", type=duration, default=30.0, metavar="TIME", help="how long, as 500ms, 30s or 2m (30s)")
    verb.set_defaults(run=run)


def duration(text: str) -> float:
    """Return the seconds of an argument; argparse shows the sentence of what is none."""
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Wait."""
    return act(options, "wait", {"timeout": options.timeout}, wait=options.timeout)
