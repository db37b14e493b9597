"""What a developer does all day, on every board, with a real OpenOCD and a real GDB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ocdsup.sim
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.probe import Probe
from ocdsup.sim.server import SimServer, make_probe
from tests.sim.openocd_run import OpenOcd

pytestmark = pytest.mark.bench

Start = Callable[..., Any]
FIRMWARE = Path(ocdsup.sim.__file__).parent / "firmware"
PATIENCE = 30.0


@pytest.fixture(params=sorted(name for name, spec in BOARDS.items() if spec.cores == 1))
def board_name(request: pytest.FixtureRequest) -> str:
    """Run the test on every board with one core."""
    return str(request.param)


@pytest.fixture
async def probes(request: pytest.FixtureRequest) -> list[Probe]:
    """Serve one probe with the board the test asks for, or the F407."""
    name = request.getfixturevalue("board_name") if "board_name" in request.fixturenames else "stm32f407"
    return [make_probe(board=name)]


def _target(name: str) -> str:
    return Path(BOARDS[name].openocd_target).stem


async def test_a_start_prints_what_a_real_probe_and_board_print(openocd: Start, board_name: str, mode: str) -> None:
    """Probe identity, voltage, core and comparators, in the words of OpenOCD 0.12."""
    target = _target(board_name)
    async with openocd("init", target=target) as run:
        await run.line("for telnet connections")
        assert run.said("Info : STLINK V2J37M26 (API v2) VID:PID 0483:374B")
        assert run.said("Info : Target voltage: 3.25")
        assert run.said(f"Info : [{target}.cpu] {BOARDS[board_name].cpu_name} processor detected")
        assert run.said(f"Info : [{target}.cpu] target has 6 breakpoints, 4 watchpoints")
        assert run.said("Info : SWD DPIDR 0x") == (mode == "dap")
        assert await run.terminate() == -15


async def test_programming_with_verify_changes_the_flash(
    openocd: Start, sim: SimServer, board_name: str, tmp_path: Path
) -> None:
    """OpenOCD's flash loader and CRC check run on the simulated core."""
    data = bytes((n * 7 + n // 256) & 0xFF for n in range(9001))
    (tmp_path / "new.bin").write_bytes(data)
    command = f"program {tmp_path}/new.bin 0x08004000 verify reset exit"
    async with openocd(command, target=_target(board_name)) as run:
        assert await run.exit() == 0
        assert run.said("** Verified OK **")
    assert sim.probes[0].board.flash_memory.data[0x4000 : 0x4000 + len(data)] == data


async def test_programming_without_a_work_area_falls_back_to_single_accesses(
    openocd: Start, sim: SimServer, tmp_path: Path
) -> None:
    """The debug port programs the flash without any help of the core."""
    (tmp_path / "new.bin").write_bytes(b"\x12\x34\x56\x78" * 16)
    command = f"flash write_image erase {tmp_path}/new.bin 0x08008000"
    async with openocd("init", "stm32f4x.cpu configure -work-area-size 0", "reset init", command) as run:
        await run.line("Warn : couldn't use block writes, falling back to single memory accesses")
        await run.line("for telnet connections")
    assert sim.probes[0].board.flash_memory.data[0x8000:0x8004] == b"\x12\x34\x56\x78"


async def test_a_protected_sector_is_not_erased(openocd: Start, sim: SimServer) -> None:
    """Option bytes written by OpenOCD protect a sector from its own erase."""
    commands = ("init", "reset init", "flash protect 0 3 3 on", "catch {flash erase_sector 0 3 3} why")
    async with openocd(*commands) as run:
        await run.line("for telnet connections")
        assert run.said("Error: stm32x device protected") or run.said("Error: failed erasing sectors 3 to 3")
    assert not sim.probes[0].board.flash.options >> 19 & 1  # type: ignore[union-attr]  # the F407 has the F4 controller


async def test_the_serial_number_chooses_among_probes(mode: str, tmp_path: Path) -> None:
    """`adapter serial` opens the probe of that name; the other one stays free."""
    probes = [make_probe("AAAA"), make_probe("BBBB", "stm32f411")]
    async with SimServer(probes, port=0, control=tmp_path / "sim.sock") as sim:
        async with OpenOcd(sim.port, mode, "adapter serial BBBB", "init") as run:
            await run.line("for telnet connections")
            assert [probe.handle is not None for probe in probes] == [False, True]
            async with OpenOcd(sim.port, mode, "adapter serial AAAA", "init") as other:
                await other.line("for telnet connections")
        async with OpenOcd(sim.port, mode, "adapter serial CCCC", "init") as wrong:
            assert await wrong.exit() == 1
            assert wrong.said("Error: ST-LINK open failed (serial mismatch)")


GDB_SCRIPT = """
set pagination off
set confirm off
set remotetimeout 20
target extended-remote :{port}
monitor reset halt
maint flush register-cache
info symbol $pc
tbreak blink
continue
info symbol $pc
set var mode = 2
tbreak ram_work
continue
info symbol $pc
delete
tbreak SysTick_Handler
continue
bt 2
stepi 5
printf "ipsr %d\\n", $xPSR & 0x1ff
set var mode = 4
tbreak Fault_Handler
continue
bt 3
load
printf "loaded\\n"
monitor reset run
detach
"""


async def test_gdb_breaks_in_flash_ram_and_handlers_and_loads(openocd: Start, tmp_path: Path) -> None:
    """Hardware breakpoints, a BKPT in RAM, an interrupt seen from inside, a fault, and `load`."""
    async with openocd("init") as run:
        at = await run.line("for gdb connections")
        port = run.lines[at - 1].split("port ")[1].split()[0]
        await run.line("for telnet connections")
        said = await _gdb(GDB_SCRIPT.format(port=port), tmp_path)
    places = [line for line in said.splitlines() if " in section " in line]
    assert [place.split()[0] for place in places] == ["Reset_Handler", "blink", "ram_work"]
    assert "<signal handler called>" in said
    assert "ipsr 0" in said
    assert "Fault_Handler" in said
    assert "loaded" in said


async def test_gdb_stops_at_a_watchpoint(openocd: Start, tmp_path: Path, mode: str) -> None:
    """The DWT hits; HLA of OpenOCD 0.12 cannot say which watchpoint it was, dap-direct can."""
    script = "target extended-remote :{port}\nmonitor reset halt\ntbreak main\ncontinue\nwatch blinks\ncontinue\nbt 1\n"
    async with openocd("init") as run:
        at = await run.line("for gdb connections")
        port = run.lines[at - 1].split("port ")[1].split()[0]
        await run.line("for telnet connections")
        said = await _gdb("set confirm off\n" + script.format(port=port), tmp_path)
    if mode == "dap":
        assert "Old value = 0" in said
        assert "New value = 1" in said
    else:
        assert "in blink" in said


async def _gdb(script: str, folder: Path) -> str:
    (folder / "script.gdb").write_text(script)
    argv = ["gdb-multiarch", "-nx", "-batch", "-x", str(folder / "script.gdb"), str(FIRMWARE / "blink-f4.elf")]
    pipe = asyncio.subprocess.PIPE
    gdb = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(PATIENCE):
            out, _ = await gdb.communicate()
    finally:
        if gdb.returncode is None:
            gdb.kill()
            await gdb.wait()
    return out.decode(errors="replace")
