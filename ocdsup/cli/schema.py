"""`ocdsup schema`: the JSON schema of the configuration, for editors."""

from __future__ import annotations

import argparse

from ocdsup.config.schema import schema_text


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("schema", description="Print the JSON schema (2020-12) of the configuration.")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print it."""
    print(schema_text(), end="")
    return 0
