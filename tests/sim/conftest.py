"""What the tests of the simulator share: a board to run code on, a served probe, a real OpenOCD."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ocdsup.sim.board import Board
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.probe import Probe
from ocdsup.sim.server import SimServer, make_probe
from tests.sim.openocd_run import OpenOcd

FLASH, RAM = 0x08000000, 0x20000000


def image(code: bytes, stack: int = RAM + 0x4000, handlers: dict[int, int] | None = None) -> bytes:
    """Return a flash image: 16 vectors (handlers by number, relative to flash), then `code` at 0x40."""
    vectors = [stack, FLASH + 0x41] + [0] * 14
    for number, offset in (handlers or {}).items():
        vectors[number] = FLASH + offset + 1
    return struct.pack("<16I", *vectors) + code


def assemble(source: str, folder: Path) -> bytes:
    """Return the machine code of Thumb assembly; only for tests that state they need the assembler."""
    (folder / "t.s").write_text(f".syntax unified\n.cpu cortex-m4\n.thumb\n{source}\n")
    subprocess.run(["arm-none-eabi-as", "t.s", "-o", "t.o"], cwd=folder, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "t.o", "t.bin"], cwd=folder, check=True)
    return (folder / "t.bin").read_bytes()


@pytest.fixture
def board() -> Callable[..., Board]:
    """Make a board that runs the given machine code from offset 0x40."""

    def make(code: bytes, name: str = "stm32f407", handlers: dict[int, int] | None = None) -> Board:
        return Board(BOARDS[name], image(code, handlers=handlers))

    return make


@pytest.fixture(params=["hla", "dap"])
def mode(request: pytest.FixtureRequest) -> str:
    """Run the test on both ST-LINK drivers of OpenOCD: HLA and dap-direct."""
    return str(request.param)


@pytest.fixture
def openocd(sim: SimServer, mode: str) -> Callable[..., OpenOcd]:
    """Make an OpenOCD on the served probe: ``async with openocd("init") as run``."""
    return lambda *commands, **rest: OpenOcd(sim.port, mode, *commands, **rest)


@pytest.fixture
async def probes() -> list[Probe]:
    """The probes that `sim` serves; override it for others."""
    return [make_probe()]


@pytest.fixture
async def sim(probes: list[Probe], tmp_path: Path) -> AsyncIterator[SimServer]:
    """Serve the probes on a free port."""
    async with SimServer(probes, port=0, control=tmp_path / "sim.sock") as server:
        yield server


@pytest.fixture
def no_runtime_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep default control sockets inside the test's own folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def has_compiler() -> bool:
    """Return whether the Arm compiler is installed."""
    return shutil.which("arm-none-eabi-gcc") is not None


def own_environment() -> dict[str, str]:
    """Return the environment for a child that finds the package under test."""
    root = Path(__file__).resolve().parents[2]
    return dict(os.environ) | {"PYTHONPATH": str(root)}
