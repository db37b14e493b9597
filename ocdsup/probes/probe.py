"""What is known about one debug probe without opening it: identity, place, device nodes, kernel drivers."""

from dataclasses import dataclass

from ocdsup.probes.known import Model
from ocdsup.probes.serials import shown_serial

USBFS = "usbfs"
"""The kernel driver that an interface is bound to while a program has claimed it (libusb)."""


@dataclass(frozen=True, slots=True)
class Node:
    """One device node of a probe; `usable` says whether we may open it for reading and writing."""

    path: str
    kind: str
    mode: int = 0
    owner: str = ""
    group: str = ""
    usable: bool = False

    @property
    def missing(self) -> str:
        """What would make it usable for us, as far as its rights tell."""
        if self.mode & 0o060 == 0o060 and self.group != "root":
            return f"this user has to be in the group {self.group}"
        return "no udev rule gives it to a group: install OpenOCD's"


@dataclass(frozen=True, slots=True)
class Probe:
    """One debug probe, on USB or behind an ST-LINK server.

    `location` is the bus-port path (`1-2.3`), which survives a replug; `bus` and `device` do not. `drivers` are the kernel
    drivers of its interfaces in their order, empty where none is bound. `serial` is as Linux has it, perhaps raw bytes
    (`serials.shown_serial` for people). `server` is HOST:PORT, and `in_use` what that
    server says; both None on USB.
    """

    vid_pid: str
    serial: str
    model: Model
    location: str | None = None
    product: str = ""
    bus: int = 0
    device: int = 0
    nodes: tuple[Node, ...] = ()
    drivers: tuple[str, ...] = ()
    server: str | None = None
    in_use: bool | None = None

    @property
    def identity(self) -> str:
        """Changes with every replug: the bus and device number, or the server."""
        return self.server or f"{self.bus:03}/{self.device:03}"

    @property
    def place(self) -> str:
        """Where it is, for people: the USB path or the server."""
        return self.server or self.location or self.identity

    @property
    def claimed(self) -> bool:
        """Whether some program has claimed an interface, even one whose process we may not see."""
        return USBFS in self.drivers or bool(self.in_use)

    @property
    def debug_nodes(self) -> tuple[Node, ...]:
        """The nodes that whoever uses the probe has open; a terminal on its virtual serial port is in nobody's way."""
        return tuple(node for node in self.nodes if node.kind in self.model.nodes)

    @property
    def denied(self) -> tuple[Node, ...]:
        """The nodes that OpenOCD under our user could not open, if it could open none.

        A CMSIS-DAP probe has two ways in (hidraw, and a bulk interface), and OpenOCD tries both.
        """
        return () if any(node.usable for node in self.debug_nodes) else self.debug_nodes

    def __str__(self) -> str:
        serial = f" {shown_serial(self.serial)}" if self.serial else ""
        return f"{self.model.name} {self.vid_pid}{serial} at {self.place}"
