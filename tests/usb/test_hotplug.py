"""A probe is pulled and plugged again under a running daemon."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, SERIAL, gone

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
        blocked = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
        assert blocked["fault"]["code"] == "probe-absent"
        assert blocked["probe"]["present"] is False
        assert rig.openocds() == []
        bus.plug()
        after = rig.ready()
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


def test_an_ambiguous_selector_is_refused_before_openocd_is_started_naming_both_paths(rig: UsbRig, bus: Bus) -> None:
    """Left to choose, OpenOCD would take the first: perhaps somebody else's board."""
    sim = rig.sim()
    bus.plug("1-2")
    bus.plug("1-3.1")
    rig.run(one=rig.usb_bench(sim))
    blocked = rig.until("be refused", lambda bench: bench["phase"] == "blocked")
    assert blocked["fault"]["code"] == "probe-absent"
    assert "2 probes share this serial: 1-2 and 1-3.1; give each its `location`" in blocked["fault"]["text"]
    assert rig.launches() == 0
    assert "1-2 and 1-3.1" in rig.ocdsup("why", "one").stdout
    bus.pull("1-3.1")
    assert rig.ready()["probe"]["location"] == "1-2"


def test_two_probes_with_the_same_serial_are_told_apart_by_their_place(rig: UsbRig, bus: Bus) -> None:
    sim = rig.sim()
    bus.plug("1-2")
    bus.plug("1-3.1")
    rig.run(one=rig.usb_bench(sim, {"serial": SERIAL, "location": "1-3.1"}))
    argv = " ".join(rig.ready()["backend"]["argv"])
    assert "usb location" in argv
    assert "1-3.1" in argv
    probes = json.loads(rig.ocdsup("probes", "--json").stdout)["probes"]
    assert {probe["location"]: probe["bench"] for probe in probes} == {"1-2": None, "1-3.1": "one"}
    bus.pull("1-2")
    bus.plug("1-4")
    assert rig.status()["phase"] == "ready", "the other one is none of its business"


def test_openocd_is_bound_to_the_only_probe_although_the_configuration_names_none(rig: UsbRig, bus: Bus) -> None:
    sim = rig.sim()
    bus.plug("1-2")
    rig.run(one=rig.usb_bench(sim, {}))
    argv = " ".join(rig.ready()["backend"]["argv"])
    assert f"adapter serial {SERIAL}" in argv
    assert "0x0483 0x374b" in argv


def test_a_pc_without_any_probe_says_so(rig: UsbRig, bus: Bus) -> None:
    rig.run(one=rig.usb_bench(rig.sim()))
    rig.ready()
    assert rig.ocdsup("probes").stdout.splitlines()[0] == "no debug probe is on USB"
    bus.plug()
    assert rig.ocdsup("probes").stdout.splitlines()[0] == f"0483:374b  {SERIAL}  1-2  ST-LINK/V2-1, bench one"


def test_a_holder_of_the_node_is_seen_by_device_and_left_alone_or_ended_by_policy(rig: UsbRig, bus: Bus) -> None:
    """A process that is no OpenOCD has the very node open; only `--force` ends it."""
    sim = rig.sim()
    node = bus.plug()
    script = "import signal, sys; probe = open(sys.argv[1]); print('open', flush=True); signal.pause()"
    tool = rig.start("tool", ["/usr/bin/python3", "-c", script, "/dev/bus/usb/001/004"])
    tool.await_line("open")
    rig.run(one=rig.usb_bench(sim))
    rig.ready()
    (probe,) = json.loads(rig.ocdsup("probes", "--json").stdout)["probes"]
    assert [holder["pid"] for holder in probe["holders"]] == [tool.pid]
    assert probe["nodes"][0]["path"] == "/dev/bus/usb/001/004"
    assert node.exists()
    refused = rig.ocdsup("evict", "one")
    assert refused.returncode == 1
    assert f"PID {tool.pid}" in refused.stderr
    done = rig.ocdsup("evict", "one", "--force")
    assert done.returncode == 0, done.stderr
    gone(tool.pid)
    assert rig.status()["phase"] == "ready"


def test_a_borrower_hears_where_a_usb_probe_is(rig: UsbRig, bus: Bus) -> None:
    bus.plug("1-2.3")
    rig.run(one=rig.usb_bench(rig.sim(), {}))
    rig.ready()
    env = dict(line.split("=", 1) for line in rig.ocdsup("lend", "one", "--", "env").stdout.splitlines() if "=" in line)
    told = {name: value for name, value in env.items() if name.startswith(("OCDSUP_PROBE", "STLINK", "PROBE_RS"))}
    assert told == {
        "OCDSUP_PROBE_SERIAL": SERIAL,
        "OCDSUP_PROBE_VID_PID": "0483:374b",
        "OCDSUP_PROBE_LOCATION": "1-2.3",
        "PROBE_RS_PROBE": f"0483:374b:{SERIAL}",
        "STLINK_SERIAL": SERIAL,
        "STLINK_DEVICE": "1:4",
    }
    rig.ready()


def test_a_probe_that_is_pulled_from_its_borrower_is_missed_after_the_loan(rig: UsbRig, bus: Bus) -> None:
    bus.plug()
    rig.run(one=rig.usb_bench(rig.sim()))
    rig.ready()
    go = rig.folder / "go"
    os.mkfifo(go)
    borrower = rig.start(
        "lend", [sys.executable, "-m", "ocdsup", "lend", "one", "--", "sh", "-c", f"echo begun; read line < {go}"]
    )
    borrower.await_line("begun")
    bus.pull()
    assert rig.status()["phase"] == "lent"
    go.write_text("now\n")
    assert borrower._process.wait(PATIENCE) == 0
    missed = rig.until("miss it", lambda bench: bench["phase"] == "blocked")
    assert missed["fault"]["code"] == "probe-absent"
    assert rig.launches() == 1
    bus.plug()
    assert rig.ready()["fault"] is None


AS_NOBODY = """
import asyncio, concurrent.futures.thread, json, os
from ocdsup.probes.eviction import Policy
from ocdsup.probes.selector import ProbeSelector
from ocdsup.runtime import usb
from ocdsup.runtime.looks import Home, Looks
os.setgroups([]); os.setgid(65534); os.setuid(65534)
looks = Looks(ProbeSelector(), Policy.STALE_OPENOCD, 0.0, frozenset, lambda: False, home=Home("one", lambda: ""))
seen = asyncio.run(looks.probe())
print(json.dumps([seen.presence.value, seen.text, usb.inventory()[0].serial]))
"""


def test_a_user_without_rights_is_told_the_group_that_is_missing_and_still_sees_the_probe(rig: UsbRig, bus: Bus) -> None:
    node = bus.plug()
    for folder in (node, *node.parents)[1:6]:  # as far as umockdev's own folder, which is its user's alone
        folder.chmod(0o755)
    os.chown(node, 0, grp.getgrnam("plugdev").gr_gid)
    node.chmod(0o660)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], env=rig.environment(), capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    presence, text, serial = json.loads(done.stdout)
    assert (presence, serial) == ("denied", SERIAL)
    assert "/dev/bus/usb/001/004, which is 0660 root:plugdev; this user has to be in the group plugdev" in text
