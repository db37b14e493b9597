"""The fault codes of the contract: what each means, whose it is, and what hands can do. Codes are never renamed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Whose(Enum):
    """Who can cure a fault, which decides where a bench rests when the cures are used up."""

    TARGET = "target"  # the board: it may come back any hour, so we keep trying at the back-off's pace
    PROBE = "probe"  # the world: blocked until it changes, which costs no restarts
    BACKEND = "backend"  # OpenOCD itself: failed when the intensity is spent
    CONFIG = "config"  # the configuration: failed at once, no restart can help


@dataclass(frozen=True, slots=True)
class Known:
    """One fault code: a sentence for people and the steps for their hands."""

    whose: Whose
    text: str
    advice: tuple[str, ...]
    of_several: tuple[str, ...] = ()  # instead, while {well} answers and {dead} (several, or just the {first}) does not


_DEFER = (
    "if it is to stay off until then: `{first} configure -defer-examine` among openocd.commands (or -defer-examine in its "
    "`target create` line) says so, and `{first} arp_examine` (telnet, or GDB's monitor) examines it when it runs"
)
# One of several cores that does not answer is mostly none that is broken.
_ASLEEP = (
    "let the firmware of {well} start {dead}, if that is how this chip works: ocdsup looks every few seconds, without a reset",
    _DEFER,
    "check power domain, clock and reset of {dead}, and its debug lock (read-out protection, a disabled access port)",
)

FAULTS: dict[str, Known] = {
    "target-poll-failing": Known(
        Whose.TARGET,
        "the target stopped answering its debug port",
        (
            "check that the board is powered and the SWD cable sits on both ends",
            "if the firmware sleeps or reuses the SWD pins: hold BOOT0 high, press NRST, and flash a corrected firmware",
            "press NRST on the board: ocdsup connects as soon as the core answers",
        ),
        _ASLEEP,
    ),
    "target-not-answering": Known(
        Whose.TARGET,
        "the probe works, but no target answers behind it",
        (
            "check the board's power and the wires SWDIO, SWCLK, GND and NRST",
            "connect NRST to the probe: without it a locked or sleeping firmware cannot be reached",
            "pull BOOT0 high and press NRST: the boot loader leaves the SWD pins alone",
        ),
        _ASLEEP,
    ),
    "target-held-in-reset": Known(
        Whose.TARGET,
        "the target stays in reset",
        (
            "release the reset button and check that nothing else pulls NRST low",
            "measure NRST: it must rise to the supply voltage when nobody presses the button",
        ),
        ("let the firmware of {well} release {dead} from its reset: ocdsup looks every few seconds, without a reset", _DEFER),
    ),
    "target-unpowered": Known(
        Whose.TARGET,
        "the board has no supply voltage, or too little",
        (
            "power the board; the probe's VREF pin must carry the board's own supply (1.65 V or more)",
            "it is measured only when OpenOCD starts: `ocdsup restart` measures it again",
        ),
    ),
    "probe-absent": Known(
        Whose.PROBE,
        "the probe is not on the bus",
        (
            "plug the probe in; if it is: try another cable or port",
            "compare the serial in the configuration with `ocdsup probes`",
        ),
    ),
    "probe-held": Known(
        Whose.PROBE,
        "another process has the probe",
        ("end that program, or its debug session; ocdsup takes the probe as soon as it is free",),
    ),
    "probe-denied": Known(
        Whose.PROBE,
        "this user may not open the probe",
        ("install the udev rules of the openocd package and put this user into the group plugdev, then replug the probe",),
    ),
    "probe-wedged": Known(
        Whose.PROBE,
        "the probe itself does not answer any more",
        ("unplug the probe, wait two seconds, plug it in again",),
    ),
    "backend-exited": Known(Whose.BACKEND, "OpenOCD ended by itself", ("read its last lines with `ocdsup logs`",)),
    "backend-hung": Known(
        Whose.BACKEND,
        "OpenOCD does not react any more",
        ("unplug the probe, wait two seconds, plug it in again; behind an ST-LINK server, restart that server too",),
    ),
    "backend-missing": Known(
        Whose.CONFIG,
        "there is no usable OpenOCD program",
        ("install OpenOCD 0.10 or newer, or set openocd.binary to its path, then `ocdsup reload`",),
    ),
    "config-rejected": Known(
        Whose.CONFIG,
        "OpenOCD does not accept this configuration",
        ("correct openocd.config or openocd.commands, then `ocdsup reload`",),
    ),
    "port-in-use": Known(
        Whose.PROBE,
        "a stable port belongs to another program",
        ("end that program or choose another port; ocdsup tries again every 5 s",),
    ),
    "wrong-target": Known(
        Whose.PROBE,
        "the chip on the board is not the one that is configured",
        ("connect the right board, or correct the target file in openocd.config",),
    ),
    "flash-failed": Known(
        Whose.TARGET,
        "writing the flash failed",
        ("check supply and read-out protection, then flash again",),
    ),
}

# A fault that only colours the picture: it explains others and is shown, but by itself it starts no recovery.
REMARKS = frozenset({"target-unpowered", "flash-failed"})


def known(code: str) -> Known:
    """Meaning of a fault code. Raises KeyError for a code that the contract does not have."""
    return FAULTS[code]
