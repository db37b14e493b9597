"""What the owner of a bench may choose for its GDB port, and what the caller knows about a new backend."""

from dataclasses import dataclass
from enum import Enum


class Dialect(Enum):
    """What stands behind the proxy."""

    OPENOCD = "openocd"  # restarts are survived, traps of OpenOCD 0.8 to HEAD are avoided
    ANY = "any"  # any GDB server: every packet passes as it is


class Monitor(Enum):
    """Which `monitor` lines may reach the backend."""

    FULL = "full"
    SAFE = "safe"
    OFF = "off"


class OnDetach(Enum):
    """How the core is left when GDB detaches, disconnects or dies."""

    RESUME = "resume"
    HALT = "halt"
    LEAVE = "leave"


class SecondClient(Enum):
    """What a second client of the same port gets."""

    REFUSE = "refuse"
    TAKEOVER = "takeover"  # the place of the first one, if that is idle: see `Policy.idle_after`
    SHARE = "share"  # a connection of its own


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices for one GDB port; times in seconds, sizes in bytes.

    `answer_within` stays below the 6 s after which GDB pairs late answers with later questions (three tries of 2 s, seen with
    GDB 13.1), with a margin for slow links.

    `idle_after`: a debugger that has its program halted and has said nothing for so long may be taken over. One that waits for
    a running program is never idle, however long it is silent: GDB says nothing until the stop comes, and whoever waits for a
    rare breakpoint would lose his session to the next who asks. If it is dead, its connection ends by itself (keep-alive,
    30 s), and its place is free.
    """

    dialect: Dialect = Dialect.OPENOCD
    keep_session: bool = True
    monitor: Monitor = Monitor.FULL
    on_detach: OnDetach = OnDetach.RESUME
    second_client: SecondClient = SecondClient.REFUSE
    idle_after: float = 60.0
    halt_on_attach: bool = True  # as OpenOCD's own gdb-attach event does (0.11 and later), which ocdsup switches off
    stop_after_reset: bool = True
    cache: bool = False
    answer_within: float = 4.0
    hold_every: float = 1.0  # while it attaches, GDB is held by a notification: half of its 2 s, so that it never asks again
    hold_for: float = 30.0  # then it is told why there is no target
    wait_for: float = 60.0  # a debugger that waits for a stop, for a server of somebody else that went away: see `outage`
    greeting_within: float = 5.0
    stop_patience: float = 1.5  # the third failed poll of OpenOCD comes 0.6 s after the first
    dialogue_within: float = 8.0  # a `halt` inside may take OpenOCD 5 s
    farewell_within: float = 2.0
    request_limit: int = 0x4000  # PacketSize of OpenOCD 0.11 and later: a longer packet ends the connection
    reply_limit: int = 1 << 22
    backlog_limit: int = 64  # requests that wait while the backend is away; GDB itself sends one at a time

    @property
    def transparent(self) -> bool:
        """Tell whether packets pass as they are."""
        return self.dialect is Dialect.ANY

    @property
    def server(self) -> str:
        """Name what stands behind the proxy, for people."""
        return "the GDB server" if self.transparent else "OpenOCD"


TRANSPARENT = Policy(dialect=Dialect.ANY, keep_session=False, request_limit=1 << 22, on_detach=OnDetach.LEAVE)


@dataclass(frozen=True, slots=True)
class BackendUp:
    """What is known about a backend that has just accepted our connection.

    `reset`: the board was reset since the last backend connection. `halted`: state of the core, None = the proxy asks.
    `adapter_kept`: False while recovery runs the adapter at its own (slower) speed, which a replayed setting must not undo.
    `same`: it is the same process as before, and only the connection was lost. `told`: what GDB is told about the reset, one
    line with its end, if the usual sentence is not the truth.
    """

    reset: bool = False
    halted: bool | None = None
    adapter_kept: bool = True
    same: bool = False
    told: str = ""
