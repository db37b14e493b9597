"""The phase table: which event means what in which phase. It *is* the state machine; the diagram is drawn from it.

A row names every phase it may lead to. `step` refuses to leave a phase any other way, and an event that has no row in a phase
must stand in `IGNORED`, with the reason; anything else is a mistake of ours and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ocdsup.core import casualties, living, people, ticking, world
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


def _on(phases: Iterable[Phase], event: type[ev.Event], action: Action, *to: Phase) -> Iterator[Row]:
    return (Row(phase, event, action, frozenset(to)) for phase in phases)


def _but(*phases: Phase) -> tuple[Phase, ...]:
    return tuple(phase for phase in P if phase not in phases)


_EVERY = tuple(P)
_UP = (P.READY, P.DEGRADED)
_RUNS = (P.STARTING, *_UP, P.CURING)  # a backend runs and is meant to
_BARE = (P.BACKOFF, P.BLOCKED, P.FAILED)  # no backend, but wanted
_FRESH = (P.STARTING, P.BLOCKED)  # a person's start has all budgets; only a stable port can be in its way
_LAUNCH = (P.STARTING, P.BACKOFF)  # what a launch may come to: done, or too soon
_CLEARED = (*_LAUNCH, P.BLOCKED, P.FAILED)  # what is left when the way is clear


def _people() -> Iterator[Row]:
    yield from _on((P.STOPPED, P.FAILED), ev.StartAsked, people.start, *_FRESH)
    yield from _on((P.STOPPING, P.LENT, P.BLOCKED), ev.StartAsked, people.want)
    yield from _on(_RUNS, ev.StopAsked, people.stop_asked, P.STOPPING)
    yield from _on((P.CLEARING,), ev.StopAsked, people.stop_asked, P.STOPPING, P.STOPPED)
    yield from _on(_BARE, ev.StopAsked, people.stop_asked, P.STOPPED)
    yield from _on((P.STOPPING, P.LENT), ev.StopAsked, people.unwant)
    yield from _on(_RUNS, ev.RestartAsked, people.restart, P.CLEARING)
    yield from _on((P.CLEARING, P.STOPPED, *_BARE), ev.RestartAsked, people.restart, *_FRESH)
    yield from _on((P.STOPPING,), ev.RestartAsked, people.want_restart)
    yield from _on((*_RUNS, P.STOPPING), ev.LendAsked, people.lend, P.STOPPING)
    yield from _on((P.CLEARING,), ev.LendAsked, people.lend, P.STOPPING, P.LENT)
    yield from _on((P.STOPPED, *_BARE), ev.LendAsked, people.lend, P.LENT)
    yield from _on((P.LENT,), ev.LendAsked, people.pass_on)
    yield from _on((P.LENT,), ev.LendEnded, people.lend_ended, P.STOPPED, *_FRESH)
    yield from _on((P.STOPPING, P.BLOCKED), ev.LendEnded, people.lend_ended)
    yield from _on(_but(P.STOPPED, P.STOPPING, P.LENT), ev.EvictAsked, people.evict_asked)
    yield from _on(_RUNS, ev.PolicyChanged, people.policy_changed, P.CLEARING)
    yield from _on((P.CLEARING, *_BARE), ev.PolicyChanged, people.policy_changed, *_FRESH)
    yield from _on((P.STOPPED, P.STOPPING, P.LENT), ev.PolicyChanged, people.policy_changed)


def _coming_up() -> Iterator[Row]:
    yield from _on((*_RUNS, P.CLEARING, P.STOPPING, P.BLOCKED), ev.Launched, living.launched)
    yield from _on((P.STARTING,), ev.BackendReady, living.backend_ready)
    yield from _on((P.STARTING,), ev.CoreVerified, casualties.core_verified, *_UP, P.CURING, P.CLEARING)
    yield from _on((P.CURING,), ev.CoreVerified, casualties.core_verified, *_UP, P.CLEARING)
    yield from _on(_UP, ev.CoreVerified, casualties.looked_at, *_UP, P.CLEARING)
    yield from _on((P.CURING,), ev.Examined, living.examined, P.CLEARING)
    yield from _on(_RUNS, ev.Alive, living.alive)
    yield from _on(_RUNS, ev.FlashBusy, living.flash_busy)
    yield from _on((P.STARTING, P.CURING), ev.LineFound, living.line_while_starting)
    yield from _on(_UP, ev.LineFound, living.line_while_up, *_UP, P.CLEARING)


def _going_down() -> Iterator[Row]:
    yield from _on((P.STARTING,), ev.LaunchFailed, living.launch_failed, P.CLEARING, *_CLEARED)
    yield from _on(_RUNS, ev.BackendExited, living.exited, P.CLEARING, *_CLEARED)
    for gone in (ev.LaunchFailed, ev.BackendExited):
        yield from _on((P.CLEARING,), gone, living.own_gone, *_CLEARED)
        yield from _on((P.STOPPING,), gone, living.stopped, P.STOPPED, P.LENT, *_FRESH)
        yield from _on((P.BLOCKED,), gone, living.stuck_gone, P.STOPPED, P.LENT, *_LAUNCH)


def _pc() -> Iterator[Row]:
    yield from _on(_RUNS, ev.ProbeSeen, world.probe_seen_while_up, P.CLEARING)
    yield from _on((P.BACKOFF,), ev.ProbeSeen, world.probe_seen_while_waiting, *_CLEARED)
    yield from _on((P.CLEARING,), ev.ProbeSeen, world.probe_seen_while_clearing, *_CLEARED)
    yield from _on((P.BLOCKED,), ev.ProbeSeen, world.probe_seen_while_blocked, *_LAUNCH)
    yield from _on((P.FAILED,), ev.ProbeSeen, world.probe_seen_while_failed, *_LAUNCH)
    yield from _on((P.CLEARING,), ev.HoldersSeen, world.holders_seen_while_clearing, *_CLEARED)
    yield from _on((P.BLOCKED,), ev.HoldersSeen, world.holders_seen_while_blocked, P.CLEARING, *_LAUNCH)
    yield from _on((*_RUNS, P.BACKOFF, P.FAILED), ev.HoldersSeen, world.holders_seen_aside)
    yield from _on((P.CLEARING,), ev.HolderEnded, world.holder_ended_while_clearing, *_CLEARED)
    yield from _on((P.BACKOFF,), ev.HolderEnded, world.holder_ended_while_waiting, P.STARTING)
    yield from _on(_but(P.CLEARING, P.BACKOFF), ev.HolderEnded, world.holder_ended_aside)
    yield from _on((P.CLEARING,), ev.UsbWasReset, world.usb_was_reset, *_CLEARED)
    yield from _on((P.BLOCKED,), ev.UsbWasReset, world.usb_came_free, *_LAUNCH)
    yield from _on((P.BLOCKED,), ev.PortsOpened, world.ports_opened, *_LAUNCH)
    yield from _on(_but(P.BLOCKED), ev.PortsOpened, world.ports_are_open)
    yield from _on(_EVERY, ev.PortTaken, world.port_taken)


def _time() -> Iterator[Row]:
    yield from _on((P.STARTING,), ev.Tick, ticking.tick_starting, P.CLEARING)
    yield from _on(_UP, ev.Tick, ticking.tick_up, P.READY, P.CLEARING)
    yield from _on((P.CURING,), ev.Tick, ticking.tick_curing, P.CLEARING)
    yield from _on((P.CLEARING,), ev.Tick, ticking.tick_clearing, *_CLEARED)
    yield from _on((P.BACKOFF,), ev.Tick, ticking.tick_backoff, P.STARTING, P.FAILED)
    yield from _on((P.BLOCKED,), ev.Tick, ticking.tick_blocked, *_LAUNCH)
    yield from _on((P.STOPPING,), ev.Tick, ticking.tick_stopping, P.BLOCKED)
    yield from _on((P.FAILED,), ev.Tick, ticking.tick_failed, P.CLEARING)
    yield from _on((P.STOPPED, P.LENT), ev.Tick, ticking.nothing)


def _facts() -> Iterator[Row]:
    yield from _on(_EVERY, ev.TargetSeen, world.target_seen)
    yield from _on(_EVERY, ev.VoltageSeen, world.voltage_seen)
    yield from _on(_EVERY, ev.SessionsChanged, world.sessions_changed)


ROWS = tuple(chain(_people(), _coming_up(), _going_down(), _pc(), _time(), _facts()))
TABLE: dict[tuple[Phase, type[ev.Event]], Row] = {(row.phase, row.event): row for row in ROWS}

# Events that come too late, or that change nothing in the phase they find. The reason is for the reader of a journal.
IGNORED: dict[type[ev.Event], str] = {
    ev.StartAsked: "the bench is wanted up already",
    ev.StopAsked: "the bench is down already",
    ev.RestartAsked: "the probe is lent: the borrower comes first",
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
    ev.UsbWasReset: "the USB cure ended after its deadline",
}
