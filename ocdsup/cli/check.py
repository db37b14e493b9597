"""`ocdsup check [-c FILE]`: validate a configuration and show its effective values."""

from __future__ import annotations

import argparse
import os
import sys

from ocdsup.config.__main__ import read
from ocdsup.config.explain import explain
from ocdsup.config.paths import config_candidates, control_path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("check", description="Validate a configuration and show its effective values.")
    verb.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing if it is good")
    verb.add_argument("--json", action="store_true", help="the effective values as one line of JSON, durations in seconds")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the effective values, or every problem and exit 2."""
    checked = read(options.file or options.config or default_config())
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        import json
        from dataclasses import asdict

        print(json.dumps(asdict(checked.config)))
    elif not options.quiet:
        control = control_path(os.geteuid(), os.environ.get("XDG_RUNTIME_DIR"))
        print(explain(checked.config, control), end="")
    return 0


def default_config() -> str:
    """Return the configuration that counts when none is named: the first that exists, else the first place to look."""
    environment = os.environ
    candidates = config_candidates(os.geteuid(), environment.get("HOME"), environment.get("XDG_CONFIG_HOME"))
    return next((file for file in candidates if os.path.exists(file)), candidates[0])
