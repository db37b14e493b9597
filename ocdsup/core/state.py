"""What a bench remembers between two events. Immutable members throughout: `step` works on a shallow copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ocdsup.core.effects import Profile, UsbCure
from ocdsup.core.events import HolderSeen, ProbeSeen
from ocdsup.core.ladder import Rung
from ocdsup.core.policy import Policy
from ocdsup.core.timers import Timer


class Phase(Enum):
    """Where a bench is. The value is the word of the contract's status; CLEARING and STOPPING are ours (see `status`)."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    CLEARING = "clearing"  # own backend, stale holders: what is in the way is being ended
    CURING = "curing"  # a cure that needs no new backend is under way
    BACKOFF = "backoff"
    BLOCKED = "blocked"
    STOPPING = "stopping"
    LENT = "lent"
    FAILED = "failed"


UP = frozenset({Phase.READY, Phase.DEGRADED})  # the bench can be used, or a part of it
RESTING = frozenset({Phase.STOPPED, Phase.READY, Phase.BLOCKED, Phase.LENT, Phase.FAILED})


class Signalled(Enum):
    """How far our own backend was asked to go."""

    NO = 0
    TERM = 1
    KILL = 2
    STUCK = 3  # not even SIGKILL ends it: it sits in the kernel, usually on a wedged USB transfer


@dataclass(frozen=True, slots=True)
class Backend:
    """One OpenOCD run, from the decision to launch it until its exit was reaped. Times are monotonic seconds."""

    run: int
    profile: Profile
    since: float
    pid: int | None = None
    argv: tuple[str, ...] = ()
    version: str | None = None
    ready: bool = False
    signalled: Signalled = Signalled.NO
    busy: bool = False  # a flash operation is known to run


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, since when, and the lines that say so."""

    code: str
    since: float
    text: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovery:
    """One way out of a fault, from its verdict to a verified core (or to giving up)."""

    at: float
    fault: str
    rungs: tuple[str, ...] = ()
    took_s: float | None = None
    outcome: str = "running"


@dataclass(frozen=True, slots=True)
class Evicted:
    """A foreign process that was ended for the probe: who it was, why, and by which step."""

    at: float
    pid: int
    name: str
    user: str
    why: str
    how: str


@dataclass(frozen=True, slots=True)
class Target:
    """A core as OpenOCD names it, and the last state that was seen of it. A target without a `core` (mem_ap) proves nothing."""

    name: str
    state: str = "unknown"
    core: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """A target that does not answer while another one of its bench does, and what that is called."""

    name: str
    code: str
    since: float


@dataclass(slots=True)
class State:
    """All that a bench knows. Only `step` may change it."""

    policy: Policy = field(default_factory=Policy)
    has_usb: bool = True
    phase: Phase = Phase.STOPPED
    since: float = 0.0
    wanted: bool = False
    reset_asked: bool = False  # a restart under reset was asked for while the old backend was still going
    borrower: str | None = None
    cores_before: tuple[str, ...] = ()  # those of several that were halted then
    core_before: str | None = None  # the core's state when the probe was lent, to be found again afterwards
    run: int = 0
    backend: Backend | None = None
    timers: Mapping[Timer, float] = field(default_factory=dict)

    fault: Fault | None = None
    remark: Fault | None = None
    failures: tuple[tuple[float, str], ...] = ()  # when, and of which target
    lost: frozenset[str] = frozenset()  # targets whose last examination failed
    dead: tuple[Dead, ...] = ()  # while others are well
    answered: frozenset[str] = frozenset()  # targets that were well since somebody wanted the bench as it is
    part_reset: bool = False  # since then the board was reset for targets that are dead while others are well
    looking: float | None = None  # since when a look at the targets is under way
    looks: int = 0  # at those that are dead, since the last of them died
    evidence: tuple[str, ...] = ()
    recovery: Recovery | None = None
    history: tuple[Recovery, ...] = ()
    tried: tuple[tuple[str, Rung], ...] = ()
    exhausted: bool = False
    given_up: bool = False  # the intensity was spent on OpenOCD's own faults: one try now and then, until one start holds
    once_more: bool = False  # the way is cleared for such a try
    held: bool = False  # the core is kept halted because running firmware locks the probe out

    launches: tuple[float, ...] = ()
    renewed: bool = (
        False  # since the last launch the PC has shown something better, so the next need not wait for the intensity
    )
    streak: int = 0
    profile: Profile = field(default_factory=Profile)  # of the next launch
    waits: frozenset[str] = frozenset()  # what CLEARING still waits for
    usb_cure: UsbCure | None = None  # what CLEARING does to the probe's USB device once our own backend has let go of it
    world_was_bad: bool = False  # a recheck saw the obstacle itself: when it goes, the next try is immediate

    probe: ProbeSeen | None = None
    holders: tuple[HolderSeen, ...] = ()
    unseen: str = ""
    usb_stuck: str = ""  # why no USB cure may be tried any more: the last one sits in the kernel until the probe is replugged
    evicted: tuple[Evicted, ...] = ()  # the last few
    refused: frozenset[tuple[int, int]] = frozenset()  # (pid, start) of holders that could not be ended
    ports_taken: str | None = None
    targets: tuple[Target, ...] = ()
    sessions: tuple[int, ...] = ()
    session_halted: bool = False
    session_cores: tuple[str, ...] = ()  # the targets that are meant, as far as their names are known
    debugged: tuple[str, ...] = ()  # the targets that have a session, as far as their names are known
    voltage: float | None = None
    restarts: int = 0
    recoveries: int = 0
    evictions: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
