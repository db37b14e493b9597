"""The blocking client against a served probe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ocdsup.sim.client import SimClient, SimError, control_path
from ocdsup.sim.server import SimServer


async def test_every_request_has_its_method(sim: SimServer) -> None:
    client = SimClient(sim.control_path)

    def talk() -> None:
        assert client.break_("locked", after_ms=50)["options"] == {"after-ms": 50, "boots": None}
        assert client.status()[0]["faults"] == {"locked": {"after-ms": 50, "boots": None}}
        assert client.heal() == ["locked"]
        client.press_reset()
        client.power_cycle(sim.probes[0].serial)
        assert client.log(clear=True)["counts"]["button reset"] == 1
        assert client.log()["events"] == []

    await asyncio.to_thread(talk)


async def test_a_refusal_carries_its_reason(sim: SimServer) -> None:
    with pytest.raises(SimError, match="there is no fault 'fire'"):
        await asyncio.to_thread(SimClient(sim.control_path).break_, "fire")


def test_nobody_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SimClient(tmp_path / "none.sock").status()


def test_the_default_place_is_the_runtime_directory_or_carries_the_uid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert control_path(7184) == tmp_path / "ocdsup-sim-7184.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert control_path(7184).name.startswith("ocdsup-sim-")
