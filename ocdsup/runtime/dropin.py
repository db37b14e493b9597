"""What the drop-in `openocd` asks of the daemon: what tells the benches apart, and Tcl in a bench's OpenOCD."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ocdsup.config.model import MonitorPolicy
from ocdsup.core.status import public_phase
from ocdsup.errors import ControlError, ProtocolError
from ocdsup.openocd.pin import said
from ocdsup.openocd.tcl import guard_script, parse_guarded
from ocdsup.rsp import monitor
from ocdsup.runtime.lending import identity

if TYPE_CHECKING:
    from ocdsup.runtime.bench import LiveBench

TCL_S = 120.0  # a mass erase of a large flash takes a minute


async def described(bench: LiveBench) -> dict[str, Any]:
    """Return what tells a bench from the others, where it serves, and which probe it has.

    What the caller runs is his own affair: never Tcl that he would execute, and a `binary` that only tells him which one it is.
    """
    backend, openocd = bench.backend, bench.config.openocd
    # What goes straight to OpenOCD is not seen here, and would make answers that are kept for GDB untrue.
    open_to_all = bench.config.monitor is MonitorPolicy.FULL and not bench.config.cache
    state = bench.driver.state
    return {
        "name": bench.name,
        "phase": public_phase(state),
        "probe": await identity(bench),
        "binary": openocd.binary,
        "config": list(openocd.config),
        "search": list(openocd.search),
        "commands": list(openocd.commands),
        "adapter_speed_khz": openocd.adapter_speed_khz,
        "pin": said(await bench.pin()),
        "version": state.backend.version if state.backend is not None else None,
        "targets": bench.ports.names,
        "ports": {"gdb": list(bench.ports.gdb_numbers), "telnet": bench.ports.telnet_number},
        "private_tcl": backend.ports.tcl if backend is not None and open_to_all and bench.ports.exposed else None,
    }


async def evaluate(bench: LiveBench, script: str, *, trusted: bool) -> dict[str, Any]:
    """Run a Tcl command in the bench's OpenOCD, if its monitor policy lets it, and of strangers only safe ones.

    Raises ControlError.

    A `shutdown` or `exit` in it, wherever it hides, is told as `ended`, an exit code, and does not end this OpenOCD.
    """
    what = f"run {script[:60]!r} on {bench.name}"
    policy = bench.config.monitor
    if policy is MonitorPolicy.OFF or (policy is MonitorPolicy.SAFE and not monitor.is_safe(script)):
        raise ControlError(
            "denied", what, f"`monitor: {policy.value}` of the configuration", "`monitor: full` lets everything pass"
        )
    if not trusted and not monitor.is_safe(script):
        hint = "commands as `reset halt` pass; for others use the daemon's user, or the bench's configuration"
        raise ControlError("denied", what, "it may do anything that the daemon's user may", hint)
    backend = bench.backend
    if backend is None or not bench.ports.exposed:
        raise ControlError("not-usable", what, bench.snapshot()["summary"], f"`ocdsup why {bench.name}`")
    try:
        guarded = guard_script(script)
    except ValueError as error:
        raise ControlError("bad-argument", what, str(error), "close what is open in it") from None
    try:
        async with asyncio.timeout(TCL_S):
            _, text = await backend.evaluate(guarded)
        done = parse_guarded(text)
    except TimeoutError:
        raise ControlError("failed", what, f"no answer within {TCL_S:g} s", f"`ocdsup why {bench.name}`") from None
    except (OSError, ProtocolError) as error:
        raise ControlError("failed", what, f"OpenOCD went away: {error}", f"`ocdsup why {bench.name}`") from None
    finally:
        bench.ports.outside_change()
    return {"ok": done.ok, "text": done.text, "log": done.log, "ended": done.ended}
