"""The one snapshot. Command line, telnet, metrics and systemd show views of this object and know nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ocdsup.core.casualties import dead_advice, dead_text
from ocdsup.core.events import Presence
from ocdsup.core.faults import FAULTS
from ocdsup.core.span import span
from ocdsup.core.state import UP, Fault, Phase, Recovery, Signalled, State
from ocdsup.core.timers import Timer


@dataclass(frozen=True, slots=True)
class Facts:
    """What the configuration says of a bench and the listeners know; the state does not repeat it."""

    name: str
    vid_pid: str | None
    serial: str | None
    location: str | None
    gdb_ports: tuple[int, ...]
    telnet_port: int | None
    tcl_port: int | None
    places: Mapping[str, int] = field(default_factory=dict)  # which GDB port a target has; one each while nothing is known


@dataclass(frozen=True, slots=True)
class Clock:
    """One reading of both clocks: intervals come from `now`, dates are `wall` (seconds since 1970) minus an age."""

    now: float
    wall: float

    def date(self, at: float) -> str:
        """The monotonic instant `at` as an ISO 8601 date in UTC."""
        return datetime.fromtimestamp(self.wall - (self.now - at), UTC).isoformat(timespec="seconds")


def public_phase(state: State) -> str:
    """The contract's word for the present phase.

    Our two working phases have no word there: CLEARING and CURING are `recovering` while a recovery runs and `starting`
    otherwise; STOPPING is already called by its goal, and the summary says that OpenOCD is still going.
    """
    match state.phase:
        case Phase.CLEARING | Phase.CURING | Phase.STARTING:
            return "recovering" if state.recovery is not None else "starting"
        case Phase.STOPPING:
            return "lent" if state.borrower is not None else "stopped"
        case _:
            return str(state.phase.value)


def snapshot(state: State, facts: Facts, clock: Clock) -> dict[str, Any]:
    """One bench as the contract's status object (design, 3.4)."""
    fault = shown_fault(state)
    return {
        "name": facts.name,
        "desired": "up" if state.wanted else "down",
        "phase": public_phase(state),
        "since_s": round(clock.now - state.since, 1),
        "summary": summary(state, facts, clock),
        "fault": _fault(fault, clock) if fault else None,
        "rung": _rung(state),
        "tried": list(state.recovery.rungs) if state.recovery is not None else [],
        "next_try_s": _next_try(state, clock),
        "advice": list(advice(state)),
        "probe": _probe(state, facts, clock),
        "backend": _backend(state, clock),
        "targets": _targets(state, facts),
        "ports": {"gdb": list(facts.gdb_ports), "telnet": facts.telnet_port, "tcl": facts.tcl_port},
        "recoveries": [_recovery(r, clock) for r in state.history],
        "counters": {
            "restarts": state.restarts,
            "recoveries": state.recoveries,
            "evictions": state.evictions,
            "looks": state.looks,
            "findings": dict(state.findings),
        },
    }


def shown_fault(state: State) -> Fault | None:
    """The fault that keeps the bench, or a part of it, from working, else the remark that colours the picture."""
    return state.fault or _part_fault(state) or state.remark


def _part_fault(state: State) -> Fault | None:
    """What is wrong with the targets that are dead while others are well."""
    if not state.dead or state.phase not in UP:
        return None
    since = min(one.since for one in state.dead)
    return Fault(state.dead[0].code, since, dead_text(state), state.evidence)


def _fault(fault: Fault, clock: Clock) -> dict[str, Any]:
    return {
        "code": fault.code,
        "since_s": round(clock.now - fault.since, 1),
        "text": fault.text,
        "evidence": list(fault.evidence),
    }


def _rung(state: State) -> str | None:
    if state.recovery is not None and state.recovery.rungs:
        return state.recovery.rungs[-1]
    return None


def _next_try(state: State, clock: Clock) -> float | None:
    timer = _NEXT.get(state.phase)
    at = state.timers.get(timer) if timer is not None else None
    return None if at is None else max(0.0, round(at - clock.now, 1))


_NEXT = {Phase.BACKOFF: Timer.PHASE, Phase.BLOCKED: Timer.RECHECK, Phase.FAILED: Timer.RECHECK, Phase.DEGRADED: Timer.LOOK}
_HELD = """\
the target stopped answering each time its firmware ran, so its core is kept halted at the reset vector
flash a corrected firmware now, or `ocdsup restart` to let it run
if it stops answering while halted too, the cable or the supply is to blame, not the firmware"""


def advice(state: State) -> tuple[str, ...]:
    """What a person can do with their hands, most likely cure first; nothing while all is well."""
    steps: list[str] = []
    if state.held and state.phase in UP:
        steps += _HELD.splitlines()
    for fault in (state.remark, state.fault):
        if fault is not None:
            steps.extend(FAULTS[fault.code].advice)
    if _part_fault(state) is not None:
        steps.extend(dead_advice(state))
    if state.fault is not None and state.fault.code == "probe-held" and state.unseen:
        steps.append(f"not every process could be looked at: {state.unseen}")
    return tuple(dict.fromkeys(steps))


