"""Tcl for the drop-in passes only as the bench's monitor policy says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ocdsup.config.model import MonitorPolicy
from ocdsup.errors import ControlError
from ocdsup.openocd.tcl import guard_script
from ocdsup.runtime.dropin import evaluate


class Backend:
    """An OpenOCD that answers everything, or is gone."""

    def __init__(self, answer: str | Exception) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def evaluate(self, script: str) -> tuple[bool, str]:
        self.asked.append(script)
        if isinstance(self._answer, Exception):
            raise self._answer
        return True, self._answer


def bench(policy: MonitorPolicy, backend: Backend | None, *, exposed: bool = True) -> Any:
    """As much of a bench as the verb looks at."""
    found = SimpleNamespace(
        name="nucleo",
        config=SimpleNamespace(monitor=policy),
        backend=backend,
        ports=SimpleNamespace(exposed=exposed, outside_change=lambda: backend.asked.append("told GDB") if backend else None),
        snapshot=lambda: {"summary": "recovering"},
    )
    return cast("Any", found)


@pytest.mark.parametrize(
    ("policy", "script", "passes"),
    [
        (MonitorPolicy.FULL, "exec id", True),
        (MonitorPolicy.SAFE, "reset halt", True),
        (MonitorPolicy.SAFE, "exec id", False),
        (MonitorPolicy.SAFE, "reset halt; exec id", False),
        (MonitorPolicy.OFF, "reset halt", False),
    ],
)
async def test_the_monitor_policy_decides(policy: MonitorPolicy, script: str, passes: bool) -> None:
    backend = Backend("0 done {} said")
    if passes:
        done = await evaluate(bench(policy, backend), script, trusted=True)
        assert done == {"ok": True, "text": "done", "log": "said", "ended": None}
        assert backend.asked == [guard_script(script), "told GDB"]
        return
    with pytest.raises(ControlError, match=f"`monitor: {policy.value}`") as denied:
        await evaluate(bench(policy, backend), script, trusted=True)
    assert (denied.value.code, backend.asked) == ("denied", [])


@pytest.mark.parametrize("script", ["exec id", "source {/home/me/x.tcl}", "reset halt; exec id", "mww 0 0"])
async def test_a_stranger_gets_the_safe_commands_and_no_others(script: str) -> None:
    backend = Backend("0 {} {} {}")
    with pytest.raises(ControlError, match="the daemon's user may") as denied:
        await evaluate(bench(MonitorPolicy.FULL, backend), script, trusted=False)
    assert (denied.value.code, backend.asked) == ("denied", [])
    assert (await evaluate(bench(MonitorPolicy.FULL, backend), "reset halt", trusted=False))["ok"]


async def test_an_end_is_told_and_not_done() -> None:
    backend = Backend("-600 {} {shutdown error} {}")
    done = await evaluate(bench(MonitorPolicy.FULL, backend), "quit", trusted=True)
    assert done["ended"] == 1
    assert backend.asked[0].startswith("set ::_ocdsup_over {}; catch {rename shutdown")


@pytest.mark.parametrize("script", ["echo {", "}; shutdown; list {"])
async def test_a_command_that_does_not_close_is_refused_before_openocd_sees_it(script: str) -> None:
    backend = Backend("0 {} {} {}")
    with pytest.raises(ControlError, match="unbalanced braces") as refused:
        await evaluate(bench(MonitorPolicy.FULL, backend), script, trusted=True)
    assert (refused.value.code, backend.asked) == ("bad-argument", [])


@pytest.mark.parametrize(("backend", "exposed"), [(None, True), (Backend("0 {} {} {}"), False)])
async def test_a_bench_that_is_away_is_not_asked(backend: Backend | None, exposed: bool) -> None:
    with pytest.raises(ControlError, match="recovering") as away:
        await evaluate(bench(MonitorPolicy.FULL, backend, exposed=exposed), "targets", trusted=True)
    assert away.value.code == "not-usable"


async def test_an_openocd_that_goes_away_meanwhile_is_said() -> None:
    with pytest.raises(ControlError, match="OpenOCD went away: reset by peer"):
        await evaluate(bench(MonitorPolicy.FULL, Backend(ConnectionResetError("reset by peer"))), "targets", trusted=True)
