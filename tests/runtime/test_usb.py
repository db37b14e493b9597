"""The inventory of a laid-out bus, presence of a bench's probe, and hot-plug."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from ocdsup.probes.known import Sharing
from ocdsup.probes.selector import Absent, Ambiguous, Found, ProbeSelector
from ocdsup.runtime import usb
from tests.usb.st_link import described


class Bus(Protocol):
    """What `conftest.Bus` offers."""

    sys: Path
    dev: Path

    def plug(self, location: str, vid_pid: str, serial: str = "", product: str = "", **more: Any) -> Path: ...
    def unplug(self, location: str) -> None: ...
    def bind(self, home: Path, number: int, driver: str) -> None: ...
    def add_hidraw(self, home: Path, number: int) -> None: ...
    def add_tty(self, home: Path, number: int) -> None: ...


def test_every_probe_is_listed_in_the_order_of_its_path_and_nothing_else_is(bus: Bus) -> None:
    bus.plug("1-10", "0483:3748", "A")
    bus.plug("1-2.3", "2e8a:000c", "B", "Debugprobe on Pico (CMSIS-DAP)", interfaces=("CMSIS-DAP v2 Interface",))
    bus.plug("1-2", "1d6b:0002", product="Hub")
    bus.plug("1-3", "046d:c31c", product="Keyboard")
    probes = usb.inventory(bus.sys, bus.dev)
    assert [(probe.location, probe.model.kind, probe.serial) for probe in probes] == [
        ("1-2.3", "cmsis-dap", "B"),
        ("1-10", "st-link", "A"),
    ]


def test_a_device_that_only_the_configuration_calls_a_probe_is_one(bus: Bus) -> None:
    """A board with an FTDI chip and a USB ID of its own, as many makers have them."""
    bus.plug("1-2", "1234:ABCD", "A")
    assert usb.inventory(bus.sys, bus.dev) == ()
    assert isinstance(usb.find(ProbeSelector(serial="A"), bus.sys, bus.dev), Absent)
    found = usb.find(ProbeSelector("1234:abcd"), bus.sys, bus.dev)
    assert isinstance(found, Found)
    assert (found.probe.serial, found.probe.model.kind) == ("A", "configured")


def test_a_probe_that_is_locked_in_the_kernel_is_still_listed(bus: Bus) -> None:
    """While a reset hangs, sysfs answers for its number and not for its strings; here a pipe that nobody writes to."""
    home = bus.plug("1-2", "0483:3748", "A", "ST-LINK/V2")
    before = usb.inventory(bus.sys, bus.dev)
    for name in ("serial", "product"):
        (home / name).unlink()
        os.mkfifo(home / name)
    assert usb.inventory(bus.sys, bus.dev) == before


def test_the_strings_of_a_replugged_device_are_read_again(bus: Bus) -> None:
    for serial in ("A", "B"):
        bus.plug("1-2", "0483:3748", serial)
        assert usb.inventory(bus.sys, bus.dev)[0].serial == serial
        bus.unplug("1-2")


def test_a_pc_without_usb_has_no_probes(tmp_path: Path) -> None:
    assert usb.inventory(tmp_path, tmp_path) == ()


def test_nodes_drivers_and_permissions_are_told(bus: Bus) -> None:
    home = bus.plug("1-2", "0d28:0204", "A", "DAPLink CMSIS-DAP", interfaces=("CMSIS-DAP v1", "mbed Serial Port"))
    bus.add_hidraw(home, 7)
    bus.add_tty(home, 3)
    bus.bind(home, 0, "usbhid")
    (probe,) = usb.inventory(bus.sys, bus.dev)
    assert [(node.kind, os.path.basename(node.path), node.usable) for node in probe.nodes] == [
        ("usb", "002", True),
        ("hidraw", "hidraw7", True),
        ("tty", "ttyACM3", True),
    ]
    assert probe.drivers == ("usbhid", "")
    assert not probe.claimed
    assert probe.model.sharing is Sharing.SHARED
    assert probe.nodes[0].owner == "root"


def test_a_claimed_interface_is_seen_without_any_right(bus: Bus) -> None:
    bus.bind(bus.plug("1-2", "0483:3748", "A"), 0, "usbfs")
    assert usb.inventory(bus.sys, bus.dev)[0].claimed


def test_a_raw_serial_is_read_byte_for_byte(bus: Bus) -> None:
    raw = "\xaa\xbc\x6e\x06\x50\x75\xff\x0a\x17\x42\x19\x3f"
    bus.plug("1-2", "0483:3748", raw)
    assert isinstance(usb.find(ProbeSelector(serial="AABC6E065075FF0A1742193F"), bus.sys, bus.dev), Found)


def test_a_device_that_vanishes_while_it_is_read_is_left_out(bus: Bus) -> None:
    (bus.plug("1-2", "0483:3748", "A") / "devnum").unlink()
    (bus.sys / "bus/usb/devices/1-9").symlink_to("/nowhere")
    assert usb.inventory(bus.sys, bus.dev) == ()


def test_the_probe_of_a_bench_is_found_absent_or_ambiguous(bus: Bus) -> None:
    assert isinstance(usb.find(ProbeSelector(), bus.sys, bus.dev), Absent)
    bus.plug("1-2", "0483:3748", "A")
    assert isinstance(usb.find(ProbeSelector(), bus.sys, bus.dev), Found)
    bus.plug("1-3", "0483:3748", "A")
    both = usb.find(ProbeSelector(serial="A"), bus.sys, bus.dev)
    assert isinstance(both, Ambiguous)
    assert "1-2 and 1-3" in both.text


# Hot-plug ----------------------------------------------------------------------------------------------------------


def test_a_poll_sees_plug_unplug_and_replug_and_nothing_in_between(bus: Bus) -> None:
    watch = usb.PollWatch(bus.sys)
    assert watch.fileno() is None
    seen = [watch.changed()]
    bus.plug("1-2", "0483:3748", "A")
    seen += [watch.changed(), watch.changed()]
    bus.unplug("1-2")
    seen += [watch.changed(), watch.changed()]
    bus.plug("1-2", "0483:3748", "A")
    watch.changed()
    bus.unplug("1-2")
    bus.plug("1-2", "0483:3748", "A")
    seen.append(watch.changed())
    assert seen == [False, True, False, True, False, True], "the last one is a replug between two looks"


def test_a_replugged_probe_has_another_identity_and_another_node(bus: Bus) -> None:
    bus.plug("1-2", "0483:3748", "A")
    before = usb.find(ProbeSelector(serial="A"), bus.sys, bus.dev)
    bus.unplug("1-2")
    bus.plug("1-2", "0483:3748", "A")
    after = usb.find(ProbeSelector(serial="A"), bus.sys, bus.dev)
    assert isinstance(before, Found)
    assert isinstance(after, Found)
    assert before.probe.identity != after.probe.identity
    assert before.probe.nodes[0].path != after.probe.nodes[0].path


@pytest.mark.parametrize(
    ("udev", "namespace", "kind"),
    [
        (True, usb.INIT_USER_NAMESPACE, usb.UdevWatch),
        (False, usb.INIT_USER_NAMESPACE, usb.KernelWatch),
        (False, "user:[4026532001]", usb.PollWatch),
    ],
    ids=["udev runs", "no udev", "a rootless container"],
)
def test_udev_and_the_kernel_are_listened_to_only_where_they_are_heard(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, udev: bool, namespace: str, kind: type[usb.Watch]
) -> None:
    assert isinstance(usb.watch(bus.sys), usb.PollWatch), "a made-up bus tells nobody"
    monkeypatch.setattr(Path, "exists", lambda _: udev)
    monkeypatch.setattr(os, "readlink", lambda _: namespace)
    watch = usb.watch()
    watch.close()
    assert type(watch) is kind


def test_without_pyudev_the_kernel_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(os, "readlink", lambda _: usb.INIT_USER_NAMESPACE)
    monkeypatch.setitem(sys.modules, "pyudev", None)
    watch = usb.watch()
    watch.close()
    assert type(watch) is usb.KernelWatch


@pytest.mark.parametrize(
    ("told", "changed"),
    [
        ([b"add@/devices/usb1/1-2\0ACTION=add\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0"], True),
        ([b"remove@/x\0ACTION=remove\0SUBSYSTEM=usb\0"], True),
        ([b"change@/x\0ACTION=change\0SUBSYSTEM=usb\0"], False),
        ([b"add@/devices/virtual/net/veth0\0ACTION=add\0SUBSYSTEM=net\0"], False),
        ([b"remove@/x\0ACTION=remove\0SUBSYSTEM=usb\0", b"add@/y\0ACTION=add\0SUBSYSTEM=block\0"], True),
        ([b"\xff\0"], False),
        ([], False),
    ],
)
def test_only_usb_devices_that_come_or_go_are_news_from_the_kernel(
    monkeypatch: pytest.MonkeyPatch, told: list[bytes], changed: bool
) -> None:
    watch = usb.KernelWatch()
    watch.close()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    monkeypatch.setattr(watch, "_news", near)
    with near, far:
        for text in told:
            far.send(text)
        assert watch.changed() is changed
        assert watch.changed() is False


def test_news_from_the_kernel_that_did_not_fit_count_as_some(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overrun:
        """A socket whose queue ran over."""

        def recv(self, _size: int) -> bytes:
            """What the kernel says then (netlink(7))."""
            raise OSError(errno.ENOBUFS, "No buffer space available")

    watch = usb.KernelWatch()
    watch.close()
    monkeypatch.setattr(watch, "_news", Overrun())
    assert watch.changed()


@pytest.mark.parametrize("watch", [usb.UdevWatch, usb.KernelWatch])
def test_a_closed_watch_leaves_nothing_open(watch: type[usb.UdevWatch | usb.KernelWatch]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    watch().close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("kind", [usb.UdevWatch, usb.KernelWatch])
def test_the_socket_of_a_watch_can_be_waited_for_and_tells_nothing_while_nothing_happens(
    kind: type[usb.UdevWatch | usb.KernelWatch],
) -> None:
    watch = kind()
    assert watch.fileno() > 2
    assert watch.changed() is False
    watch.close()


# The same with the kernel's interfaces emulated by umockdev (Debian packages umockdev, gir1.2-umockdev-1.0, usbutils) ----

LOOK = """
import sys
from ocdsup.runtime import procs, usb
from ocdsup.probes.selector import ProbeSelector
probes = usb.inventory()
print(*(f"{probe.vid_pid} {probe.serial} {probe.location} {probe.nodes[0].usable}" for probe in probes), sep="|")
print(type(usb.find(ProbeSelector(serial="066bff555185754867211234"))).__name__)
with open(probes[0].nodes[0].path):
    what = procs.wanted([node.path for node in probes[0].nodes])
    print(*(f"{holder.nodes[0]}" for holder in procs.find_holders(what, budget_s=10).holders))
