"""`ocdsup wait BENCH [--timeout 30s]`: return when the GDB port is usable; exit code 4 if it is not in time."""

from __future__ import annotations

import argparse

from ocdsup.cli.ask import connect, say
from ocdsup.config.kinds import seconds
from ocdsup.errors import ControlError

ANSWER_S = 1.0  # for the daemon's own no, which comes when the time is over


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
    """Wait; a daemon that says nothing in time is not waited for any longer than one that says no."""
    try:
        with connect(options, limit=options.timeout + ANSWER_S) as client:
            return say(client.request("wait", options.bench, {"timeout": options.timeout}))
    except ControlError as error:
        if error.code != "silent":
            raise
        raise ControlError("not-usable", f"use {options.bench}", error.why, error.hint) from None
