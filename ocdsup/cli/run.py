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
    _import_lean()
    import asyncio

    from ocdsup.runtime import catalogue_file, config_file, logs
    from ocdsup.runtime.loop import StreamLoop

    file = options.config or _default_config()
    checked = config_file.read(file)
    catalogue_file.load()  # first: what its parsing leaves free, the modules after it take
    from ocdsup.runtime.daemon import serve

    log = logs.set_up(level=options.log_level)
    gc.collect()
    gc.freeze()  # what was imported stays for months: later collections need not look at it
    _return_memory()
    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        runner.run(serve(os.path.abspath(file), checked, log))
    return 0


def _import_lean() -> None:
    """Let asyncio do without TLS and shutil without archives, as both can: nothing here needs either.

    OpenSSL would cost the daemon 0.8 MB, the libraries of bzip2 and xz another 0.2 MB.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: "there is none" (importlib reference)
    missing = [name for name in ("ssl", "bz2", "lzma") if name not in modules]
    if "asyncio" in modules or "shutil" in modules:
        return
    modules.update(dict.fromkeys(missing))
    try:
        import asyncio  # noqa: F401  (for its import alone)
        import shutil  # noqa: F401  (likewise)
    finally:
        for name in missing:
            del modules[name]


def _return_memory() -> None:
    """Give the kernel back what the imports freed, where the C library can (glibc: malloc_trim(3))."""
    import ctypes  # the launcher has imported it

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _default_config() -> str:
    environment = os.environ
    candidates = config_candidates(os.geteuid(), environment.get("HOME"), environment.get("XDG_CONFIG_HOME"))
    return next((file for file in candidates if os.path.exists(file)), candidates[0])
