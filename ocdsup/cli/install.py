"""`ocdsup install --user|--system [--dry-run]`: units, rule, user, completions, manual page and a first configuration."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import ocdsup
from ocdsup.cli import init, own_files, reach, service_files
from ocdsup.config.paths import SYSTEM_CONFIG, SYSTEM_CONTROL
from ocdsup.config.starter import starter
from ocdsup.errors import OcdsupError

SHARE = Path(ocdsup.__file__).parent / "share"
SHIPPED = (
    *(f"systemd/{name}" for name in ("ocdsup.service", "ocdsup.socket", "user/ocdsup.service", "60-ocdsup.rules")),
    *("systemd/ocdsup.sysusers.conf", "systemd/ocdsup.tmpfiles.conf", "ocdsup.bash", "ocdsup.1"),
)

FOR_EVERYBODY = "sudo env PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install '.[sim]'"
"""Where a system service sees it, and `sudo` finds it: Debian's secure_path has /usr/local/bin, and no home (sudoers(5))."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("install", description="Set ocdsup up as a service of this PC or of yours.")
    add_options(verb)
    verb.set_defaults(run=run)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Options that `uninstall` has too."""
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--user", action="store_true", help="your own service: no root, sees only your processes")
    which.add_argument("--system", action="store_true", help="the PC's service, under its own user; needs root")
    verb.add_argument("--dry-run", action="store_true", help="print files and commands, change nothing")
    verb.add_argument("--root", metavar="DIR", default="", help="put the files below DIR and run no command (for packages)")


def run(options: argparse.Namespace) -> int:
    """Write the files, run the commands; what stands in a file's place ends it before the first is written."""
    plan = plan_for(options)
    places = [(place(options.root, file), file) for file in plan.files]
    for path, file in places:
        if not file.keep:
            own_files.check(path, "systemctl" if options.system else "systemctl --user")
    if not options.dry_run:
        _check_program(options)
    for path, file in places:
        # for others to look in, or as the basedir-spec wants it at home
        _write(path, file, own_files.FOLDER_MODE if options.system else 0o700, dry_run=options.dry_run)
    failed = run_commands(() if options.root else plan.commands, dry_run=options.dry_run)
    if options.dry_run:
        _check_program(options)  # behind the plan, which is what was asked for
    print(service_files.next_steps(for_system=options.system), end="")
    return failed


def plan_for(options: argparse.Namespace) -> service_files.Plan:
    """The plan for these options on this PC."""
    program = own_program()
    if options.user:
        return places_of(options, program, starter(init.probes()), {})
    socket_unit = (SHARE / "systemd/ocdsup.socket").read_text(encoding="utf-8")
    socket_unit = service_files.with_ports(socket_unit, *_sockets(options.root))
    return places_of(options, program, starter(init.probes()), {"systemd/ocdsup.socket": socket_unit})


def _check_program(options: argparse.Namespace) -> None:
    """Raise OcdsupError when the system service could not start this program; a package is for another place."""
    hidden = None if options.user or options.root else service_files.hidden_from_service(reach.needed(own_program()))
    if hidden is not None:
        why = f"{hidden} is below a directory that the service does not see (ProtectHome) or that others may write"
        hint = f"install it for everybody first, in the clone: `{FOR_EVERYBODY}`; then `sudo ocdsup install --system`"
        raise OcdsupError("set up the system service", why, hint)


def places_of(options: argparse.Namespace, program: Sequence[str], text: str, changed: Mapping[str, str]) -> service_files.Plan:
    """The plan with these texts. No configuration is read: one with mistakes keeps nobody from taking the files away."""
    share = {name: (SHARE / name).read_text(encoding="utf-8") for name in SHIPPED} | dict(changed)
    if options.system:
        return service_files.system(share, program, text)
    if in_user_site():
        unit = "systemd/user/ocdsup.service"
        share[unit] = service_files.with_user_site(share[unit])
    return service_files.user(share, program, text, _base("XDG_CONFIG_HOME", ".config"), _base("XDG_DATA_HOME", ".local/share"))


