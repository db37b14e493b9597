"""Every fault of the simulator, seen by a real OpenOCD 0.12 through HLA and dap-direct."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocdsup.sim.probe import Probe
from ocdsup.sim.server import SimServer

pytestmark = pytest.mark.bench

UNDER_RESET = ("reset_config srst_only srst_nogate connect_assert_srst", "init")
DETECTED = "[stm32f4x.cpu] Cortex-M4 r0p1 processor detected"
FAILED, GIVEN_UP = "Polling target stm32f4x.cpu failed, trying to reexamine", "Examination failed, GDB will be halted."
NO_CONNECT = "Error: init mode failed (unable to connect to the target)"
CAUSE = {
    "hla": "Error: jtag status contains invalid mode value - communication failure",
    "dap": "Error: Fail reading CTRL/STAT register. Force reconnect",
}
AT_RESET_HANDLER = "pc: 0x080000ec"
Start = Callable[..., Any]


@pytest.mark.parametrize("fault", ["silent", "sleeping", "locked"])
async def test_a_dead_target_is_polled_in_vain_and_comes_back_when_healed(
    openocd: Start, sim: SimServer, mode: str, fault: str
) -> None:
    """The polling lines appear in their order; the round that succeeds prints one more "failed"."""
    [probe] = sim.probes
    async with openocd("init") as run:
        at = await run.line("for telnet connections")
        probe.break_(fault, {}, sim.now())
        at = await run.line(CAUSE[mode], at)
        at = await run.line(FAILED, at)
        at = await run.line(GIVEN_UP + " Polling again in 100ms", at)
        at = await run.line(GIVEN_UP + " Polling again in 300ms", at)
        if mode == "hla":
            assert run.said("Info : Previous state query failed, trying to reconnect")
        probe.heal(None, sim.now())
        at = await run.line(FAILED, at)
        await run.line(DETECTED, at - 1)
        await run.line("target has 6 breakpoints, 4 watchpoints", at)


@pytest.mark.parametrize("fault", ["silent", "sleeping", "locked"])
async def test_a_plain_start_on_a_dead_target_exits_with_1(openocd: Start, sim: SimServer, fault: str) -> None:
    """OpenOCD says that it cannot connect."""
    sim.probes[0].break_(fault, {}, sim.now())
    async with openocd("init") as run:
        assert await run.exit() == 1
        assert run.said(NO_CONNECT)


@pytest.mark.parametrize("fault", ["sleeping", "locked"])
async def test_connect_under_reset_gets_in_and_reset_halt_stays_in(openocd: Start, sim: SimServer, fault: str) -> None:
    """Vector catch holds the core at the reset handler, where the firmware has not run."""
    [probe] = sim.probes
    probe.break_(fault, {"after-ms": 0} if fault == "locked" else {}, sim.now())
    async with openocd(*UNDER_RESET, "reset halt") as run:
        await run.line("for telnet connections")
        assert run.said(AT_RESET_HANDLER)
        assert await run.tcl("expr {[read_memory 0xE000ED00 32 1] == 0x410FC241}") == "1"
    assert probe.journal.counts["nrst-low"] >= 2


async def test_connect_under_reset_does_not_help_against_silence(openocd: Start, sim: SimServer) -> None:
    """A target that never answers is not there under reset either."""
    sim.probes[0].break_("silent", {}, sim.now())
    async with openocd(*UNDER_RESET, "reset halt") as run:
        assert await run.exit() == 1
        assert run.said(NO_CONNECT)


async def test_init_under_reset_alone_leaves_the_board_in_reset(openocd: Start, sim: SimServer) -> None:
    """NRST stays low until some reset command, and even after OpenOCD is gone."""
    [probe] = sim.probes
    async with openocd(*UNDER_RESET) as run:
        await run.line("for telnet connections")
        assert probe.board.nrst_low
        assert await run.tcl("stm32f4x.cpu curstate") == "reset"
        await run.terminate()
    assert probe.board.nrst_low


async def test_reset_run_lets_locked_firmware_take_the_pins_again(openocd: Start, sim: SimServer) -> None:
    """After `after-ms` of running the polling failures are back."""
    sim.probes[0].break_("locked", {"after-ms": 100}, sim.now())
    async with openocd(*UNDER_RESET, "catch {reset run}") as run:
        at = await run.line("Listening on port")
        up = run.lines[at:]
        at = await run.line(FAILED, at)
        assert not any(GIVEN_UP in line for line in up), "it was well at first"
        assert await run.line(GIVEN_UP, at) > at


async def test_reset_run_into_firmware_that_locks_at_once_ends_a_start_without_a_word(
    openocd: Start, sim: SimServer, mode: str
) -> None:
    """Within the 100 ms after NRST the pins are gone: HLA exits with 1 and says nothing, dap-direct polls in vain."""
    sim.probes[0].break_("locked", {"after-ms": 0}, sim.now())
    async with openocd(*UNDER_RESET, "reset run") as run:
        if mode == "hla":
            assert await run.exit() == 1
            assert not run.said("Error")
        else:
            await run.line(GIVEN_UP)


async def test_reset_run_into_good_firmware_stays_up(openocd: Start, sim: SimServer) -> None:
    """boots=0: only the firmware that ran before the reset was locked."""
    [probe] = sim.probes
    probe.break_("locked", {"after-ms": 0, "boots": 0}, sim.now())
    async with openocd(*UNDER_RESET, "reset run") as run:
        await run.line("for telnet connections")
        assert await run.tcl("sleep 150; stm32f4x.cpu curstate") == "running"
        assert not run.said(GIVEN_UP)
    assert not probe.board.nrst_low


async def test_usb_errors_are_named_and_pass(openocd: Start, sim: SimServer, mode: str) -> None:
    """Each transfer prints the server's status; OpenOCD recovers when the probe does."""
    [probe] = sim.probes
    async with openocd("init") as run:
        at = await run.line("for telnet connections")
        probe.break_("usb-error", {}, sim.now())
        at = await run.line("Error: TCP error status 0x1003", at)
        at = await run.line(CAUSE[mode], at)
        at = await run.line(GIVEN_UP, at)
        probe.heal("usb-error", sim.now())
        await run.line(DETECTED, at)
        assert await run.tcl("expr {[read_memory 0xE000ED00 32 1] == 0x410FC241}") == "1"


