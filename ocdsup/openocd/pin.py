"""Which probe an OpenOCD of somebody else is to use: told as data, checked, and made Tcl only by who runs that OpenOCD.

A daemon that sent Tcl, or anybody who took its socket, could have its callers run whatever it likes: Tcl starts programs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ocdsup.errors import ProtocolError
from ocdsup.openocd.command import BackendSpec, pins
from ocdsup.openocd.dialect import Version

LONGEST = 126  # characters of a USB string descriptor (USB 2.0, 9.6.7)
_VID_PID = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")
_LOCATION = re.compile(r"[0-9]{1,3}-[0-9]{1,3}(?:\.[0-9]{1,3}){0,6}")
_SERVER = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One probe; None leaves a field open. `stlink_server_port` is that of ST's server on loopback."""

    vid_pid: str | None = None
    serial: str | None = None
    location: str | None = None
    stlink_server_port: int | None = None

    def tcl(self, version: Version) -> list[str]:
        """Return the Tcl that selects this probe in an OpenOCD of this version; to be run before `init`."""
        probe = BackendSpec(
            vid_pid=self.vid_pid,
            serial=self.serial,
            location=self.location,
            stlink_server_port=self.stlink_server_port,
        )
        return pins(probe, version)


def said(spec: BackendSpec) -> dict[str, object]:
    """Return the probe of `spec` as it is told; `heard` reads it."""
    server = f"127.0.0.1:{spec.stlink_server_port}" if spec.stlink_server_port is not None else None
    return {"vid_pid": spec.vid_pid, "serial": spec.serial, "location": spec.location, "server": server}


def heard(told: object) -> Pin:
    """Read what `said` made. Raises ProtocolError for anything else, and for a field that does not look as it must."""
    if not isinstance(told, Mapping):
        raise ProtocolError("read which probe is meant", "the daemon does not say it", "restart the daemon after an upgrade")
    server = _field(told, "server", _SERVER)
    port = int(server.rpartition(":")[2]) if server else None
    if port is not None and not 0 < port < 65536:
        raise _wrong("server", server)
    serial = told.get("serial")
    if serial is not None and not (isinstance(serial, str) and 0 < len(serial) <= LONGEST and serial.isprintable()):
        raise _wrong("serial", serial)
    return Pin(_field(told, "vid_pid", _VID_PID), serial, _field(told, "location", _LOCATION), port)


def _field(told: Mapping[object, object], key: str, pattern: re.Pattern[str]) -> str | None:
    value = told.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(key, value)
    return value


def _wrong(key: str, value: object) -> ProtocolError:
    return ProtocolError(
        "read which probe is meant", f"{ascii(value)[:80]} is no {key}", "look at who listens on the control socket"
    )
