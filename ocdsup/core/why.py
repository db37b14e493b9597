"""The diagnosis in plain words, made of the snapshot alone, so that it can be told anywhere the snapshot is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ocdsup.core.faults import FAULTS
from ocdsup.core.span import span

SHOWN = 3  # recoveries told
_PATIENCE_S = 5.0  # who stands at the bench does not want to wait longer for the next try
# What there is to say without a fault, by phase; a bench with advice is not quite well.
_WELL = {
    "ready": "Nothing is wrong now.",
    "starting": "Nothing is wrong so far.",
    "stopped": "It was stopped on purpose; `ocdsup start {name}` brings it back.",
}
_NEXT = {
    "backoff": "ocdsup tries again in {wait}.",
    "blocked": "ocdsup looks again in {wait}.",
    "failed": "ocdsup has given up, and only tries once more in {wait}.",
    "degraded": "ocdsup looks again in {wait}, without a reset.",
}


def why(bench: Mapping[str, Any]) -> str:
    """Tell what is wrong with one bench, what was tried, what comes next and what hands can do.

    `bench` is a snapshot made by `status.snapshot`.
    """
    parts = [f"{bench['name']}: {bench['summary']}"]
    parts += _fault(bench["fault"]) if bench["fault"] is not None else _well(bench)
    parts += _holders(bench)
    parts += _tried(bench)
    parts += _next(bench)
    parts += [f"  {number}. {step}" for number, step in enumerate(bench["advice"], 1)]
    return "\n".join(parts)


def _fault(fault: Mapping[str, Any]) -> list[str]:
    """In our words where the text is only one of OpenOCD's lines, which follow anyway."""
    known = FAULTS[fault["code"]].text
    text = known if fault["text"] in fault["evidence"] else fault["text"]
    told = f"Fault {fault['code']} since {span(fault['since_s'])}: {text}."
    return [told, *(f"  OpenOCD said: {line}" for line in fault["evidence"])]


def _well(bench: Mapping[str, Any]) -> list[str]:
    told = _WELL.get(bench["phase"])
    return [told.format(name=bench["name"])] if told is not None and not bench["advice"] else []


def _holders(bench: Mapping[str, Any]) -> list[str]:
    ended = [
        f"Ended at {e['at']}: PID {e['pid']} {e['name']}, user {e['user']}, by {e['how']}: {e['why']}."
        for e in bench["probe"].get("evicted", ())
    ]
    return ended + [
        f"The probe is open in PID {h['pid']} {h['name']}, user {h['user']}, since {h['since']}: {h['why']}."
        if h["pid"]
        else f"The probe is open in {h['name']}: {h['why']}."
        for h in bench["probe"]["holders"]
    ]


def _tried(bench: Mapping[str, Any]) -> list[str]:
    lines = []
    for recovery in bench["recoveries"][-SHOWN:]:
        rungs, took = _rungs(recovery["rungs"]), span(recovery["took_s"])
        lines.append(f"Tried at {recovery['at']} for {recovery['fault']}: {rungs}; {recovery['outcome']} after {took}.")
    tried = bench["tried"]
    under_way = bench["phase"] in {"recovering", "starting"}
    before = tried[:-1] if under_way else tried
    lines += [f"Tried so far: {_rungs(before)}."] if before else []
    lines += [f"Under way: {tried[-1]}."] if tried and under_way else []
    return lines


def _rungs(rungs: Sequence[str]) -> str:
    """The cures in their order; one that was repeated at once is counted."""
    runs = [(rung, len(list(same))) for rung, same in groupby(rungs)]
    return ", ".join(rung if times == 1 else f"{rung} ({times} times)" for rung, times in runs) or "nothing"


def _next(bench: Mapping[str, Any]) -> list[str]:
    lines = []
    wait, up = bench["next_try_s"], bench["phase"] == "degraded"
    if wait is not None:
        now = f" `ocdsup restart {bench['name']}` tries at once." if wait >= _PATIENCE_S and not up else ""
        lines.append(_NEXT[bench["phase"]].format(wait=span(wait)) + now)
    elif bench["phase"] == "failed":
        lines.append(f"ocdsup has given up; `ocdsup restart {bench['name']}` tries again.")
    if bench["advice"]:
        lines.append("What you can do:")
    return lines