"""

HOTPLUG = """
import select, sys
import gi
gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev
from ocdsup.probes.selector import ProbeSelector
from ocdsup.runtime import usb
bed = UMockdev.Testbed.new()
bed.add_from_string(open(sys.argv[1]).read())
path = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2"
watch = getattr(usb, sys.argv[3])()
def heard():
    return bool(select.select([watch.fileno()], [], [], 20)[0]) and watch.changed()
print(type(usb.find(ProbeSelector())).__name__, watch.changed())
bed.uevent(path, "remove"); bed.remove_device(path)
print(heard(), type(usb.find(ProbeSelector())).__name__)
bed.add_from_string(open(sys.argv[2]).read()); bed.uevent(path, "add")
print(heard(), usb.find(ProbeSelector()).probe.identity)
"""


def describe(path: Path, *places: tuple[str, int]) -> Path:
    path.write_text("\n".join(described(location, number) for location, number in places))
    return path


def run(*argv: str) -> list[str]:
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    environ = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{paths}"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.system
def test_an_emulated_st_link_is_listed_found_and_seen_held_and_lsusb_agrees(tmp_path: Path) -> None:
    emulate = ("umockdev-run", "--device", str(describe(tmp_path / "st-link", ("1-2", 4))), "--")
    listed, found, held = run(*emulate, sys.executable, "-c", LOOK)
    assert listed == "0483:374b 066BFF555185754867211234 1-2 True"
    assert found == "Found"
    assert held == "/dev/bus/usb/001/004"
    assert any("Bus 001 Device 004: ID 0483:374b" in line for line in run(*emulate, "lsusb"))


@pytest.mark.system
def test_two_emulated_clones_are_ambiguous(tmp_path: Path) -> None:
    device = describe(tmp_path / "clones", ("1-2", 4), ("1-3", 5))
    listed, found, _ = run("umockdev-run", "--device", str(device), "--", sys.executable, "-c", LOOK)
    assert [text.split()[2] for text in listed.split("|")] == ["1-2", "1-3"]
    assert found == "Ambiguous"


@pytest.mark.system
@pytest.mark.parametrize("watch", ["UdevWatch", "KernelWatch"])
def test_a_watch_tells_unplug_and_replug_and_the_probe_is_found_under_its_new_number(tmp_path: Path, watch: str) -> None:
    """Runs under Debian's own Python, which has the bindings of umockdev."""
    before, after = describe(tmp_path / "before", ("1-2", 4)), describe(tmp_path / "after", ("1-2", 5))
    script = tmp_path / "hotplug.py"
    script.write_text(HOTPLUG)
    lines = run("umockdev-wrapper", "/usr/bin/python3", str(script), str(before), str(after), watch)
    assert lines == ["Found False", "True Absent", "True 001/005"]
