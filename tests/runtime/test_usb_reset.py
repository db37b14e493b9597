"""The USB rungs: bounded, in a child, for this probe only."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from ocdsup.core.effects import UsbCure
from ocdsup.probes.probe import Probe
from ocdsup.runtime import usb, usb_reset


class Bus(Protocol):
    """What `conftest.Bus` offers."""

    sys: Path
    dev: Path

    def plug(self, location: str, vid_pid: str, serial: str = "", product: str = "", **more: Any) -> Path: ...
    def unplug(self, location: str) -> None: ...


def plugged(bus: Bus, serial: str = "A") -> Probe:
    bus.plug("1-2", "0483:3748", serial)
    (probe,) = usb.inventory(bus.sys, bus.dev)
    return probe


def test_a_device_that_is_no_usb_device_refuses_the_reset_and_the_reason_is_told(bus: Bus) -> None:
    """The node of the laid-out bus is /dev/full, which knows no USBDEVFS_RESET."""
    outcome = usb_reset.reset(plugged(bus), 30, bus.sys, bus.dev)
    assert not outcome.ok
    assert "Inappropriate ioctl" in outcome.text
    assert not outcome.wedged


def test_a_rung_that_needs_longer_than_its_deadline_is_ended(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb_reset, "RESET_CODE", "import signal; signal.pause()")
    outcome = usb_reset.reset(plugged(bus), 0.05, bus.sys, bus.dev)
    assert not outcome.ok
    assert "did not finish within 0.05 s" in outcome.text


@pytest.mark.parametrize("error", ["PermissionError(13, 'Permission denied')", "OSError(30, 'Read-only file system')"])
def test_a_user_who_may_not_is_told_what_each_rung_needs(bus: Bus, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """In the system service sysfs is read-only (seen in a real boot); the node of the probe is a matter of its group."""
    monkeypatch.setattr(usb_reset, "RESET_CODE", f"raise {error}")
    monkeypatch.setattr(usb_reset, "REAUTHORISE_CODE", f"raise {error}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    probe = plugged(bus)
    assert usb_reset.reset(probe, 30, bus.sys, bus.dev).text.endswith("; needs write access to the device node (group plugdev)")
    assert usb_reset.reauthorise(probe, 30, bus.sys, bus.dev).text.endswith("; needs root, which the daemon is not")


def test_re_authorisation_writes_nought_and_then_one(bus: Bus) -> None:
    probe = plugged(bus)
    attribute = bus.sys / "bus/usb/devices/1-2/authorized"
    os.mkfifo(attribute)
    reader = os.open(attribute, os.O_RDWR)
    outcome = usb_reset.reauthorise(probe, 30, bus.sys, bus.dev)
    assert outcome.ok, outcome.text
    assert os.read(reader, 10) == b"01"
    os.close(reader)


def test_another_device_in_the_place_of_the_probe_is_never_reset(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb_reset, "_run", lambda *_: pytest.fail("something was reset"))
    probe = plugged(bus)
    bus.unplug("1-2")
    for rung in (usb_reset.reset, usb_reset.reauthorise, usb_reset.cycle_power):
        assert "look again" in rung(probe, 1, bus.sys, bus.dev).text
    bus.plug("1-2", "0483:3748", "A")
    assert "look again" in usb_reset.reset(probe, 1, bus.sys, bus.dev).text, "it was replugged meanwhile: no need"
    bus.unplug("1-2")
    bus.plug("1-2", "0483:3748", "B")
    for rung in (usb_reset.reset, usb_reset.reauthorise, usb_reset.cycle_power):
        assert "look again" in rung(probe, 1, bus.sys, bus.dev).text


@pytest.mark.parametrize(("location", "hub", "port"), [("1-2.3", "1-2", 3), ("1-2", "1", 2), ("3-1.4.10", "3-1.4", 10)])
def test_a_location_is_a_port_of_a_hub(location: str, hub: str, port: int) -> None:
    assert usb_reset.hub_port(location) == (hub, port)


def test_port_power_is_cycled_for_this_port_alone(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "argv"
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin/uhubctl"
    tool.write_text(f"#!{sys.executable}\nimport sys\nopen({str(log)!r}, 'w').write(' '.join(sys.argv[1:]))\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    assert usb_reset.cycle_power(plugged(bus), 30, bus.sys, bus.dev).ok
    assert log.read_text() == "-l 1 -p 2 -a cycle -d 2"


def test_without_uhubctl_hands_are_asked_for(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert "replug" in usb_reset.cycle_power(plugged(bus), 1, bus.sys, bus.dev).text


# The rungs of the ladder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cure", "name"),
    [(UsbCure.RESET, "reset"), (UsbCure.REAUTHORISE, "reauthorise"), (UsbCure.CYCLE_POWER, "cycle_power")],
)
def test_every_rung_does_its_own_thing_and_tells_where_the_probe_is_then(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, cure: UsbCure, name: str
) -> None:
    probe = plugged(bus)
    assert usb_reset._CURES[cure].__name__ == name

    def renumber(*_: object, **__: object) -> usb_reset.Outcome:
        bus.unplug("1-2")
        bus.plug("1-2", "0483:3748", "A")
        return usb_reset.Outcome(True, "done")

    monkeypatch.setitem(usb_reset._CURES, cure, renumber)
    outcome, identity = usb_reset.carry_out(cure, probe, bus.sys, bus.dev)
    (again,) = usb.inventory(bus.sys, bus.dev)
    assert (outcome.ok, identity) == (True, again.identity)
    assert identity != probe.identity


def test_a_probe_that_does_not_come_back_is_not_waited_for_for_ever(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = plugged(bus)

    def lose(*_: object, **__: object) -> usb_reset.Outcome:
        bus.unplug("1-2")
        return usb_reset.Outcome(True, "done")

    monkeypatch.setattr(usb_reset, "BACK_S", 0.0)
    monkeypatch.setitem(usb_reset._CURES, UsbCure.CYCLE_POWER, lose)
    assert usb_reset.carry_out(UsbCure.CYCLE_POWER, probe, bus.sys, bus.dev)[1] == ""


class Immortal(subprocess.Popen[str]):
    """A child that SIGKILL does not end, as one in D state; `release` is what a replug does to it."""

    def kill(self) -> None:
        """The kernel keeps the signal for later."""

    def release(self) -> None:
        super().kill()
        self.wait()


async def test_a_cure_that_is_stuck_in_the_kernel_is_told_and_no_other_is_started_beside_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Immortal)
    monkeypatch.setattr(usb_reset, "RESET_CODE", "import signal; signal.pause()")
    probe = plugged(bus)
    outcome = await asyncio.to_thread(usb_reset.reset, probe, 0.05, bus.sys, bus.dev)
    assert outcome.wedged
    assert "replug the probe" in outcome.text
    child = usb_reset._stuck[probe.identity]
    assert isinstance(child, Immortal)
    try:
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("another one was started beside it"))
        for cure in UsbCure:
            again, identity = usb_reset.carry_out(cure, probe, bus.sys, bus.dev)
            assert (again.ok, again.wedged, identity) == (False, True, "")
        waiting = asyncio.ensure_future(usb_reset.until_free(probe.identity))
        await asyncio.sleep(0)
        assert not waiting.done()
    finally:
        child.kill = lambda: None  # type: ignore[method-assign]  # only `release` may end it
        child.release()
    async with asyncio.timeout(20):
        await waiting
    assert not usb_reset.still_stuck(probe.identity)
    await usb_reset.until_free(probe.identity)
    assert child.stderr
    child.stderr.close()
