"""`ocdsup probes [--json]`: every debug probe of the PC, which bench uses it, and who holds it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ocdsup.cli.ask import ask
from ocdsup.control.render import safe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("probes", description="Every debug probe of the PC, which bench uses it, and who holds it.")
    verb.add_argument("--json", action="store_true", help="the answer as one line of JSON")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    answer = ask(options, "probes")
    print(json.dumps(answer) if options.json else safe(text(answer)))
    return 0


def text(answer: Mapping[str, Any]) -> str:
    """Return the list for people: a line for each probe, below it who holds it and what is missing."""
    lines = [line for probe in answer["probes"] for line in _probe(probe)] or ["no debug probe is on USB"]
    return "\n".join([*lines, *(f"not seen: {unseen}" for unseen in answer.get("unseen", []))])


def _probe(probe: Mapping[str, Any]) -> Iterator[str]:
    place = probe.get("location") or probe.get("server") or "?"
    bench = f"bench {probe['bench']}" if probe.get("bench") else "no bench"
    yield f"{probe['vid_pid']}  {probe.get('serial') or 'no serial'}  {place}  {probe['model']}, {bench}"
    for node in probe.get("nodes", []):
        if not node["usable"]:
            rights = f"{node['mode']} {node['owner']}:{node['group']}"
            yield f"    {node['path']} is {rights}, not open to ocdsup: {node['missing']}"
    for holder in probe.get("holders", []):
        whose = f"the OpenOCD of bench {holder['ours']}" if holder.get("ours") else holder["what"]
        who = f"PID {holder['pid']} {holder['name']} ({whose}), user {holder['user']}, since {holder['since']}"
        yield f"    held by {who}{_more(holder)}"
    if probe.get("claimed") and not probe.get("holders"):
        yield "    in use by a process that ocdsup cannot see"


_GDB = {"True": "a GDB is attached", "False": "no GDB"}
_STATES = {"T": "stopped", "t": "stopped", "D": "stuck in the kernel"}


def _more(holder: Mapping[str, Any]) -> str:
    """What tells whether it is still wanted: who started it, whether somebody debugs through it, whether it can react."""
    parts = [
        "its parent is gone" if holder.get("orphaned") else f"started by {holder['parent']}" if holder.get("parent") else "",
        f"GDB port {holder['gdb_port']}" if holder.get("gdb_port") else "",
        "" if holder.get("ours") else _GDB.get(str(holder.get("gdb_connected")), ""),
        _STATES.get(str(holder.get("state")), ""),
    ]
    return "".join(f", {part}" for part in parts if part)
