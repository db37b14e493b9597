"""The kinds of text a configuration holds: durations, names, addresses, selectors; parsed and checked in one place.

`Kind` is metadata for `typing.Annotated`. pydantic finds `__get_pydantic_core_schema__` on it by name, so the model can
be used, copied and compared by a daemon that never imports pydantic.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"
BENCH_NAME = r"^[a-z][a-z0-9-]{0,31}$"
VID_PID = r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}$"
LOCATION = r"^[0-9]+-[0-9]+(\.[0-9]+)*$"  # bus-port.port…, as sysfs names it and OpenOCD's `adapter usb location` takes it
UNIX_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path without the final NUL, unix(7)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of text is read: `parse` returns the value or raises ValueError with a sentence for the user."""

    parse: Callable[[str], Any]
    pattern: str = ""
    example: str = ""

    def __get_pydantic_core_schema__(self, source: Any, build: Any) -> Any:
        """Let pydantic read this kind; called by pydantic only."""
        from ocdsup.config.shape import kind_schema

        return kind_schema(self)


@dataclass(frozen=True, slots=True)
class Within:
    """Limits of a number, both included, or the least length of a list; metadata for `Annotated` as `Kind` is.

    Not `annotated_types`: with what that imports, a daemon would hold 0.6 MB for limits that only the check looks at.
    """

    least: float | None = None
    most: float | None = None
    length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, build: Any) -> Any:
        """Let pydantic apply the limits; called by pydantic only."""
        limits = {"ge": self.least, "le": self.most, "min_length": self.length}
        return {**build(source), **{name: limit for name, limit in limits.items() if limit is not None}}


def seconds(text: str) -> float:
    """Return the seconds that `500ms`, `10s`, `2m` or `1h` mean; raise ValueError for anything else."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"{text!r} is not a duration; write a number with a unit: 500ms, 10s, 2m, 1h")
    unit = text.lstrip("0123456789.")
    value = round(float(text.removesuffix(unit)) * UNITS[unit], 6)
    if value <= 0 or value > 86400:
        raise ValueError(f"{text!r} is out of range; a duration is more than 0 and at most 24h")
    return value


def duration_text(value: float) -> str:
    """Return the spelling that `seconds` reads back as `value`: 0.5 → `500ms`, 300 → `5m`, 90 → `90s`."""
    if value < 1:
        return f"{_decimal(value * 1000)}ms"
    for unit, size in (("h", 3600), ("m", 60)):
        if value % size == 0:
            return f"{int(value // size)}{unit}"
    return f"{_decimal(value)}s"


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _matching(pattern: str, says: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} {says}")
        return text

    return parse


def plain_text(text: str) -> str:
    """Return text that can stand in an argument list and on one line; raise ValueError otherwise."""
    if not text.strip():
        raise ValueError("the text is empty")
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("control characters and line breaks are not allowed here")
    return text


def tcl_text(text: str) -> str:
    """Return a Tcl command for `-c`; line breaks and tabs are Tcl's own, other control characters are refused."""
    plain_text(text.translate({9: " ", 10: " "}))
    return text


def vid_pid(text: str) -> str:
    """Return `vvvv:pppp` in lower case, as sysfs spells it."""
    return _matching(VID_PID, 'is not VID:PID; write four hex digits, a colon, four hex digits: "0483:374b"')(text).lower()


def address(text: str) -> str:
    """Return an IP address in its usual spelling; names are refused because they can mean several addresses."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f'{text!r} is not an IP address; write 127.0.0.1, "::1" or the address of one interface') from None


def network(text: str) -> str:
    """Return a network as CIDR text; raise ValueError when it is none or has host bits set."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as fault:
        raise ValueError(f"{text!r} is not a network such as 192.168.1.0/24 ({fault})") from None


def split_endpoint(text: str) -> tuple[str, int]:
    """Return (IP address, port) of `127.0.0.1:8333` or `[::1]:8333`; raise ValueError for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not ADDRESS:PORT; write for example 127.0.0.1:8333")
    return address(host.removeprefix("[").removesuffix("]") if host.startswith("[") else host), int(port)


def loopback_endpoint(text: str) -> str:
    """Return ADDRESS:PORT when the address is loopback; raise ValueError otherwise."""
    host, _ = split_endpoint(text)
    if not is_loopback(host):
        raise ValueError(f"{text!r} is not loopback; use 127.0.0.1, and `ssh -L` to reach it from another machine")
    return text


def server_endpoint(text: str) -> str:
    """Return ADDRESS:PORT of an ST-LINK server: loopback, and a port that something listens on (not 0)."""
    if split_endpoint(loopback_endpoint(text))[1] == 0:
        raise ValueError(f"{text!r} has port 0; an ST-LINK server listens on a fixed port, 7184 by default")
    return text


def is_loopback(host: str) -> bool:
    """Tell whether an IP address never leaves the machine (127.0.0.0/8, ::1)."""
    return ipaddress.ip_address(host).is_loopback


def socket_path(text: str) -> str:
    """Return an absolute path short enough for a unix socket; raise ValueError otherwise."""
    plain_text(text)
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is relative; write an absolute path, the daemon's working directory is not yours")
    size = len(text.encode())
    if size > UNIX_PATH_LIMIT:
        raise ValueError(f"the path has {size} bytes; a unix socket's path may have {UNIX_PATH_LIMIT}: choose a shorter one")
    return text


NAME = Kind(
    _matching(BENCH_NAME, "is not a bench name; use lower-case letters, digits and '-', a letter first, at most 32"),
    BENCH_NAME,
    "nucleo",
)
TEXT = Kind(plain_text)
TCL = Kind(tcl_text, example="adapter srst delay 100")
SECONDS = Kind(seconds, DURATION, "10s")
USB_ID = Kind(vid_pid, VID_PID, "0483:374b")
USB_LOCATION = Kind(
    _matching(LOCATION, 'is not a USB location; write BUS-PORT.PORT as `lsusb -t` counts: "1-2.3"'), LOCATION, "1-2.3"
)
ADDRESS = Kind(address, example="127.0.0.1")
NETWORK = Kind(network, example="192.168.1.0/24")
HTTP = Kind(loopback_endpoint, example="127.0.0.1:8333")
ST_LINK_SERVER = Kind(server_endpoint, example="127.0.0.1:7184")
SOCKET = Kind(socket_path, example="/run/ocdsup/control.sock")
