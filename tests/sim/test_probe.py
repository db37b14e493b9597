"""One probe: who has it open, its buttons, and what a fault does to it as a whole."""

from __future__ import annotations

import pytest

from ocdsup.sim.boards import BOARDS
from ocdsup.sim.probe import Probe


@pytest.fixture
def probe() -> Probe:
    return Probe("SER", BOARDS["stm32f103"], 0.0)


def test_one_client_at_a_time(probe: Probe) -> None:
    assert probe.open(1, 1.0)
    assert not probe.open(2, 1.0)
    probe.close(2.0)
    probe.close(2.0)
    assert probe.open(3, 3.0)
    assert [what for _, what in probe.journal.events] == ["open", "close", "open"]


def test_an_unplugged_probe_drops_its_client_and_lets_nrst_go(probe: Probe) -> None:
    probe.open(1, 1.0)
    probe.stlink.drive_nrst(True, 1.0)
    probe.break_("unplugged", {}, 1.0)
    assert (probe.present, probe.handle, probe.board.nrst_low) == (False, None, False)
    assert not probe.open(2, 1.0)
    probe.heal("unplugged", 2.0)
    assert probe.open(2, 2.0)


def test_nrst_stays_low_when_the_client_goes(probe: Probe) -> None:
    """OpenOCD never lets it go on exit, and a real ST-LINK keeps it."""
    probe.open(1, 1.0)
    probe.stlink.drive_nrst(True, 1.0)
    probe.close(2.0)
    assert probe.board.nrst_low


def test_cutting_the_nrst_wire_frees_the_board(probe: Probe) -> None:
    probe.stlink.drive_nrst(True, 1.0)
    probe.break_("nrst-unwired", {}, 1.0)
    assert not probe.board.nrst_low


def test_a_usb_error_fails_transfers_with_the_chosen_status(probe: Probe) -> None:
    probe.break_("usb-error", {"status": 0x1001}, 1.0)
    assert probe.transfer(b"\xf1".ljust(16, b"\0"), b"", 6, 1.0) is None
    assert probe.usb_status == 0x1001


def test_the_buttons_boot_the_board(probe: Probe) -> None:
    boots = probe.board.boots
    probe.press_reset(1.0)
    probe.power_cycle(2.0)
    assert probe.board.boots == boots + 2


def test_the_reset_button_does_not_release_a_held_nrst(probe: Probe) -> None:
    probe.stlink.drive_nrst(True, 1.0)
    boots = probe.board.boots
    probe.press_reset(1.0)
    assert (probe.board.nrst_low, probe.board.boots) == (True, boots)


def test_without_a_client_the_board_is_called_at_most_twice_a_second(probe: Probe) -> None:
    assert probe.wake_in() == 0.5
    probe.open(1, 0.0)
    assert probe.wake_in() == 0.01


@pytest.mark.parametrize(
    ("make", "core"),
    [
        (lambda probe: None, "running"),
        (lambda probe: probe.advance(1.0), "sleeping"),
        (lambda probe: probe.stlink.drive_nrst(True, 1.0), "reset"),
        (lambda probe: probe.board.core.halt(1), "halted"),
    ],
)
def test_the_status_names_the_state_of_the_core(probe: Probe, make: object, core: str) -> None:
    assert callable(make)
    make(probe)
    if core == "sleeping":
        probe.advance(1.05)
    status = probe.status(1.1)
    assert status["core"] == core
    assert (status["serial"], status["vid_pid"], status["board"]) == ("SER", "0483:374b", "stm32f103")


def test_time_passes_for_every_core_and_the_status_shows_each() -> None:
    probe = Probe("SER", BOARDS["dual-m4"], 0.0)
    probe.board.cores[0].halt(1)
    probe.advance(0.05)
    assert [core.uptime(0.05) for core in probe.board.cores] == [0.0, 0.05]
    assert probe.wake_in() is not None
    status = probe.status(0.05)
    assert status["core"] == "halted"
    assert status["cores"] in (["halted", "running"], ["halted", "sleeping"])
    probe.board.cores[1].halt(1)
    assert probe.wake_in() is None
