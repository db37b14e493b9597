"""A bench PC whose USB bus is made up by umockdev: its probe can be pulled and plugged, and the real daemon sees it go.

The bus is what ocdsup sees (sysfs, device nodes); OpenOCD reaches the simulated board behind it by TCP.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocdsup.demo.stage import Program
from tests.bench.rig import SERIAL, Bench, Rig, Sim
from tests.usb.st_link import described

FILTERED = str(Path(__file__).parents[1] / "systemd/filtered.py")
# Runs under umockdev-wrapper with Debian's own Python, which has umockdev's bindings; the bus lives as long as it does.
STAGE = """
import os, sys
import gi
gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev
bed = UMockdev.Testbed.new()
root = "/sys/devices/pci0000:00/0000:00:14.0/usb1/"
print(os.environ["LD_PRELOAD"], bed.get_root_dir(), flush=True)
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    if verb == "plug":
        bed.add_from_string(open(rest).read())
    else:
        bed.uevent(root + rest, "remove")
        bed.remove_device(root + rest)
        for node in os.listdir(bed.get_dev_dir() + "/bus/usb/001") if verb == "pull-all" else ():
            os.unlink(bed.get_dev_dir() + "/bus/usb/001/" + node)
    print("done", flush=True)
"""


class Bus:
    """The made-up bus; `env` is what a program needs to see it instead of the real one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        script = folder / "stage.py"
        script.write_text(STAGE)
        argv = ["umockdev-wrapper", "/usr/bin/python3", str(script)]
        self._stage = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        preload, where = self._line().split()
        self.env = {"LD_PRELOAD": preload, "UMOCKDEV_DIR": where}
        self.number = 3

    def _line(self) -> str:
        assert self._stage.stdout
        line = self._stage.stdout.readline()
        assert line, "the made-up bus has ended"
        return line

    def _tell(self, command: str) -> None:
        assert self._stage.stdin
        self._stage.stdin.write(f"{command}\n")
        self._stage.stdin.flush()
        assert self._line() == "done\n"

    def plug(self, location: str = "1-2", serial: str = SERIAL) -> Path:
        """Plug an ST-LINK in; it gets a device number of its own. Returns its node, as seen without umockdev."""
        self.number += 1
        file = self._folder / f"device-{self.number}"
        file.write_text(described(location, self.number, serial))
        self._tell(f"plug {file}")
        return Path(self.env["UMOCKDEV_DIR"], f"dev/bus/usb/001/{self.number:03}")

    def pull(self, location: str = "1-2") -> None:
        """Pull it out."""
        self._tell(f"pull {location}")

    def attribute(self, name: str, location: str = "1-2") -> Path:
        """A file of the device in sysfs, as seen without umockdev."""
        return Path(self.env["UMOCKDEV_DIR"], "sys/devices/pci0000:00/0000:00:14.0/usb1", location, name)

    def close(self) -> None:
        """End the bus."""
        self._stage.communicate(timeout=20)


class UsbRig(Rig):
    """A rig all of whose programs see the made-up bus."""

    def __init__(self, folder: Path, bus: Bus) -> None:
        super().__init__(folder)
        self.bus = bus

    def environment(self, **more: str) -> dict[str, str]:
        """As ever, and umockdev."""
        return super().environment(**(self.bus.env | more))

    def start(self, name: str, argv: list[str], **env: str) -> Program:
        """The daemon, its OpenOCD and its USB rungs are under the shipped unit's system call filter."""
        return super().start(name, [sys.executable, FILTERED, *argv] if name == "daemon" else argv, **env)

    def usb_bench(self, sim: Sim, probe: Mapping[str, str] | None = None, **changes: Any) -> Bench:
        """A bench whose probe is on USB, and whose OpenOCD finds it by TCP all the same."""
        wanted = dict(probe or {"vid_pid": "0483:374b", "serial": SERIAL})
        return self.bench(sim, probe=wanted, openocd={"commands": [f"hla_stlink_backend tcp {sim.port}"]}, **changes)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of it needs umockdev, and the real tools."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    """An empty USB bus."""
    with closing(Bus(tmp_path)) as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path, bus: Bus) -> Iterator[UsbRig]:
    """A bench PC with that bus."""
    with closing(UsbRig(tmp_path, bus)) as made:
        yield made
