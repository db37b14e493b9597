"""The debug probes of this PC, from sysfs, without opening a device; whether a bench's probe is there; hot-plug.

Blocking but short (tens of small reads); the roots of sysfs and of the device nodes are arguments, so a test can lay out
its own bus. sysfs: Documentation/ABI/testing/sysfs-bus-usb of the kernel.
"""

import grp
import os
import pwd
import socket
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ocdsup.errors import ProbeError
from ocdsup.probes.known import CONFIGURED, identify
from ocdsup.probes.probe import Node, Probe
from ocdsup.probes.selector import Absent, Match, ProbeSelector, match
from ocdsup.probes.serials import printable
from ocdsup.runtime import stlink_server

SYS = Path("/sys")
DEV = Path("/dev")
DEVICES = Path("bus/usb/devices")
TEXT_LIMIT = 256
"""Characters of a USB string that are kept: a descriptor cannot hold more than 126."""


def inventory(sys: Path = SYS, dev: Path = DEV, also: Collection[str | None] = ()) -> tuple[Probe, ...]:
    """Return every debug probe on USB, in the order of their paths. Devices that vanish meanwhile are left out.

    `also` are USB IDs (`1234:abcd`) that count as probes although no table knows them.
    """
    wanted = {usb_id.lower() for usb_id in also if usb_id is not None}
    found = (_probe(device, dev, wanted) for device in _devices(sys))
    return tuple(sorted((probe for probe in found if probe), key=lambda probe: _natural(probe.location or "")))


def find(selector: ProbeSelector, sys: Path = SYS, dev: Path = DEV, timeout_s: float = 1.0) -> Match:
    """Return the probe a bench means, Absent, or Ambiguous.

    A selector with a `server` is answered by that ST-LINK server within the limit (seconds); no server, no probe.
    """
    if selector.server is None:
        return match(selector, inventory(sys, dev, (selector.vid_pid,)))
    try:
        return match(selector, stlink_server.list_probes(selector.server, timeout_s))
    except ProbeError as error:
        return Absent(str(error))


def _devices(sys: Path) -> Iterator[Path]:
    """The devices of the bus: `1-2.3`; not its interfaces (`1-2.3:1.0`), not its root hubs (`usb1`)."""
    try:
        names = os.listdir(sys / DEVICES)
    except FileNotFoundError:  # no USB at all
        return
    for name in names:
        if name[0].isdigit() and ":" not in name:
            yield sys / DEVICES / name


def _natural(location: str) -> list[int]:
    return [int(part) for part in location.replace("-", ".").split(".") if part.isdigit()]


def _probe(device: Path, dev: Path, also: Collection[str]) -> Probe | None:
    vid_pid = f"{_text(device / 'idVendor')}:{_text(device / 'idProduct')}".lower()
    product = _string(device, "product")
    interfaces = sorted(path for path in device.glob(f"{device.name}:*") if path.is_dir())
    model = identify(vid_pid, product, [_text(path / "interface") for path in interfaces])
    if model is None and vid_pid in also:
        model = CONFIGURED
    bus, number = _text(device / "busnum"), _text(device / "devnum")
    if model is None or not (bus.isdecimal() and number.isdecimal()):
        return None
    return Probe(
        vid_pid=vid_pid,
        serial=_string(device, "serial"),
        model=model,
        location=device.name,
        product=printable(product),
        bus=int(bus),
        device=int(number),
        nodes=tuple(_nodes(device, interfaces, int(bus), int(number), dev)),
        drivers=tuple(_driver(path) for path in interfaces),
    )


def _text(path: Path) -> str:
    """Return one attribute, without the newline sysfs adds; empty if it is not there. A serial may hold any byte."""
    try:
        return path.read_bytes().decode("utf-8", "replace").removesuffix("\n")[:TEXT_LIMIT]
    except OSError:
        return ""


_strings: dict[tuple[str, int, str, str], str] = {}
MANY_STRINGS = 1024


def _string(device: Path, name: str) -> str:
    """Return a string of the device, read once as long as it is plugged in.

    Reading it takes the device's lock, which a reset that hangs keeps (drivers/usb/core/sysfs.c, usb_string_attr): the look at
    one wedged probe would hang too, and with it the looks of all benches. A new device has a new directory in sysfs.
    """
    try:
        key = (str(device), device.stat().st_ino, _text(device / "devnum"), name)
    except OSError:
        return ""
    if key in _strings:
        return _strings[key]
    text = _text(device / name)
    if text:  # what is not there yet may come
        if len(_strings) >= MANY_STRINGS:
            _strings.clear()
        _strings[key] = text
    return text


def _driver(interface: Path) -> str:
    try:
        return os.path.basename(os.readlink(interface / "driver"))
    except OSError:
        return ""