def _base(variable: str, below_home: str) -> str:
    """A directory of the basedir-spec, which says that a relative one is to be ignored. Raises OcdsupError without any home."""
    named, home = os.environ.get(variable, ""), os.path.expanduser("~")
    if named.startswith("/"):
        return named.rstrip("/")
    if not home.startswith("/"):
        why = f"HOME is {home!r}, which is no whole path" if "HOME" in os.environ else f"user {os.geteuid()} has no home"
        raise OcdsupError("find the place for your service's files", why, "set HOME")
    return f"{home.rstrip('/')}/{below_home}"


def in_user_site() -> bool:
    """Whether ocdsup, also as a link to a clone, or a library of it was installed by `pip install --user`."""
    if not site.ENABLE_USER_SITE:
        return False
    there = {_plain(found.name) for found in metadata.distributions(path=[site.getusersitepackages()])}
    try:
        needed = metadata.requires("ocdsup") or []
    except metadata.PackageNotFoundError:  # run from its folder
        needed = []
    return bool(there & {"ocdsup", *map(_plain, needed)})


def _plain(name: str) -> str:
    return re.split(r"[^\w.-]", name)[0].lower().replace("_", "-")


def own_program() -> list[str]:
    """The command that starts what is running now."""
    invoked = shutil.which(sys.argv[0]) if os.path.basename(sys.argv[0]) == "ocdsup" else None
    return [os.path.abspath(invoked)] if invoked else [sys.executable, "-m", "ocdsup"]


def _sockets(root: str) -> tuple[list[tuple[str, int]], str]:
    """Addresses and ports of the configuration that is there, or of the one that will be written."""
    from ocdsup.config.__main__ import read
    from ocdsup.config.load import load

    file = root + SYSTEM_CONFIG
    config = read(file).config if os.path.exists(file) else load(starter(init.probes()), "the starter")
    ipv6 = bool(root) or os.path.exists(
        "/proc/net/if_inet6"
    )  # what systemd asks (socket_ipv6_is_supported); without: EAFNOSUPPORT
    return service_files.binds(config, ipv6=ipv6), config.control or SYSTEM_CONTROL


def place(root: str, file: service_files.File) -> Path:
    """Where a file of the plan goes on this disk."""
    return Path(root + file.path)


def _write(path: Path, file: service_files.File, folders: int, *, dry_run: bool) -> None:
    if file.keep and os.path.lexists(path):
        print(f"kept     {path}")
        return
    if dry_run:
        print(f"would write {path}:\n" + "".join(f"    {line}\n" for line in file.text.splitlines()), end="")
        kept = own_files.backup(path) if own_files.changed(path) else None
    else:
        kept = own_files.put(path, file.text, folders, mark=not file.keep)
        print(f"wrote    {path}")
    if kept is not None:
        print(f"{'would keep' if dry_run else 'kept    '} what was there, and was changed by hand, as {kept}{_drop_in(path)}")


def _drop_in(path: Path) -> str:
    user = " --user" if "user" in path.parts else ""
    return f"; put your changes into a drop-in: systemctl{user} edit {path.name}" if "systemd" in path.parts else ""


def run_commands(commands: Sequence[tuple[str, ...]], *, dry_run: bool) -> int:
    """Run one after the other; those that failed are named at the end, with the exit code that follows from it."""
    failed = [" ".join(command) for command in commands if not run_command(command, dry_run=dry_run)]
    if failed:
        print(
            f"ocdsup: the files are in order, but this failed: {'; '.join(failed)}; mend it and run it again", file=sys.stderr
        )
    return 1 if failed else 0


def run_command(command: tuple[str, ...], *, dry_run: bool) -> bool:
    """Run one command; its failure is said and does not stop the rest. One whose program is missing here has nothing to do."""
    line = " ".join(command)
    if dry_run:
        print(f"would run {line}")
        return True
    if shutil.which(command[0]) is None:
        print(f"skipped  {line} ({command[0]} is not installed)")
        return True
    sys.stdout.flush()  # before what the command says
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    print(f"ran      {line}" + (f" (exit code {code})" if code else ""))
    return code == 0
