"""A probe is pulled and plugged again under a running daemon."""

from __future__ import annotations

import json
import os
from time import monotonic
from typing import TYPE_CHECKING

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware

if TYPE_CHECKING:
    from tests.usb.conftest import Bus, UsbRig


def test_unplug_blocks_and_replug_brings_up_with_the_sessions_kept(rig: UsbRig, bus: Bus) -> None:
    """The board behind it stays as it was, so OpenOCD itself has nothing to complain about: only the bus tells."""
    sim = rig.sim()
    bus.plug()
    rig.run(one=rig.usb_bench(sim))
    before = rig.ready()
    assert before["probe"]["location"] == "1-2"
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{before['ports']['gdb'][0]}")
        bus.pull()
        began = monotonic()
        blocked = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
        print(f"unplug -> blocked: {monotonic() - began:.2f} s")
        assert blocked["fault"]["code"] == "probe-absent"
        assert blocked["probe"]["present"] is False
        assert rig.openocds() == []
        bus.plug()
        began = monotonic()
        after = rig.ready()
        print(f"replug -> ready: {monotonic() - began:.2f} s")
        assert after["targets"][0]["gdb_sessions"] == 1
        gdb.command("-break-insert -h blink")
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()


def test_a_replug_between_two_looks_starts_openocd_on_the_new_device(rig: UsbRig, bus: Bus) -> None:
    sim = rig.sim()
    bus.plug()
    rig.run(one=rig.usb_bench(sim))
    pid = rig.ready()["backend"]["pid"]
    with rig.stalled():
        bus.pull()
        bus.plug()
    rig.until("start on the new device", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != pid)
    assert "plugged in again" in rig.log("blocked")[0]["text"]
