"""The USB rungs of the ladder on a made-up bus: in their order, on this probe alone, and each of them told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.usb.conftest import Bus, UsbRig

HURRY = {"start_timeout": "1s", "hang_timeout": "1s", "grace": "500ms"}
USB_RUNGS = ["reset-usb", "reauthorise-usb", "cycle-usb-power"]


def uhubctl(folder: Path) -> Path:
    """A program of that name that writes down what it is told; returns where."""
    told, tool = folder / "uhubctl.argv", folder / "bin" / "uhubctl"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tool.chmod(0o755)
    return told


def test_a_probe_that_hangs_is_reset_re_authorised_and_loses_its_power_in_that_order(rig: UsbRig, bus: Bus) -> None:
    told = uhubctl(rig.folder)
    rig.bus.env["PATH"] = f"{rig.folder}/bin:{os.environ['PATH']}"
    sim = rig.sim()
    bus.plug("1-2.3")
    bus.plug("1-2.4", "0670FF000000000000000002")
    rig.run(one=rig.usb_bench(sim, recovery=HURRY))
    rig.ready()
    sim.control.break_("hang")
    rig.until("climb the USB rungs", lambda _bench: len(rig.log("usb_reset")) == len(USB_RUNGS))
    cures = rig.log("usb_reset")
    assert [cure["cure"] for cure in cures] == USB_RUNGS
    assert [cure["ok"] for cure in cures] == [True, True, True], [cure["text"] for cure in cures]
    assert bus.attribute("authorized", "1-2.3").read_text() == "1"
    assert told.read_text() == "-l 1-2 -p 3 -a cycle -d 2\n"
    sim.control.heal()
    recovered = rig.recovered()["recoveries"][-1]
    assert [rung for rung in recovered["rungs"] if rung in USB_RUNGS] == USB_RUNGS


def test_without_leave_the_usb_device_is_left_alone(rig: UsbRig, bus: Bus) -> None:
    told = uhubctl(rig.folder)
    rig.bus.env["PATH"] = f"{rig.folder}/bin:{os.environ['PATH']}"
    sim = rig.sim()
    bus.plug()
    rig.run(one=rig.usb_bench(sim, recovery=HURRY | {"usb_reset": False}))
    rig.ready()
    sim.control.break_("hang")
    rig.until("have tried the rest", lambda _bench: sum(one["exhausted"] for one in rig.log("rung_chosen")) >= 2)
    assert rig.log("usb_reset") == []
    assert not told.exists()
    sim.control.heal()
    rig.ready()