async def test_a_start_with_usb_errors_exits_with_1(openocd: Start, sim: SimServer) -> None:
    """Only the server's status is printed, nothing about the target."""
    sim.probes[0].break_("usb-error", {}, sim.now())
    async with openocd("init") as run:
        assert await run.exit() == 1
        assert run.said("Error: TCP error status 0x1003")
        assert not run.said(NO_CONNECT)


async def test_an_unplugged_probe_is_not_found(openocd: Start, sim: SimServer) -> None:
    """The list of probes is empty."""
    sim.probes[0].break_("unplugged", {}, sim.now())
    async with openocd("init") as run:
        assert await run.exit() == 1
        assert run.said("Error: no ST-LINK detected")


async def test_a_replugged_probe_needs_a_new_openocd(openocd: Start, sim: SimServer) -> None:
    """The old handle stays dead, as with real USB; a new start works at once."""
    [probe] = sim.probes
    async with openocd("init") as run:
        at = await run.line("for telnet connections")
        probe.break_("unplugged", {}, sim.now())
        at = await run.line(GIVEN_UP, at)
        probe.heal("unplugged", sim.now())
        at = await run.line(GIVEN_UP + " Polling again in 300ms", at)
        async with openocd("init") as second:
            await second.line("for telnet connections")
            assert second.said(DETECTED)
        assert not any(DETECTED in line for line in run.lines[at:])


async def test_a_hung_probe_makes_openocd_mute_and_deaf_to_sigterm(openocd: Start, sim: SimServer) -> None:
    """No line, no reaction; when the probe answers late, OpenOCD obeys."""
    [probe] = sim.probes
    async with openocd("init") as run:
        await run.line("for telnet connections")
        before = len(run.lines)
        probe.break_("hang", {}, sim.now())
        answer = await _no_tcl_answer(run)
        assert answer is None
        run.process.terminate()
        assert len(run.lines) == before + answer_lines(run.lines[before:])
        assert run.process.returncode is None
        probe.heal("hang", sim.now())
        sim.changed()
        assert await run.exit() == -15


async def _no_tcl_answer(run: Any) -> str | None:
    """Ask over Tcl while the probe hangs; None when no answer came in 0.5 s."""
    import asyncio

    try:
        async with asyncio.timeout(0.5):
            return str(await run.tcl("stm32f4x.cpu curstate"))
    except TimeoutError:
        return None