def _nodes(device: Path, interfaces: list[Path], bus: int, number: int, dev: Path) -> Iterator[Node]:
    yield from _node(dev / "bus" / "usb" / f"{bus:03}" / f"{number:03}", "usb")
    for interface in interfaces:
        for path in sorted(interface.glob("*/hidraw/hidraw*")):
            yield from _node(dev / path.name, "hidraw")
        for path in sorted((*interface.glob("tty/tty*"), *interface.glob("ttyUSB*"))):
            yield from _node(dev / path.name, "tty")


def _node(path: Path, kind: str) -> Iterator[Node]:
    try:
        status = path.stat()
    except OSError:
        return  # not made by udev yet, or not mounted into our container
    usable = os.access(path, os.R_OK | os.W_OK)
    yield Node(str(path), kind, stat.S_IMODE(status.st_mode), _owner(status.st_uid), _group(status.st_gid), usable)


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# Hot-plug ----------------------------------------------------------------------------------------------------------


class Watch(Protocol):
    """Tells that something came or went on USB."""

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable on news, None if `changed` must be called now and then."""

    def changed(self) -> bool:
        """Tell whether anything came or went since the last call."""

    def close(self) -> None:
        """Let go of the descriptor."""


NETLINK_KOBJECT_UEVENT = 15
"""include/uapi/linux/netlink.h; group 1 is what the kernel itself tells (lib/kobject_uevent.c), group 2 what udev tells."""
INIT_USER_NAMESPACE = "user:[4026531837]"
"""PROC_USER_INIT_INO (include/linux/proc_ns.h)."""
UEVENT_SIZE = 8192
COMINGS_AND_GOINGS = frozenset({"add", "remove", "bind", "unbind"})


class PollWatch:
    """Looks at the bus when asked: one directory and one number per device, well under a millisecond."""

    def __init__(self, sys: Path = SYS) -> None:
        self._sys = sys
        self._seen = self._look()

    def fileno(self) -> int | None:
        """Return None: there is nothing to wait for, only to look."""
        return None

    def changed(self) -> bool:
        """Compare with the last look; a replug shows as a new device number on the same path."""
        before, self._seen = self._seen, self._look()
        return before != self._seen

    def close(self) -> None:
        """Nothing is held open."""

    def _look(self) -> frozenset[tuple[str, str]]:
        return frozenset((device.name, _text(device / "devnum")) for device in _devices(self._sys))


class KernelWatch:
    """Hears of changes from the kernel, before udev gives a node its rights. Raises OSError where that is not allowed."""

    def __init__(self) -> None:
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)
        self._news.setblocking(False)
        self._news.bind((0, 1))

    def fileno(self) -> int:
        """Return the netlink socket, for `add_reader`."""
        return self._news.fileno()

    def changed(self) -> bool:
        """Read all that has been reported of USB devices: `ACTION@PATH`, then `KEY=VALUE`, each ended by a zero."""
        changed = False
        while True:
            try:
                words = self._news.recv(UEVENT_SIZE).decode("utf-8", "replace").split("\0")
            except BlockingIOError:
                return changed
            except OSError:  # more news than the socket holds (ENOBUFS), hence perhaps some of these
                return True
            action = next((word.removeprefix("ACTION=") for word in words if word.startswith("ACTION=")), "")
            changed |= "SUBSYSTEM=usb" in words and action in COMINGS_AND_GOINGS

    def close(self) -> None:
        """Close the socket."""
        self._news.close()


class UdevWatch:
    """Hears of changes from udev, after its rules have set the permissions of the nodes."""

    def __init__(self) -> None:
        import pyudev  # optional and 34 ms: imported only where it is used

        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        self._monitor.filter_by("usb")
        self._monitor.start()

    def fileno(self) -> int:
        """Return the netlink socket, for `add_reader`."""
        return int(self._monitor.fileno())

    def changed(self) -> bool:
        """Read all that has been reported; changes of attributes alone do not count."""
        actions = set()
        try:
            while (device := self._monitor.poll(timeout=0)) is not None:
                actions.add(device.action)
        except OSError:  # more news than the socket holds (ENOBUFS), hence certainly some
            return True
        return bool(actions & COMINGS_AND_GOINGS)

    def close(self) -> None:
        """Drop the monitor, which closes its socket."""
        del self._monitor


def watch(sys: Path = SYS) -> Watch:
    """Return a watch: udev's where pyudev is installed and udev runs on this machine, else the kernel's, else one to poll.

    Without udevd (a container without /run/udev) its netlink group stays silent for ever. The kernel tells only network
    namespaces of the first user namespace (from 4.18, lib/kobject_uevent.c): not a rootless container.
    """
    if sys != SYS:
        return PollWatch(sys)
    with suppress(ImportError, OSError):
        if Path("/run/udev/control").exists():
            return UdevWatch()
    with suppress(OSError):
        if os.readlink("/proc/self/ns/user") == INIT_USER_NAMESPACE:
            return KernelWatch()
    return PollWatch(sys)
