"""The control socket's requests, as JSON objects: break, heal, log, status, press, power."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ocdsup.sim.faults import FaultError
from ocdsup.sim.probe import Probe

LONGEST = 65536  # bytes of one request line
_VERBS = ("break", "heal", "log", "status", "press", "power")


class RequestError(ValueError):
    """A request that cannot be carried out; the text says why."""


def answer(line: bytes, probes: Sequence[Probe], now: float) -> bytes:
    """Carry out one request line; the reply is one line, `{"ok": true, ...}` or `{"ok": false, "error": text}`."""
    try:
        reply: dict[str, object] = {"ok": True} | _carry_out(_parse(line), probes, now)
    except (RequestError, FaultError) as error:
        reply = {"ok": False, "error": str(error)}
    return json.dumps(reply).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise RequestError("the request is not JSON; send one object per line") from error
    if not isinstance(request, dict) or sum(verb in request for verb in _VERBS) != 1:
        raise RequestError(f"the request must be an object with one of: {', '.join(_VERBS)}")
    return request


def _carry_out(request: dict[str, Any], probes: Sequence[Probe], now: float) -> dict[str, object]:
    serial = request.pop("serial", None)
    if "status" in request:
        return {"probes": [probe.status(now) for probe in probes if serial in (None, probe.serial)]}
    probe = _choose(probes, serial)
    if "break" in request:
        name = request.pop("break")
        return {"fault": name, "options": probe.break_(str(name), request, now)}
    if "heal" in request:
        name = request["heal"]
        return {"healed": probe.heal(None if name is None else str(name), now)}
    if "log" in request:
        journal = probe.journal.as_json()
        if request["log"] == "clear":
            probe.journal.clear()
        return journal
    return _push(probe, request, now)


def _push(probe: Probe, request: dict[str, Any], now: float) -> dict[str, object]:
    if request.get("press") == "reset":
        probe.press_reset(now)
    elif request.get("power") == "cycle":
        probe.power_cycle(now)
    else:
        raise RequestError('only {"press": "reset"} and {"power": "cycle"} can be pressed')
    return {}


def _choose(probes: Sequence[Probe], serial: object) -> Probe:
    if serial is None:
        return probes[0]
    for probe in probes:
        if probe.serial == serial:
            return probe
    known = ", ".join(probe.serial for probe in probes)
    raise RequestError(f"there is no probe with serial {serial!r}; there are: {known}")