def answer_lines(lines: list[str]) -> int:
    """Count the lines that our own Tcl connection caused."""
    return sum("'tcl' connection" in line for line in lines)


@pytest.mark.parametrize(("mode", "seed"), [("hla", 257), ("dap", 12186)])
async def test_a_flaky_cable_fails_some_polls_only(openocd: Start, sim: SimServer, seed: int) -> None:
    """With a fiftieth of the commands failing, failures and recoveries alternate.

    An examination takes some 20 commands by HLA and 60 by dap-direct: the seeds have the next failure soon after it.
    """
    [probe] = sim.probes
    async with openocd("init") as run:
        at = await run.line("for telnet connections")
        probe.break_("flaky", {"percent": 2, "seed": seed}, sim.now())
        failed = await run.line(FAILED, at)
        well = await run.line("target has 6 breakpoints, 4 watchpoints", failed)
        assert failed < well < await run.line(FAILED, well)
        assert "flaky" in probe.faults


async def test_low_voltage_is_said_and_work_goes_on(openocd: Start, sim: SimServer) -> None:
    """OpenOCD prints the error and connects all the same."""
    sim.probes[0].break_("low-voltage", {"volts": 0.9}, sim.now())
    async with openocd("init") as run:
        await run.line("for telnet connections")
        assert run.said("Info : Target voltage: 0.90")
        assert run.said("Error: target voltage may be too low for reliable debugging")
        assert run.said(DETECTED)


async def test_without_the_nrst_wire_a_hardware_reset_fails_where_it_matters(openocd: Start, sim: SimServer, mode: str) -> None:
    """dap-direct times out on a core that does not sleep; HLA's own reset works without the wire."""
    [probe] = sim.probes
    probe.break_("nrst-unwired", {}, sim.now())
    async with openocd("reset_config srst_only", "init", "mww 0x20000038 1", "sleep 200", "reset halt") as run:
        if mode == "hla":
            await run.line("for telnet connections")
            assert run.said(AT_RESET_HANDLER)
        else:
            assert await run.exit() == 1
            assert run.said("Error: timed out while waiting for target halted")
            assert run.said("TARGET: stm32f4x.cpu - Not halted")
    assert probe.journal.counts["nrst-low"] >= 1


async def test_without_the_nrst_wire_locked_firmware_cannot_be_reached(openocd: Start, sim: SimServer) -> None:
    """The lines are those of a dead target."""
    [probe] = sim.probes
    probe.break_("nrst-unwired", {}, sim.now())
    probe.break_("locked", {}, sim.now())
    async with openocd(*UNDER_RESET, "reset halt") as run:
        assert await run.exit() == 1
        assert run.said(NO_CONNECT)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"erase": 1}, "Error: failed erasing sectors 0 to 0"),
        ({"erase": 0}, "Error: flash memory write protected"),
    ],
)
async def test_flash_errors_end_programming(
    openocd: Start, sim: SimServer, options: dict[str, object], line: str, tmp_path: Path
) -> None:
    """Erasing or programming is refused by the flash controller."""
    (tmp_path / "new.bin").write_bytes(bytes(range(256)) * 4)
    [probe] = sim.probes
    probe.break_("flash-error", options, sim.now())
    async with openocd(f"program {tmp_path}/new.bin 0x08000000 verify reset exit") as run:
        assert await run.exit() == 1
        assert run.said(line)
        assert run.said("** Programming Failed **")


async def test_a_second_openocd_is_told_that_the_probe_is_taken(openocd: Start, sim: SimServer) -> None:
    """The second exits with 1; the first keeps its target."""
    async with openocd("init") as first:
        await first.line("for telnet connections")
        async with openocd("init") as second:
            assert await second.exit() == 1
            assert second.said("Error: the selected device is already used")
        assert await first.tcl("stm32f4x.cpu curstate") == "running"


async def test_a_killed_openocd_frees_the_probe(openocd: Start, sim: SimServer) -> None:
    """kill -9 closes the connection, and that is enough."""
    async with openocd("init") as first:
        await first.line("for telnet connections")
        first.process.kill()
        await first.exit()
    async with openocd("init") as second:
        await second.line(DETECTED)
    assert isinstance(sim.probes[0], Probe)
