"""What `install` and `uninstall` have to do, as data: files with their text, and commands. Decided here, done there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocdsup.config.model import Config

PROGRAM = "/usr/bin/ocdsup"  # what the shipped units start


@dataclass(frozen=True, slots=True)
class File:
    """A file to write; with `keep` one that is there already stays as it is, also when the rest is taken away."""

    path: str
    text: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Files, then commands; a command whose program is missing is left out and said."""

    files: tuple[File, ...]
    commands: tuple[tuple[str, ...], ...]
    farewell: tuple[tuple[str, ...], ...]
    """Commands before the files are taken away again."""
    afterwards: tuple[tuple[str, ...], ...]
    """Commands after that."""


def with_program(unit: str, program: Sequence[str]) -> str:
    """The unit with our own program in its Exec lines; words are quoted as systemd.service(5) reads them."""
    return unit.replace(PROGRAM, " ".join(map(_quoted, program)))


def _quoted(word: str) -> str:
    word = word.replace("%", "%%").replace("$", "$$")
    return word if re.fullmatch(r"[\w@%+=:,./$-]+", word) else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_user_site(unit: str) -> str:
    """The unit of a program that was installed by `pip install --user`, which is found there and nowhere else."""
    return unit.replace(" PYTHONNOUSERSITE=1", "")


def binds(config: Config, *, ipv6: bool) -> list[tuple[str, int]]:
    """Every address and port that the daemon will listen on: also those of further targets, which follow the first GDB port.

    0, any free port, cannot be opened before its time; nor can an IPv6 address on a PC without.
    """
    return [
        (host, port)
        for bench in config.benches
        for first, count in ((bench.ports.gdb, bench.ports.targets), (bench.ports.telnet, 1), (bench.ports.tcl or 0, 1))
        for port in range(first, first + count if first else 0)
        for host in bench.bind
        if ipv6 or ":" not in host
    ]


def with_ports(socket_unit: str, binds: Sequence[tuple[str, int]], control: str) -> str:
    """The socket unit with these addresses and ports and the control socket."""
    shown = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in binds]
    lines = [f"ListenStream={address}" for address in (*shown, control)]
    first, last = socket_unit.index("ListenStream="), socket_unit.rindex("ListenStream=")
    end = socket_unit.index("\n", last)
    return socket_unit[:first] + "\n".join(lines) + socket_unit[end:]


def system(share: Mapping[str, str], program: Sequence[str], starter: str) -> Plan:
    """The service of this PC. `share` has the shipped files by name."""
    files = (
        File("/etc/systemd/system/ocdsup.service", with_program(share["systemd/ocdsup.service"], program)),
        File("/etc/systemd/system/ocdsup.socket", share["systemd/ocdsup.socket"]),
        File("/etc/sysusers.d/ocdsup.conf", share["systemd/ocdsup.sysusers.conf"]),
        File("/etc/tmpfiles.d/ocdsup.conf", share["systemd/ocdsup.tmpfiles.conf"]),
        File("/etc/udev/rules.d/60-ocdsup.rules", share["systemd/60-ocdsup.rules"]),
        File("/usr/local/share/bash-completion/completions/ocdsup", share["ocdsup.bash"]),
        File("/usr/local/share/man/man1/ocdsup.1", share["ocdsup.1"]),
        File("/etc/ocdsup/ocdsup.yaml", starter, keep=True),
    )
    commands = (
        ("systemd-sysusers", "/etc/sysusers.d/ocdsup.conf"),
        ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/ocdsup.conf"),
        ("udevadm", "control", "--reload"),
        ("udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=tty"),
        ("systemctl", "daemon-reload"),
        ("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/ocdsup.service"),
    )
    farewell = (("systemctl", "disable", "--now", "ocdsup.socket", "ocdsup.service"),)
    return Plan(files, commands, farewell, tuple(command for command in commands if command[0] in {"udevadm", "systemctl"}))


def user(share: Mapping[str, str], program: Sequence[str], starter: str, config_home: str, data_home: str) -> Plan:
    """The service of one person; everything is below their home."""
    unit = f"{config_home}/systemd/user/ocdsup.service"
    files = (
        File(unit, with_program(share["systemd/user/ocdsup.service"], program)),
        File(f"{data_home}/bash-completion/completions/ocdsup", share["ocdsup.bash"]),
        File(f"{data_home}/man/man1/ocdsup.1", share["ocdsup.1"]),
        File(f"{config_home}/ocdsup/ocdsup.yaml", starter, keep=True),
    )
    commands = (
        ("systemctl", "--user", "daemon-reload"),
        ("systemd-analyze", "--user", "verify", "--man=no", unit),
    )
    return Plan(files, commands, (("systemctl", "--user", "disable", "--now", "ocdsup.service"),), commands[:1])


_UNSEEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108  (places to refuse, nothing is created there)


def hidden_from_service(paths: Sequence[str]) -> str | None:
    """The first path that the system service would not see: `ProtectHome=yes`, `PrivateTmp=yes`."""
    return next((path for path in paths if path.startswith(_UNSEEN)), None)


def next_steps(*, for_system: bool) -> str:
    """What is left to the administrator."""
    if for_system:
        return (
            "next: look at /etc/ocdsup/ocdsup.yaml, then\n"
            "  systemctl enable --now ocdsup.socket ocdsup\n"
            "or, where it runs already: systemctl restart ocdsup; after a change of its ports, which ends the debug sessions,\n"
            "  systemctl stop ocdsup.socket ocdsup; systemctl start ocdsup.socket ocdsup\n"
            "and\n"
            "  usermod -aG ocdsup NAME     # who may use `ocdsup status` and the rest\n"
        )
    return (
        "next: look at the configuration (ocdsup check), then\n"
        "  systemctl --user enable --now ocdsup\n"
        "  loginctl enable-linger      # keeps it running when you log out\n"
    )


def what_stays(*, for_system: bool) -> str:
    """What `uninstall` leaves alone: it is somebody's work, or files may belong to it."""
    if for_system:
        return (
            "left: /etc/ocdsup, /var/lib/ocdsup, drop-ins in /etc/systemd/system/ocdsup.service.d, user and group ocdsup;\n"
            "/run/ocdsup goes at the next boot. To take the rest away:\n"
            "  userdel ocdsup; rm -r /etc/ocdsup /var/lib/ocdsup\n"
        )
    return "left: your configuration, drop-ins of yours, and `loginctl enable-linger` if you said that for it\n"
