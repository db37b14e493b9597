"""Everything that can be asked of the world. Imperatives; each is answered by the event named in its docstring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

RESETS = frozenset({"run", "halt"})


class UsbCure(Enum):
    """How the probe's USB device is brought to its senses, mildest first; the value is the rung of the ladder."""

    RESET = "reset-usb"
    REAUTHORISE = "reauthorise-usb"
    CYCLE_POWER = "cycle-usb-power"


@dataclass(frozen=True, slots=True)
class Profile:
    """How one backend is started.

    `after` is what happens behind `init`: `leave` touches nothing, `run` and `halt` reset the target, `hold` and `resume` see
    to it that the core is halted, or runs, and do nothing to one that already does. With names in `held`, `halt` and `hold` are
    for these targets, and the others run. A start under reset must reset: `init`
    alone never releases NRST (openocd-facts, reset: seen in 0.10 … master).
    """

    under_reset: bool = False
    speed_khz: int | None = None
    after: str = "leave"
    held: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.under_reset and self.after not in RESETS:
            raise ValueError("a start under reset without a reset command leaves the board dead in reset")


@dataclass(frozen=True, slots=True)
class Launch:
    """Start OpenOCD. Answered by `Launched` or `LaunchFailed`, later `BackendReady` or `BackendExited`."""

    run: int
    profile: Profile


@dataclass(frozen=True, slots=True)
class Terminate:
    """Close the sockets towards OpenOCD, then SIGTERM. Answered by `BackendExited`.

    The sockets first: an OpenOCD that waits for a GDB acknowledgement does not see the signal (0.12, master).
    """

    run: int


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to our own backend. Answered by `BackendExited`, unless the kernel holds it in D state."""

    run: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Ask for a sign of life over Tcl. Answered by `Alive`, or by silence."""

    run: int


@dataclass(frozen=True, slots=True)
class VerifyCore:
    """Read every target's state and one register. Answered by `CoreVerified`.

    The targets in `examine` are examined before, without a reset: it is a look at what is dead while another target is in use,
    so it leaves the others alone and says nothing in OpenOCD's log.
    """

    run: int
    examine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examine:
    """Examine the targets again over Tcl; the mildest cure, the core is not disturbed. Answered by `Examined`."""

    run: int


@dataclass(frozen=True, slots=True)
class RestoreResetConfig:
    """Put the board's own reset_config back after a start under reset: under reset to get in, never to stay."""

    run: int


@dataclass(frozen=True, slots=True)
class LookForProbe:
    """Is the probe on the bus? Answered by `ProbeSeen`."""


@dataclass(frozen=True, slots=True)
class LookForHolders:
    """Who else has the probe open? Answered by `HoldersSeen`. `force` asks the policy as `holders: any`."""

    force: bool = False


@dataclass(frozen=True, slots=True)
class EndHolder:
    """End one foreign process, politely first, re-checked through a pidfd. Answered by `HolderEnded`."""

    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class ResetUsb:
    """Reset the probe's USB device, or do one of the harder things to it. Answered by `UsbWasReset`."""

    how: UsbCure = UsbCure.RESET


@dataclass(frozen=True, slots=True)
class Note:
    """A decision worth a line in the journal. `event` is a constant name, foreign text only in `fields`."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


Effect = (
    Launch
    | Terminate
    | Kill
    | Beat
    | VerifyCore
    | Examine
    | RestoreResetConfig
    | LookForProbe
    | LookForHolders
    | EndHolder
    | ResetUsb
    | Note
)
