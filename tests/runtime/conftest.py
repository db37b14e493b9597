"""Lays out a USB bus in a temporary sysfs and /dev, shaped as the kernel shapes it; and waits for what nobody announces."""

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from ocdsup.sim.server import SimServer, make_probe
from tests.runtime.bench_rig import Rig
from tests.runtime.holding import Start


class Bus:
    """A sysfs and a /dev to plug fake probes into. Device nodes are links to /dev/full, a device anybody may open."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.sys / "bus/usb/devices").mkdir(parents=True)
        (self.dev / "bus/usb").mkdir(parents=True)
        self.next_device = 1

    def plug(
        self, location: str, vid_pid: str, serial: str = "", product: str = "", interfaces: tuple[str, ...] = ("",)
    ) -> Path:
        """Plug a device in; each interface is its string."""
        self.next_device += 1
        home = self.sys / "devices/pci0000:00/usb1" / location
        home.mkdir(parents=True)
        vendor, _, model = vid_pid.partition(":")
        facts = {"idVendor": vendor, "idProduct": model, "busnum": "1", "devnum": str(self.next_device)}
        facts |= {key: text for key, text in (("serial", serial), ("product", product)) if text}
        for name, text in facts.items():
            (home / name).write_bytes(text.encode() + b"\n")
        for number, text in enumerate(interfaces):
            self._interface(home, number, text)
        (self.sys / "bus/usb/devices" / location).symlink_to(home)
        self._node(f"bus/usb/001/{self.next_device:03}")
        return home

    def unplug(self, location: str) -> None:
        """Take the device's entry away, as the kernel does first."""
        link = self.sys / "bus/usb/devices" / location
        link.resolve().rename(self.sys / f"gone-{location}-{self.next_device}")
        for entry in (link, *link.parent.glob(f"{location}:*")):
            entry.unlink()

    def _interface(self, home: Path, number: int, text: str) -> None:
        interface = home / f"{home.name}:1.{number}"
        interface.mkdir()
        if text:
            (interface / "interface").write_text(f"{text}\n")
        (self.sys / "bus/usb/devices" / interface.name).symlink_to(interface)

    def _node(self, name: str) -> None:
        path = self.dev / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/dev/full")

    def add_hidraw(self, home: Path, number: int) -> None:
        """Give the first interface a hidraw node."""
        (home / f"{home.name}:1.0" / "0003:0D28:0204.0001" / "hidraw" / f"hidraw{number}").mkdir(parents=True)
        self._node(f"hidraw{number}")

    def add_tty(self, home: Path, number: int) -> None:
        """Give the last interface a ttyACM node."""
        last = sorted(home.glob(f"{home.name}:*"))[-1]
        (last / "tty" / f"ttyACM{number}").mkdir(parents=True)
        self._node(f"ttyACM{number}")

    def bind(self, home: Path, number: int, driver: str) -> None:
        """Bind an interface to a kernel driver."""
        target = self.sys / "bus/usb/drivers" / driver
        target.mkdir(parents=True, exist_ok=True)
        os.symlink(target, home / f"{home.name}:1.{number}" / "driver")


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    """Return an empty USB bus."""
    return Bus(tmp_path)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Return a wait for a condition that nobody announces: the loop goes on, and 20 s are the end of patience."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # what is waited for is the world, which sets no event
                await asyncio.sleep(0)

    return wait


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[SimServer]:
    """Return a simulated ST-LINK with a board, served on a free port."""
    async with SimServer([make_probe()], port=0, control=tmp_path / "sim.sock") as served:
        yield served


@pytest.fixture
async def rig(tmp_path: Path, sim: SimServer) -> AsyncIterator[Rig]:
    """Return a place to make live benches in; they end with the test, and none of them has complained about itself."""
    made = Rig(tmp_path, sim)
    yield made
    await made.end()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code in a process of its own, wait for its first line, return its PID; all are gone afterwards."""
    running: list[subprocess.Popen[str]] = []

    def run(code: str, *argv: str) -> int:
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *argv], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout
        assert process.stdout.readline().startswith("ready")
        return process.pid

    yield run
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
