"""Everything that can happen to a bench. Past tense or nouns; `run` numbers the backend that an event is about.

An event of an older run is dropped by `step`: it speaks of an OpenOCD that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ocdsup.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: `next_deadline` was reached."""


# What people and programs ask for -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartAsked:
    """The bench is wanted up (daemon start, `ocdsup start`)."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The bench is wanted down (daemon end, `ocdsup stop`)."""


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """A person wants a new backend now, whatever the budgets say."""

    under_reset: bool = False


@dataclass(frozen=True, slots=True)
class LendAsked:
    """Another tool needs the probe: free it and keep away until `LendEnded`."""

    borrower: str


@dataclass(frozen=True, slots=True)
class LendEnded:
    """The borrower is done, gone, or out of time."""


@dataclass(frozen=True, slots=True)
class EvictAsked:
    """A person (`by`) wants the holders of the probe ended, as far as the policy allows (`force`: all of them)."""

    force: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """A new configuration was accepted; `relaunch` when the backend itself would be started differently."""

    policy: Policy
    relaunch: bool


# What a backend does ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launched:
    """The process of `run` exists."""

    run: int
    pid: int
    argv: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """No process came to be: binary missing, too old, pty or fork refused."""

    run: int
    fault: str
    text: str


@dataclass(frozen=True, slots=True)
class BackendReady:
    """OpenOCD announced its ports and echoed our token: `init` and the reset sequence are over."""

    run: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CoreVerified:
    """Answer to `VerifyCore`: state of every target by name; `answers` is false when one could not be read.

    Such a one is `unknown`. No states at all: OpenOCD itself did not answer. `coreless` are targets without a core (mem_ap):
    they answer without the board, and prove nothing.
    """

    run: int
    states: tuple[tuple[str, str], ...]
    answers: bool
    coreless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """Answer to `Examine`: whether a target could be examined now; what becomes of the others is seen by `VerifyCore`."""

    run: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Alive:
    """The backend answered a heartbeat or printed a line. The runtime sends at most a few a second."""

    run: int


@dataclass(frozen=True, slots=True)
class FlashBusy:
    """Something that takes long, like a `flash` operation, blocks OpenOCD's only thread: silence is legal while `busy`."""

    run: int
    busy: bool
    flash: bool = True


@dataclass(frozen=True, slots=True)
class LineFound:
    """A catalogue rule (or the outage counter) recognised what OpenOCD printed."""

    run: int
    finding: str
    fault: str | None
    text: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """A target changed its state, in OpenOCD's words: unknown running halted reset debug-running."""

    run: int
    target: str
    state: str


@dataclass(frozen=True, slots=True)
class VoltageSeen:
    """The probe measured the board's supply, volts."""

    run: int
    volts: float


@dataclass(frozen=True, slots=True)
class BackendExited:
    """The process is gone and reaped. `fault` and `text` are what its last words mean, if anything."""

    run: int
    status: str
    fault: str | None
    text: str
    evidence: tuple[str, ...] = ()


# What the PC shows --------------------------------------------------------------------------------------------------


class Presence(Enum):
    """What a look at the bus said about the bench's probe."""

    PRESENT = "present"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProbeSeen:
    """Answer to `LookForProbe`. `identity` changes with every replug (bus and device number)."""

    presence: Presence
    text: str = ""
    identity: str = ""
    location: str | None = None


@dataclass(frozen=True, slots=True)
class HolderSeen:
    """A foreign process that has the probe open, and what the policy says of it. PID 0: there is one, but we may not see it."""

    pid: int
    start: int
    name: str
    user: str
    since: str
    stale: bool
    evict: bool
    why: str

    @property
    def who(self) -> str:
        """Who it is, for people."""
        return f"PID {self.pid} {self.name}, user {self.user}" if self.pid else self.name


@dataclass(frozen=True, slots=True)
class HoldersSeen:
    """Answer to `LookForHolders`. `unseen` says what could not be looked at, with the right that is missing.

    `again_at` (monotonic seconds) is when time alone may change a verdict. `forced`: they were judged for a person who insists.
    """

    holders: tuple[HolderSeen, ...]
    unseen: str = ""
    again_at: float | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class HolderEnded:
    """Answer to `EndHolder`: `how` is shutdown, term, kill, gone, refused or left-alone (somebody uses it by now)."""

    pid: int
    ended: bool
    how: str
    text: str


@dataclass(frozen=True, slots=True)
class UsbWasReset:
    """Answer to `ResetUsb`. `identity` is the probe's new one if the cure gave it another device number.

    `wedged`: what was to reset it sits in the kernel itself (D state). Only a replug helps, and nothing is to be tried before.
    """

    ok: bool
    text: str
    wedged: bool = False
    identity: str = ""


@dataclass(frozen=True, slots=True)
class PortsOpened:
    """All stable listeners of the bench are open."""


@dataclass(frozen=True, slots=True)
class PortTaken:
    """A stable port belongs to somebody else; `text` names who."""

    text: str


@dataclass(frozen=True, slots=True)
class SessionsChanged:
    """Debug sessions per GDB port, whether a user has a core halted, and which ones, where that is known.

    `debugged` are the targets that have a session, as far as their names are known.
    """

    counts: tuple[int, ...]
    halted: bool
    cores: tuple[str, ...] = ()
    debugged: tuple[str, ...] = ()


BackendEvent = (
    Launched
    | LaunchFailed
    | BackendReady
    | CoreVerified
    | Examined
    | Alive
    | FlashBusy
    | LineFound
    | TargetSeen
    | VoltageSeen
    | BackendExited
)
Event = (
    Tick
    | StartAsked
    | StopAsked
    | RestartAsked
    | LendAsked
    | LendEnded
    | EvictAsked
    | PolicyChanged
    | BackendEvent
    | ProbeSeen
    | HoldersSeen
    | HolderEnded
    | UsbWasReset
    | PortsOpened
    | PortTaken
    | SessionsChanged
)
