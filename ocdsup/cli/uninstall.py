"""`ocdsup uninstall --user|--system [--dry-run]`: takes away what `install` wrote; configurations stay."""

from __future__ import annotations

import argparse
from pathlib import Path

from ocdsup.cli import install, service_files
from ocdsup.errors import OcdsupError


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("uninstall", description="Take away what `ocdsup install` wrote; configurations stay.")
    install.add_options(verb)
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """End the service, remove the files."""
    plan = install.plan_for(argparse.Namespace(**{**vars(options), "dry_run": True}))
    for command in () if options.root else plan.farewell:
        install.run_command(command, dry_run=options.dry_run)
    for file in plan.files:
        _remove(options.root, file, dry_run=options.dry_run)
    reload = next((command for command in plan.commands if "daemon-reload" in command), None)
    if reload is not None and not options.root:
        install.run_command(reload, dry_run=options.dry_run)
    return 0


def _remove(root: str, file: service_files.File, *, dry_run: bool) -> None:
    path = Path(root + file.path)
    if not path.exists():
        return
    if file.keep:
        print(f"kept     {path}")
    elif dry_run:
        print(f"would remove {path}")
    else:
        try:
            path.unlink()
        except OSError as error:
            raise OcdsupError(f"remove {path}", error.strerror or str(error), "run it as root") from None
        print(f"removed  {path}")
