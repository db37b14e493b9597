"""The phase table: which event means what in which phase. It *is* the state machine; the diagram is drawn from it.

A row names every phase it may lead to. `step` refuses to leave a phase any other way, and an event that has no row in a phase
must stand in `IGNORED`, with the reason; anything else is a mistake of ours and raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocdsup.core import actions as act
from ocdsup.core import events as ev
from ocdsup.core.state import Phase
from ocdsup.core.turn import Turn

P = Phase
# An action takes the turn and the one event type of its row, which a table of callables cannot spell more precisely.
Action = Callable[[Turn, Any], None]


@dataclass(frozen=True, slots=True)
class Row:
    """In `phase`, `event` runs `action`, which stays or goes to one of `to`."""

    phase: Phase
    event: type[ev.Event]
    action: Action
    to: frozenset[Phase]


_LAUNCH = (P.STARTING, P.BACKOFF, P.FAILED)  # what `again` may come to: launched, too soon, intensity spent
_CLEAR = (P.CLEARING, P.STOPPED, P.LENT, P.BLOCKED, *_LAUNCH)
_TROUBLE = (P.CURING, *_CLEAR)
_STOP = (P.STOPPING, P.STOPPED, P.LENT)


def _rows() -> tuple[Row, ...]:
    rows: list[Row] = []

    def on(phases: tuple[Phase, ...], event: type[ev.Event], action: Action, *to: Phase) -> None:
        rows.extend(Row(phase, event, action, frozenset(to)) for phase in phases)

    every = tuple(P)
    living = (P.READY, P.DEGRADED)
    with_backend = (P.STARTING, P.READY, P.DEGRADED, P.CURING, P.CLEARING, P.STOPPING, P.BLOCKED)
    # People
    on((P.STOPPED, P.FAILED), ev.StartAsked, act.start, *_CLEAR)
    on((P.STOPPING, P.LENT), ev.StartAsked, act.want)
    on(tuple(p for p in every if p not in {P.STOPPED, P.LENT, P.STOPPING}), ev.StopAsked, act.stop_asked, *_STOP)
    on((P.STOPPING, P.LENT), ev.StopAsked, act.unwant)
    on(tuple(p for p in every if p not in {P.LENT, P.STOPPING}), ev.RestartAsked, act.restart, *_CLEAR)
    on((P.STOPPING,), ev.RestartAsked, act.want)
    on(tuple(p for p in every if p is not P.LENT), ev.LendAsked, act.lend, *_STOP)
    on((P.LENT, P.STOPPING), ev.LendEnded, act.lend_ended, P.STOPPED, *_CLEAR)
    on(tuple(p for p in every if p not in {P.LENT, P.STOPPING, P.STOPPED}), ev.EvictAsked, act.evict_asked)
    on(every, ev.PolicyChanged, act.policy_changed, *_CLEAR)
    # A backend's life
    on((P.STARTING,), ev.LaunchFailed, act.launch_failed, *_TROUBLE)
    on((P.CLEARING,), ev.LaunchFailed, act.own_gone, *_CLEAR)
    on((P.STOPPING,), ev.LaunchFailed, act.stopped, *_STOP, *_CLEAR)
    on((P.STARTING,), ev.BackendReady, act.backend_ready)
    on((P.STARTING, P.CURING), ev.CoreVerified, act.core_verified, P.READY, *_TROUBLE)
    on((P.CURING,), ev.Examined, act.examined, *_TROUBLE)
    on((P.STARTING, P.READY, P.DEGRADED, P.CURING), ev.Alive, act.alive)
    on((P.STARTING, P.CURING), ev.LineFound, act.line_while_starting)
    on(living, ev.LineFound, act.line_while_up, P.READY, P.DEGRADED, *_TROUBLE)
    on((P.STARTING, P.READY, P.DEGRADED, P.CURING), ev.BackendExited, act.exited, *_TROUBLE)
    on((P.CLEARING,), ev.BackendExited, act.own_gone, *_CLEAR)
    on((P.STOPPING,), ev.BackendExited, act.stopped, *_STOP, *_CLEAR)
    on((P.BLOCKED,), ev.BackendExited, act.stuck_gone, *_LAUNCH, P.STOPPED, P.LENT)
    on((P.READY, P.DEGRADED, P.STARTING, P.CURING), ev.FlashBusy, act.flash_busy)
    on(with_backend, ev.Launched, act.launched)
    # What the PC shows
    on(living, ev.ProbeSeen, act.probe_seen_while_up, P.READY, P.DEGRADED, *_TROUBLE)
    on((P.CLEARING,), ev.ProbeSeen, act.probe_seen_while_clearing, *_CLEAR)
    on((P.BLOCKED,), ev.ProbeSeen, act.probe_seen_while_blocked, *_LAUNCH)
    on((P.CLEARING,), ev.HoldersSeen, act.holders_seen_while_clearing, *_CLEAR)
    on((P.BLOCKED,), ev.HoldersSeen, act.holders_seen_while_blocked, P.CLEARING, *_LAUNCH)
    on((P.CLEARING,), ev.HolderEnded, act.holder_ended_while_clearing, *_CLEAR)
    on((P.CLEARING,), ev.UsbWasReset, act.usb_was_reset, *_CLEAR)
    on((P.BLOCKED,), ev.PortsOpened, act.ports_opened, *_LAUNCH)
    on(tuple(p for p in every if p is not P.BLOCKED), ev.PortsOpened, act.ports_are_open)
    on(every, ev.PortTaken, act.port_taken)
    # Time
    on((P.STARTING,), ev.Tick, act.tick_starting, P.BLOCKED, *_TROUBLE)
    on(living, ev.Tick, act.tick_up, P.READY, *_TROUBLE)
    on((P.CURING,), ev.Tick, act.tick_curing, *_TROUBLE)
    on((P.CLEARING,), ev.Tick, act.tick_clearing, *_CLEAR)
    on((P.BACKOFF,), ev.Tick, act.tick_backoff, *_LAUNCH)
    on((P.BLOCKED,), ev.Tick, act.tick_blocked, *_LAUNCH)
    on((P.STOPPING,), ev.Tick, act.tick_stopping, P.BLOCKED)
    on((P.STOPPED, P.LENT, P.FAILED), ev.Tick, act.nothing)
    # Facts that are only remembered
    for event, action in (
        (ev.TargetSeen, act.target_seen),
        (ev.VoltageSeen, act.voltage_seen),
        (ev.SessionsChanged, act.sessions_changed),
    ):
        on(every, event, action)
    return tuple(rows)


ROWS = _rows()
TABLE: dict[tuple[Phase, type[ev.Event]], Row] = {(row.phase, row.event): row for row in ROWS}

# Events that come too late, or that change nothing in the phase they find. The reason is for the reader of a journal.
IGNORED: dict[type[ev.Event], str] = {
    ev.StartAsked: "the bench is wanted up already",
    ev.StopAsked: "the bench is down already",
    ev.RestartAsked: "the probe is lent: the borrower comes first",
    ev.LendAsked: "the probe is lent already; the daemon queues borrowers",
    ev.LendEnded: "nothing is lent",
    ev.EvictAsked: "a bench that does not want its probe ends nobody for it",
    ev.Alive: "the backend is being ended",
    ev.FlashBusy: "the backend is being ended",
    ev.LineFound: "last words of a backend that is being ended",
    ev.Launched: "the launch was given up meanwhile",
    ev.LaunchFailed: "the launch was given up meanwhile",
    ev.BackendReady: "the launch was given up meanwhile",
    ev.CoreVerified: "the answer came after the verdict",
    ev.Examined: "the answer came after the verdict",
    ev.BackendExited: "its end was seen already",
    ev.ProbeSeen: "nobody waits for this look any more",
    ev.HoldersSeen: "nobody waits for this look any more",
    ev.HolderEnded: "the eviction ended after its deadline",
    ev.UsbWasReset: "the USB reset ended after its deadline",
}
