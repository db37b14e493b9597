"""The text of a first configuration, from the probes that are plugged in. Text out; who looks is the caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# OpenOCD 0.12.0, tcl/interface: the file for each kind of probe (ocdsup/probes/known.py); further kinds need a person's choice.
INTERFACES = {
    "st-link": "interface/stlink.cfg",
    "cmsis-dap": "interface/cmsis-dap.cfg",
    "jlink": "interface/jlink.cfg",
    "kitprog": "interface/kitprog.cfg",
    "xds110": "interface/xds110.cfg",
    "icdi": "interface/ti-icdi.cfg",
    "nulink": "interface/nulink.cfg",
    "ulink": "interface/ulink.cfg",
    "usb-blaster": "interface/altera-usb-blaster.cfg",
    "rlink": "interface/rlink.cfg",
    "osbdm": "interface/osbdm.cfg",
    "usbprog": "interface/usbprog.cfg",
    "opendous": "interface/opendous.cfg",
}
TARGET = "target/stm32f4x.cfg"
# CMSIS-DAP and J-Link have no speed of their own, and OpenOCD does not begin without one.
_NEEDS_SPEED = frozenset({"cmsis-dap", "jlink", "xds110"})
_HEAD = """\
# The benches of this PC. `ocdsup check` says what every line means, `ocdsup schema` is for editors.
version: 1
benches:
"""
_SIMULATED = """\
  simulated:
    # No debug probe was plugged in: this is the simulated board. Start it with `ocdsup sim`, in a terminal of its own.
    probe: {server: "127.0.0.1:7184"}
    openocd:
      config: [interface/stlink.cfg, target/stm32f4x.cfg]
    ports: {gdb: 3333, telnet: 4444}
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A probe on USB: its kind and name (`known.Model`), and what tells it apart; `serial` is empty if it cannot be written."""

    kind: str
    name: str
    vid_pid: str
    serial: str
    location: str


def starter(probes: Sequence[Found], target: str = TARGET) -> str:
    """A configuration with a bench for each probe that OpenOCD drives, or for the simulated board without any.

    `target` is OpenOCD's file for the chip: a probe does not tell which one is on the board.
    """
    usable = [probe for probe in probes if probe.kind in INTERFACES]
    rest = "".join(
        f"  # not here: {probe.name} {probe.vid_pid} at {probe.location}{_why(probe)}\n"
        for probe in probes
        if probe not in usable
    )
    if not usable:
        return _HEAD + rest + _SIMULATED
    serials = Counter(probe.serial for probe in usable)
    names = _names(usable)
    return (
        _HEAD
        + rest
        + "".join(
            _bench(names[at], probe, target, at, by_serial=bool(probe.serial) and serials[probe.serial] == 1)
            for at, probe in enumerate(usable)
        )
    )


def _why(probe: Found) -> str:
    return ", which needs a file of its own in `config:` (`ls /usr/share/openocd/scripts/interface`)"


def _names(probes: Iterable[Found]) -> list[str]:
    """st-link, st-link-2, cmsis-dap: names people can type."""
    seen: Counter[str] = Counter()
    names = []
    for probe in probes:
        seen[probe.kind] += 1
        names.append(probe.kind if seen[probe.kind] == 1 else f"{probe.kind}-{seen[probe.kind]}")
    return names


def _bench(name: str, probe: Found, target: str, at: int, *, by_serial: bool) -> str:
    which = f'serial: "{probe.serial}"' if by_serial else f'location: "{probe.location}"'
    speed = "      adapter_speed_khz: 1000\n" if probe.kind in _NEEDS_SPEED else ""
    return (
        f"  {name}:\n"
        f"    # {probe.name}\n"
        f'    probe: {{vid_pid: "{probe.vid_pid}", {which}}}\n'
        "    openocd:\n"
        "      # The second file is the chip's: `ls /usr/share/openocd/scripts/target` has them all.\n"
        f"      config: [{INTERFACES[probe.kind]}, {target}]\n"
        f"{speed}"
        # ten apart: the next cores of a chip take the next ports
        f"    ports: {{gdb: {3333 + 10 * at}, telnet: {4444 + 10 * at}}}\n"
    )
