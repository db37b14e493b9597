"""What the daemon knows about its benches: frozen data with the defaults and limits of the contract, nothing else.

Only the standard library is imported here, so a daemon holds its configuration without holding a
validator. Durations are float seconds. `__pydantic_config__` is plain data that pydantic reads when `load` validates.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from ocdsup.config import kinds
from ocdsup.config.kinds import Within
from ocdsup.core.policy import AfterRecovery, UnderReset

STRICT = {"extra": "forbid", "strict": True}
SUPPORTED_VERSION = 1

Seconds = Annotated[float, kinds.SECONDS]
Port = Annotated[int, Within(0, 65535)]
KiloHertz = Annotated[int, Within(1, 100_000)]
Text = Annotated[str, kinds.TEXT]


class HolderPolicy(StrEnum):
    """Which foreign processes that hold the probe may be ended without asking."""

    NEVER = "never"
    STALE_OPENOCD = "stale-openocd"
    OPENOCD = "openocd"
    ANY = "any"


class MonitorPolicy(StrEnum):
    """What GDB `monitor` and telnet may send to OpenOCD's Tcl interpreter (`full` equals a shell as OpenOCD's user)."""

    FULL = "full"
    SAFE = "safe"
    OFF = "off"


class OnDetachPolicy(StrEnum):
    """How the core is left when GDB detaches, disconnects or dies."""

    RESUME = "resume"
    HALT = "halt"
    LEAVE = "leave"


class SecondClientPolicy(StrEnum):
    """What a second GDB on the same port gets: a clear refusal, the place of an idle first one, or a connection of its own.

    Idle is a GDB that has its program halted and has said nothing for `takeover_after`. One whose program runs is silent by
    nature and keeps its place; if it is dead, its connection ends within 30 s and the place is free.
    """

    REFUSE = "refuse"
    TAKEOVER = "takeover"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Probe:
    """Which debug probe a bench uses; nothing given means the only probe there is."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    vid_pid: Annotated[str, kinds.USB_ID] | None = None
    serial: Text | None = None
    location: Annotated[str, kinds.USB_LOCATION] | None = None
    server: Annotated[str, kinds.ST_LINK_SERVER] | None = None
    """The probe is reached through an ST-LINK server (ST's stlink-server or the simulated board), loopback only."""


@dataclass(frozen=True, slots=True)
class OpenOcd:
    """How OpenOCD is started for a bench."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    config: Annotated[tuple[Text, ...], Within(length=1)]
    binary: Text = "openocd"
    search: tuple[Text, ...] = ()
    commands: tuple[Annotated[str, kinds.TCL], ...] = ()
    adapter_speed_khz: KiloHertz | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """The stable ports: 0 takes any free one; the first target listens on `gdb`, the next targets on the next ports."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    gdb: Port = 3333
    telnet: Port = 4444
    tcl: Port | None = None
    targets: Annotated[int, Within(1, 16)] = 1
    """How many targets have their port before OpenOCD is first started; more of them get theirs when it names them."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait between two starts that failed: `first`, then times `factor`, up to `limit` seconds."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    first: Seconds = 0.5
    factor: Annotated[float, Within(1, 10)] = 2.0
    limit: Seconds = 30.0


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `restarts` restarts in any `period` seconds; more than that needs a person."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    restarts: Annotated[int, Within(1, 1000)] = 10
    period: Seconds = 300.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """When a bench counts as broken and how far recovery may go; durations in seconds."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    failures: Annotated[int, Within(1, 100)] = 3
    window: Seconds = 10.0
    start_timeout: Seconds = 15.0
    hang_timeout: Seconds = 15.0
    grace: Seconds = 7.0
    backoff: Backoff = field(default_factory=Backoff)
    intensity: Intensity = field(default_factory=Intensity)
    under_reset: UnderReset = UnderReset.AUTO
    slow_speed_khz: KiloHertz = 240
    usb_reset: bool = True
    after_recovery: AfterRecovery = AfterRecovery.AUTO


@dataclass(frozen=True, slots=True)
class Bench:
    """One probe, one board, one OpenOCD, and the stable ports that stand for them."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    name: Annotated[str, kinds.NAME]
    openocd: OpenOcd
    probe: Probe = field(default_factory=Probe)
    ports: Ports = field(default_factory=Ports)
    bind: Annotated[tuple[Annotated[str, kinds.ADDRESS], ...], Within(length=1)] = ("127.0.0.1", "::1")
    allow: tuple[Annotated[str, kinds.NETWORK], ...] = ()
    recovery: Recovery = field(default_factory=Recovery)
    holders: HolderPolicy = HolderPolicy.STALE_OPENOCD
    holder_users: tuple[Text, ...] = ()
    """Whose processes may be ended at all, by force too: names or numbers of users; empty = whomever the kernel lets us end."""
    adopt: bool = False
    """Whether OpenOCD itself outlives a restart or crash of the daemon, in the service manager's store (systemd/README.md)."""
    monitor: MonitorPolicy = MonitorPolicy.FULL
    on_detach: OnDetachPolicy = OnDetachPolicy.RESUME
    second_client: SecondClientPolicy = SecondClientPolicy.REFUSE
    takeover_after: Seconds = 60.0
    """How long a halted GDB must have been silent before `second_client: takeover` gives its place to another one."""
    cache: bool = False
    """Answer GDB here what cannot have changed since the last stop (features, registers, flash) instead of asking OpenOCD.

    Not in force with `second_client: share`: the other GDB may change what is kept.
    """


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration file; `control` None means `paths.control_path()`, `http` None means no status page."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT
    version: Literal[1]
    benches: Annotated[tuple[Bench, ...], Within(length=1)]
    control: Annotated[str, kinds.SOCKET] | None = None
    http: Annotated[str, kinds.HTTP] | None = None

    def bench(self, name: str) -> Bench | None:
        """Return the bench of that name, or None."""
        return next((bench for bench in self.benches if bench.name == name), None)
