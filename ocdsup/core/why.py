"""The diagnosis in plain words, made of the snapshot alone, so that it can be told anywhere the snapshot is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = 3  # recoveries told


def why(bench: Mapping[str, Any]) -> str:
    """Tell what is wrong with one bench, what was tried, what comes next and what hands can do.

    `bench` is a snapshot made by `status.snapshot`.
    """
    parts = [f"{bench['name']}: {bench['summary']}"]
    fault = bench["fault"]
    if fault is None:
        parts.append("Nothing is wrong now.")
    else:
        parts.append(f"Fault {fault['code']} since {fault['since_s']:g} s: {fault['text']}.")
        parts += [f"  OpenOCD said: {line}" for line in fault["evidence"]]
    parts += _holders(bench)
    parts += _tried(bench)
    parts += _next(bench)
    parts += [f"  {number}. {step}" for number, step in enumerate(bench["advice"], 1)]
    return "\n".join(parts)


def _holders(bench: Mapping[str, Any]) -> list[str]:
    return [
        f"The probe is open in PID {h['pid']} {h['name']}, user {h['user']}, since {h['since']}: {h['why']}."
        for h in bench["probe"]["holders"]
    ]


def _tried(bench: Mapping[str, Any]) -> list[str]:
    lines = []
    for recovery in bench["recoveries"][-SHOWN:]:
        rungs = ", ".join(recovery["rungs"]) or "nothing"
        took = recovery["took_s"]
        lines.append(f"Tried at {recovery['at']} for {recovery['fault']}: {rungs}; {recovery['outcome']} after {took:g} s.")
    return lines


def _next(bench: Mapping[str, Any]) -> list[str]:
    lines = []
    if bench["rung"] is not None:
        when = "Under way" if bench["phase"] in {"recovering", "starting"} else "Tried last"
        lines.append(f"{when}: {bench['rung']}.")
    if bench["next_try_s"] is not None:
        lines.append(f"ocdsup looks again in {bench['next_try_s']:g} s.")
    if bench["advice"]:
        lines.append("What you can do:")
    return lines
