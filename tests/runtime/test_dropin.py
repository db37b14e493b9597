"""Tcl for the drop-in passes only as the bench's monitor policy says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ocdsup.config.model import MonitorPolicy
from ocdsup.errors import ControlError
from ocdsup.runtime.dropin import evaluate


class Backend:
    """An OpenOCD that answers everything, or is gone."""

    def __init__(self, answer: tuple[bool, str] | Exception) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def evaluate(self, script: str) -> tuple[bool, str]:
        self.asked.append(script)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


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
    backend = Backend((True, "done"))
    if passes:
        assert await evaluate(bench(policy, backend), script) == {"ok": True, "text": "done"}
        assert backend.asked == [script, "told GDB"]
        return
    with pytest.raises(ControlError, match=f"`monitor: {policy.value}`") as denied:
        await evaluate(bench(policy, backend), script)
    assert (denied.value.code, backend.asked) == ("denied", [])


@pytest.mark.parametrize(("backend", "exposed"), [(None, True), (Backend((True, "")), False)])
async def test_a_bench_that_is_away_is_not_asked(backend: Backend | None, exposed: bool) -> None:
    with pytest.raises(ControlError, match="recovering") as away:
        await evaluate(bench(MonitorPolicy.FULL, backend, exposed=exposed), "targets")
    assert away.value.code == "not-usable"


async def test_an_openocd_that_goes_away_meanwhile_is_said() -> None:
    with pytest.raises(ControlError, match="OpenOCD went away: reset by peer"):
        await evaluate(bench(MonitorPolicy.FULL, Backend(ConnectionResetError("reset by peer"))), "targets")