def _probe(state: State, facts: Facts, clock: Clock) -> dict[str, Any]:
    seen = state.probe
    alive = (state.backend is not None and state.backend.ready) or state.borrower is not None
    present = seen.presence not in {Presence.ABSENT, Presence.AMBIGUOUS} if seen is not None else alive
    if state.fault is not None and state.fault.code == "probe-absent":
        present = False
    return {
        "vid_pid": facts.vid_pid,
        "serial": facts.serial,
        "location": (seen.location if seen is not None else None) or facts.location,
        "present": present,
        "holders": [
            {"pid": h.pid, "name": h.name, "user": h.user, "since": h.since, "stale": h.stale, "why": h.why}
            for h in state.holders
        ],
        "unseen": state.unseen or None,
        "evicted": [
            {"at": clock.date(one.at), "pid": one.pid, "name": one.name, "user": one.user, "why": one.why, "how": one.how}
            for one in state.evicted
        ],
    }


def _backend(state: State, clock: Clock) -> dict[str, Any] | None:
    backend = state.backend
    if backend is None or backend.pid is None:
        return None
    return {
        "pid": backend.pid,
        "version": backend.version,
        "argv": list(backend.argv),
        "uptime_s": round(clock.now - backend.since, 1),
        "restarts": state.restarts,
        "voltage": state.voltage,
        "under_reset": backend.profile.under_reset,
    }


def _targets(state: State, facts: Facts) -> list[dict[str, Any]]:
    places = facts.places or {target.name: index for index, target in enumerate(state.targets)}
    dead = {one.name: one.code for one in state.dead} if state.phase in UP else {}
    return [
        {
            "name": target.name,
            "state": target.state,
            "gdb_port": _at(facts.gdb_ports, places.get(target.name), None),
            "gdb_sessions": _at(state.sessions, places.get(target.name), 0),
            "fault": dead.get(target.name),
        }
        for target in state.targets
    ]


def _at(values: Sequence[int], place: int | None, other: int | None) -> int | None:
    return values[place] if place is not None and place < len(values) else other


def _recovery(recovery: Recovery, clock: Clock) -> dict[str, Any]:
    return {
        "at": clock.date(recovery.at),
        "fault": recovery.fault,
        "rungs": list(recovery.rungs),
        "took_s": None if recovery.took_s is None else round(recovery.took_s, 3),
        "outcome": recovery.outcome,
    }


def summary(state: State, facts: Facts, clock: Clock) -> str:
    """One line for a person in a hurry; also systemd's STATUS."""
    match state.phase:
        case Phase.READY:
            return _ready_summary(state, facts)
        case Phase.DEGRADED if state.dead:
            return f"degraded: {dead_text(state)}"
        case Phase.DEGRADED:
            return f"degraded: {_failed(state)} failed examination(s), {state.policy.failures} make a recovery"
        case Phase.BACKOFF:
            wait = _next_try(state, clock)
            return f"waiting {span(wait or 0.0)} for the next try: {_why(state)}"
        case Phase.BLOCKED | Phase.FAILED:
            return f"{state.phase.value}: {_why(state)}"
        case Phase.LENT:
            return f"lent to {state.borrower}"
        case Phase.STOPPING:
            return f"stopping OpenOCD (PID {_pid(state)})"
        case Phase.STOPPED:
            return "stopped"
        case _:
            rung = _rung(state)
            return f"recovering from {_code(state)}: {rung or 'looking'}" if state.recovery else "starting OpenOCD"


def _failed(state: State) -> int:
    """Failed examinations of the target that has most of them."""
    return max(Counter(target for _, target in state.failures).values(), default=0)


def _ready_summary(state: State, facts: Facts) -> str:
    ports = ", ".join(f":{port}" for port in facts.gdb_ports)
    if state.held:
        return f"ready on {ports}, core held at its reset vector"
    return f"ready on {ports}"


def _pid(state: State) -> object:
    backend = state.backend
    if backend is None:
        return "-"
    return f"{backend.pid}, stuck in the kernel" if backend.signalled is Signalled.STUCK else backend.pid


def _code(state: State) -> str:
    return state.fault.code if state.fault is not None else "an unknown fault"


def _why(state: State) -> str:
    if state.fault is None:
        return "recovery.intensity allows no more starts now"  # a wait without a fault has no other reason
    return f"{state.fault.code}: {state.fault.text}"


def whole(
    benches: Sequence[dict[str, Any]], version: str, pid: int, uptime_s: float, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The daemon's snapshot around those of its benches; `notes` is what is wrong with none of them."""
    around = {"ocdsup": version, "pid": pid, "uptime_s": round(uptime_s, 1)}
    return {**around, "benches": list(benches), "notes": list(notes)}
