"""Which OpenOCD is this, and what does it call things: versions and the names that changed between them, as data.

The table is openocd's own history: src/jtag/startup.tcl and src/server/startup.tcl hold the deprecated names,
`adapter usb vid_pid` appeared on master in 2025-2026 (src/jtag/adapter.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from ocdsup.errors import BackendError


class Family(IntEnum):
    """A generation with the same words and commands, ordered by age. V0_8 and V0_9 are only read in logs, never started."""

    V0_8 = 8
    V0_9 = 9
    V0_10 = 10
    V0_11 = 11
    V0_12 = 12
    MASTER = 13

    def __str__(self) -> str:
        return "master" if self is Family.MASTER else f"0.{self.value}"


OLDEST = Family.V0_10


@dataclass(frozen=True, slots=True)
class Version:
    """What `openocd --version` said. `vendor` is the rest of the number: `+dev-01234-gabcdef`, `-rc1`, `-esp32-20240318`."""

    major: int
    minor: int
    patch: int
    vendor: str = ""

    @property
    def family(self) -> Family:
        """The generation. `0.12.0+dev` is master; older `+dev` builds still know the names of the release before them."""
        if self.major or (self.minor >= Family.V0_12 and self.vendor.startswith("+dev")):
            return Family.MASTER
        return Family(min(max(self.minor, Family.V0_8), Family.MASTER))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{self.vendor}"


_BANNER = re.compile(r"Open On-Chip Debugger[ \t]+v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(\S{0,80})")


def parse_version(text: str) -> Version:
    """Read the version from the output of `openocd --version` (stderr) or from a log's banner.

    Raises BackendError when there is none, or when it is older than 0.10, whose commands nobody can test any more.
    """
    version = find_version(text)
    if version is None:
        raise BackendError(
            "tell the version of OpenOCD",
            f"its --version answer has none: {text.strip()[:80]!r}",
            "set openocd.binary to an OpenOCD program",
        )
    names(version)
    return version


def find_version(text: str) -> Version | None:
    """The version named in a banner anywhere in `text`, however old; None when there is no banner."""
    found = _BANNER.search(text)
    if found is None:
        return None
    return Version(int(found[1]), int(found[2]), int(found[3] or 0), found[4])


@dataclass(frozen=True, slots=True)
class Names:
    """The commands of one family.

    Tuples are tried in order at run time: a driver's commands exist only once that driver is selected (adapter.c), and
    which driver that is, only the configuration files know. Names that every family accepts (`reset_config`, `bindto`) are
    not listed.
    """

    speed: str
    vid_pid: tuple[str, ...]
    serial: tuple[str, ...]
    location: tuple[str, ...]
    register_error: bool  # gdb_report_register_access_error, from 0.11
    grouped: bool  # `gdb port` for `gdb_port` and the like, on master since 44cfdef0a (2024); the old ones print DEPRECATED
    announces_ports: bool  # "Listening on port N for …" lines, from 0.11: only then are ephemeral ports of use


_OLD_VID_PID = ("hla_vid_pid", "ftdi_vid_pid", "cmsis_dap_vid_pid")
_VID_PID = ("hla_vid_pid", "st-link vid_pid", "ftdi vid_pid", "cmsis_dap_vid_pid")
_SERIAL = ("hla_serial", "ftdi_serial", "cmsis_dap_serial", "jlink serial")
_LOCATION = ("adapter usb location",)
NAMES: dict[Family, Names] = {
    Family.V0_10: Names("adapter_khz", _OLD_VID_PID, _SERIAL, ("ftdi_location",), False, False, False),
    Family.V0_11: Names(
        "adapter speed",
        (*_OLD_VID_PID, "st-link vid_pid"),
        (*_SERIAL, "st-link serial", "adapter serial"),
        _LOCATION,
        True,
        False,
        True,
    ),
    Family.V0_12: Names("adapter speed", _VID_PID, ("adapter serial",), _LOCATION, True, False, True),
    Family.MASTER: Names("adapter speed", ("adapter usb vid_pid", *_VID_PID), ("adapter serial",), _LOCATION, True, True, True),
}


def names(version: Version) -> Names:
    """The command names of a version. Raises BackendError below 0.10."""
    if version.family < OLDEST:
        raise BackendError("use this OpenOCD", f"version {version} is too old", f"install OpenOCD {OLDEST} or newer")
    return NAMES[version.family]
