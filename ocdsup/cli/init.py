"""`ocdsup init`: a first configuration, from the probes that are plugged in or for the simulated board."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ocdsup
from ocdsup.cli import own_files
from ocdsup.config.paths import config_candidates
from ocdsup.config.starter import TARGET, Found, starter
from ocdsup.errors import ConfigError, Problem
from ocdsup.probes.serials import is_raw

if TYPE_CHECKING:
    from ocdsup.probes.probe import Probe

EXAMPLES = Path(ocdsup.__file__).parent / "share/configs"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    text = "Write a first configuration: a bench for each probe that is plugged in, or the simulated board."
    verb = verbs.add_parser("init", description=text)
    verb.add_argument("file", nargs="?", metavar="FILE", help="where to; - for stdout (default: where `ocdsup run` looks)")
    verb.add_argument("--target", metavar="CFG", help=f"OpenOCD's file for the chip (default {TARGET})")
    verb.add_argument("--simulated", action="store_true", help="for the simulated board, whatever is plugged in")
    verb.add_argument("--force", action="store_true", help="replace a file that is there")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file; an existing one stays unless `--force`."""
    text = starter(() if options.simulated else probes(), options.target or TARGET)
    if options.target and options.target not in text:
        why = "no probe that OpenOCD drives is plugged in" if not options.simulated else "the simulated board has its own"
        print(f"ocdsup: --target {options.target} is not used: {why}", file=sys.stderr)
    file = options.file or options.config or default_place()
    if file == "-":
        print(text, end="")
        return 0
    write(file, text, force=options.force)
    print(f"wrote {file}; next: ocdsup check -c {file}, then ocdsup run -c {file}", file=sys.stderr)
    print(f"examples for other boards and probes: {EXAMPLES}", file=sys.stderr)
    return 0


def probes() -> tuple[Found, ...]:
    """The probes of this PC, without opening one."""
    from ocdsup.runtime.usb import inventory

    return tuple(map(found, inventory()))


def found(probe: Probe) -> Found:
    """What a configuration needs of a probe; a serial that is no text cannot be written into one."""
    good = bool(probe.serial) and not is_raw(probe.serial) and probe.serial.isprintable() and '"' not in probe.serial
    serial = probe.serial if good and "\\" not in probe.serial else ""
    return Found(probe.model.kind, probe.model.name, probe.vid_pid, serial, probe.location or "")


def default_place() -> str:
    """The first place where a daemon of this user looks."""
    environment = os.environ
    return config_candidates(os.geteuid(), environment.get("HOME"), environment.get("XDG_CONFIG_HOME"))[0]


def write(file: str, text: str, *, force: bool = False) -> None:
    """Create the file, readable by all and writable by its owner. Raises ConfigError when it is there or cannot be written."""
    if os.path.exists(file) and not force:
        raise ConfigError([Problem(file, 0, 0, "", "it is there already", "use --force to replace it, or name another")])
    try:
        if os.path.dirname(file):
            _make_folder(Path(file).parent)
        with os.fdopen(_opened(file), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError([Problem(file, 0, 0, "", f"cannot write it: {error.strerror}", "name another file")]) from None


def _make_folder(folder: Path) -> None:
    """Root's are for the service's user to look in, also under a umask of 077, which `sudo` keeps."""
    if os.geteuid() == 0:
        own_files.make_folders(folder, own_files.FOLDER_MODE)
    else:
        folder.mkdir(parents=True, exist_ok=True)


def _opened(file: str) -> int:
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, own_files.FILE_MODE)
    except FileExistsError:  # to be replaced: its mode is its owner's business
        return os.open(file, os.O_WRONLY | os.O_TRUNC)
    os.fchmod(number, own_files.FILE_MODE)
    return number
