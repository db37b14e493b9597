"""`ocdsup run [-c FILE]`: the daemon in the foreground; systemd runs this."""

from __future__ import annotations

import argparse
import asyncio
import os

from ocdsup.config.paths import config_candidates
from ocdsup.runtime import config_file, logs
from ocdsup.runtime.daemon import serve


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("run", description="The daemon in the foreground.")
    verb.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM; a configuration with problems is told whole, and exits 2."""
    file = options.config or _default_config()
    checked = config_file.read(file)
    log = logs.set_up(level=options.log_level)
    asyncio.run(serve(os.path.abspath(file), checked, log))
    return 0


def _default_config() -> str:
    environment = os.environ
    candidates = config_candidates(os.geteuid(), environment.get("HOME"), environment.get("XDG_CONFIG_HOME"))
    return next((file for file in candidates if os.path.exists(file)), candidates[0])
