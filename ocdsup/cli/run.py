"""`ocdsup run [-c FILE]`: the daemon in the foreground; systemd runs this."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from ocdsup.config.paths import config_candidates


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("run", description="The daemon in the foreground.")
    verb.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM; a configuration with problems is told whole, and exits 2."""
    _import_asyncio_without_tls()
    import asyncio

    from ocdsup.runtime import catalogue_file, config_file, logs

    file = options.config or _default_config()
    checked = config_file.read(file)
    catalogue_file.load()  # first: what its parsing leaves free, the modules after it take
    from ocdsup.runtime.daemon import serve

    log = logs.set_up(level=options.log_level)
    gc.collect()
    gc.freeze()  # what was imported stays for months: later collections need not look at it
    asyncio.run(serve(os.path.abspath(file), checked, log))
    return 0


def _import_asyncio_without_tls() -> None:
    """Let asyncio do without `ssl`, as it can: nothing here speaks TLS, and OpenSSL would cost the daemon 0.8 MB."""
    if "ssl" in sys.modules or "asyncio" in sys.modules:
        return
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: "there is none" (importlib reference)
    modules["ssl"] = None
    try:
        import asyncio  # noqa: F401  (for its import alone)
    finally:
        del modules["ssl"]


def _default_config() -> str:
    environment = os.environ
    candidates = config_candidates(os.geteuid(), environment.get("HOME"), environment.get("XDG_CONFIG_HOME"))
    return next((file for file in candidates if os.path.exists(file)), candidates[0])
