"""`ocdsup uninstall --user|--system [--dry-run]`: takes away what `install` wrote; configurations stay."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ocdsup.cli import install, own_files, service_files


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("uninstall", description="Take away what `ocdsup install` wrote; configurations stay.")
    install.add_options(verb)
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """End the service, remove the files."""
    plan = install.places_of(options, install.own_program(), "", {})
    for command in () if options.root else plan.farewell:
        install.run_command(command, dry_run=options.dry_run)
    for file in reversed(plan.files):  # the directories that were made for the first go last
        _remove(install.place(options.root, file), file, dry_run=options.dry_run)
    failed = install.run_commands(() if options.root else plan.afterwards, dry_run=options.dry_run)
    if not options.root:
        print(service_files.what_stays(for_system=options.system), end="")
    return failed


def _remove(path: Path, file: service_files.File, *, dry_run: bool) -> None:
    if not os.path.lexists(path):
        return
    if file.keep:
        print(f"kept     {path}")
    elif dry_run and not path.is_symlink():
        aside = own_files.backup(path) if own_files.changed(path) else None
        print(f"would remove {path}" if aside is None else f"would rename {path}, which was changed by hand, to {aside}")
    elif said := own_files.take_away(path):
        print(said)
