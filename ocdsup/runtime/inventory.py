"""Every debug probe of the PC, which bench means it, and who holds it: the answer to `ocdsup probes`. Blocks a little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ocdsup.errors import ProbeError
from ocdsup.probes.holders import Holder
from ocdsup.probes.probe import Probe
from ocdsup.probes.selector import Found, ProbeSelector, match
from ocdsup.probes.serials import shown_serial
from ocdsup.runtime import procs, stlink_server, usb


def look(wants: Mapping[str, ProbeSelector], own: Mapping[int, str]) -> dict[str, Any]:
    """Return the probes, and what could not be seen.

    `wants` is what each bench means; `own` leads from the PIDs of our own OpenOCDs to their benches.
    """
    servers = {selector.server for selector in wants.values() if selector.server is not None}
    probes = (*usb.inventory(also=[selector.vid_pid for selector in wants.values()]), *_behind(servers))
    nodes = [node.path for probe in probes if probe.server is None for node in probe.debug_nodes]
    report = procs.find_holders(procs.wanted(nodes, [int(server.rpartition(":")[2]) for server in servers]), ask=False)
    benches = {_key(found.probe): name for name, found in _meant(wants, probes)}
    shown = [_shown(probe, benches.get(_key(probe)), _holding(probe, report.holders), own) for probe in probes]
    return {"probes": shown, "unseen": [str(unseen) for unseen in report.unseen]}


def _behind(servers: Iterable[str]) -> list[Probe]:
    found: list[Probe] = []
    for server in sorted(servers):
        try:
            found += stlink_server.list_probes(server)
        except ProbeError:
            continue  # no server, no probes: the bench itself says so
    return found


def _key(probe: Probe) -> tuple[str, str]:
    return probe.identity, probe.serial  # several probes may stand behind one server


def _meant(wants: Mapping[str, ProbeSelector], probes: Iterable[Probe]) -> list[tuple[str, Found]]:
    answers = ((name, match(selector, tuple(probes))) for name, selector in wants.items())
    return [(name, answer) for name, answer in answers if isinstance(answer, Found)]


def _holding(probe: Probe, holders: Iterable[Holder]) -> list[Holder]:
    """Holders of this probe; a connection to a server does not say which of its probes is used, only its command line may."""
    if probe.server is None:
        nodes = {node.path for node in probe.debug_nodes}
        return [holder for holder in holders if nodes & set(holder.nodes)]
    if not probe.in_use:
        return []
    port = probe.server.rpartition(":")[2]
    at_server = [holder for holder in holders if any(node.rpartition(":")[2] == port for node in holder.nodes)]
    named = [holder for holder in at_server if any(probe.serial in word for word in holder.cmdline)]
    return named or at_server


def _shown(probe: Probe, bench: str | None, holders: list[Holder], own: Mapping[int, str]) -> dict[str, Any]:
    return {
        "model": probe.model.name,
        "vid_pid": probe.vid_pid,
        "serial": shown_serial(probe.serial) or None,
        "location": probe.location,
        "server": probe.server,
        "usable": probe.server is not None or not probe.denied,
        "nodes": [
            {
                "path": node.path,
                "mode": f"{node.mode:04o}",
                "owner": node.owner,
                "group": node.group,
                "usable": node.usable,
                "missing": None if node.usable else node.missing,
            }
            for node in probe.nodes
        ],
        "drivers": list(probe.drivers),
        "claimed": probe.claimed,
        "bench": bench,
        "holders": [_holder(holder, _ours(holder, own)) for holder in holders],
    }


def _ours(holder: Holder, own: Mapping[int, str]) -> str | None:
    """The bench whose OpenOCD it is, perhaps behind wrappers."""
    return next((own[pid] for pid in (holder.pid, *(one.pid for one in holder.ancestry)) if pid in own), None)


def _holder(holder: Holder, ours: str | None) -> dict[str, Any]:
    return {
        "pid": holder.pid,
        "name": holder.name,
        "what": holder.title,
        "user": holder.user,
        "since": holder.since,
        "ours": ours,
        "exe": holder.exe,
        "cmdline": list(holder.cmdline),
        "parent": holder.parent.name if holder.parent is not None and not holder.orphaned else None,
        "orphaned": holder.orphaned,
        "state": holder.state,
        "gdb_port": holder.gdb_port,
        "gdb_connected": holder.gdb_connected,
    }
