"""The USB rungs: bounded, in a child, for this probe only."""

import os
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

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
