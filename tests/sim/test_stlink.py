"""The ST-LINK command set, command by command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.sim.board import Board
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.faults import Faults
from ocdsup.sim.journal import Journal
from ocdsup.sim.stlink import StLink
from tests.sim.machine import CODE, NOW, RAM, half

Make = Callable[..., Board]
OK = 0x80
ENTER_SWD, EXIT, LAST = b"\xf2\x30\xa3", b"\xf2\x21", b"\xf2\x3e"


class Host:
    """Sends commands and returns their answers."""

    def __init__(self, board: Board, pid: int = 0x374B) -> None:
        self.board, self.faults, self.journal = board, Faults(), Journal(0.0)
        self.stlink = StLink(pid, board, self.faults, self.journal)

    def __call__(self, command: bytes, size: int = 0, data: bytes = b"") -> bytes:
        return self.stlink.execute(command.ljust(16, b"\0"), data, size, NOW)


@pytest.fixture
def host(board: Make) -> Host:
    return Host(board(half(0xE7FE)))


def word(value: int) -> bytes:
    return value.to_bytes(4, "little")


@pytest.mark.parametrize(("pid", "number"), [(0x374B, 26), (0x3748, 7)])
def test_the_version_is_v2j37(board: Make, pid: int, number: int) -> None:
    """Big endian: V in 4 bits, J in 6, M or S in 6; then VID and PID."""
    answer = Host(board(half(0xE7FE)), pid)(b"\xf1", 6)
    assert int.from_bytes(answer[:2], "big") == 2 << 12 | 37 << 6 | number
    assert answer[2:] == b"\x83\x04" + pid.to_bytes(2, "little")


def test_the_mode_changes_with_enter_and_exit(host: Host) -> None:
    modes = [host(b"\xf5", 2)[0]]
    assert host(ENTER_SWD, 2)[0] == OK
    modes.append(host(b"\xf5", 2)[0])
    assert host(EXIT) == b""
    modes.append(host(b"\xf5", 2)[0])
    assert modes == [1, 2, 1]


@pytest.mark.parametrize(("fault", "volts"), [(None, 3.25), ("low-voltage", 0.9)])
def test_the_voltage_is_twice_its_share_of_the_reference(host: Host, fault: str | None, volts: float) -> None:
    if fault:
        host.faults.begin(fault, {}, host.board)
    answer = host(b"\xf7", 8)
    reference, reading = int.from_bytes(answer[:4], "little"), int.from_bytes(answer[4:], "little")
    assert 2 * reading * 1.2 / reference == pytest.approx(volts, abs=0.01)


@pytest.mark.parametrize(("enter", "idcode"), [(b"\xf2\x30\xa3", 0x2BA01477), (b"\xf2\x30\xa4", 0x4BA00477)])
def test_the_idcode_belongs_to_the_mode(host: Host, enter: bytes, idcode: int) -> None:
    host(enter, 2)
    assert host(b"\xf2\x31", 12)[:8] == bytes((OK, 0, 0, 0)) + word(idcode)


@pytest.mark.parametrize(("write", "read"), [(0x08, 0x07), (0x0D, 0x0C), (0x48, 0x47), (0x50, 0x54)])
def test_memory_goes_out_and_comes_back(host: Host, write: int, read: int) -> None:
    place = word(RAM + 16) + b"\x04\0"
    assert host(bytes((0xF2, write)) + place, 0, b"abcd") == b""
    assert host(LAST, 12)[0] == OK
    assert host(bytes((0xF2, read)) + place, 4) == b"abcd"


def test_a_failed_transfer_reads_zeros_and_is_told_by_the_status(host: Host) -> None:
    assert host(b"\xf2\x07" + word(0x60000000) + b"\x04\0", 4) == bytes(4)
    assert host(LAST, 12)[:8] == bytes((0x11, 0, 0, 0)) + word(0x60000000)
    host(b"\xf2\x08" + word(0x60000000) + b"\x04\0", 0, bytes(4))
    assert host(b"\xf2\x3b", 2)[0] == 0x11


def test_core_registers_one_by_one_and_all(host: Host) -> None:
    host(b"\xf2\x35" + word(0xE000EDF0) + word(0xA05F0003), 2)
    assert host(b"\xf2\x34\x05" + word(0x1234), 2)[0] == OK
    assert host(b"\xf2\x33\x05", 8)[4:] == word(0x1234)
    every = host(b"\xf2\x3a", 88)
    assert (every[0], every[4 + 20 : 4 + 24], every[4 + 60 : 4 + 64]) == (OK, word(0x1234), word(CODE))


def test_debug_registers_are_read_and_written(host: Host) -> None:
    assert host(b"\xf2\x35" + word(0xE000EDFC) + word(1 << 24), 2)[0] == OK
    assert host(b"\xf2\x36" + word(0xE000EDFC), 8) == bytes((OK, 0, 0, 0)) + word(1 << 24)


def test_nrst_is_driven_and_logged(host: Host) -> None:
    levels = []
    for level in (0, 1, 2):
        host(bytes((0xF2, 0x3C, level)), 2)
        levels.append(host.board.nrst_low)
    assert levels == [True, False, False]
    assert [what for _, what in host.journal.events] == ["nrst-low", "nrst-high"] * 2


def test_an_unwired_nrst_is_logged_but_not_felt(host: Host) -> None:
    host.faults.begin("nrst-unwired", {}, host.board)
    host(b"\xf2\x3c\x00", 2)
    assert not host.board.nrst_low
    assert host.journal.counts["nrst-low"] == 1


def test_the_system_reset_boots_the_board(host: Host) -> None:
    boots = host.board.boots
    assert host(b"\xf2\x32", 2)[0] == OK
    assert host.board.boots == boots + 1


def test_dap_registers_are_reached_by_port_and_address(host: Host) -> None:
    assert host(b"\xf2\x45\xff\xff\x00\x00", 8)[4:] == word(0x2BA01477)
    assert host(b"\xf2\x46\x00\x00\x04\x00" + word(RAM), 2)[0] == OK
    assert host(b"\xf2\x45\x00\x00\x04\x00", 8) == bytes((OK, 0, 0, 0)) + word(RAM)


@pytest.mark.parametrize(("port", "status"), [(0, OK), (1, 0x1D)])
def test_only_access_port_0_exists(host: Host, port: int, status: int) -> None:
    assert host(bytes((0xF2, 0x4B, port)), 2)[0] == status


@pytest.mark.parametrize(("fault", "enter", "other"), [("silent", 0x09, 0x16), ("sleeping", 0x14, 0x14)])
def test_a_target_without_answer_gives_its_status(host: Host, fault: str, enter: int, other: int) -> None:
    host.faults.begin(fault, {}, host.board)
    assert host(ENTER_SWD, 2)[0] == enter
    assert host(b"\xf2\x36" + word(0xE000EDF0), 8)[0] == other
    assert host(b"\xf2\x45\xff\xff\x04\x00", 8)[0] == other


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.binary(max_size=64), st.integers(0, 64)), max_size=8))
def test_any_command_gets_an_answer_of_the_size_asked_for(commands: list[tuple[bytes, bytes, int]]) -> None:
    """Junk changes nothing about that, and the probe works afterwards."""
    host = Host(Board(BOARDS["stm32f103"], half(0, 0x2000, 0x41, 0x0800)))
    for command, data, size in commands:
        known = bytes((0xF2,)) + command[1:] if command[0] & 1 else command
        assert len(host(known, size, data)) == size
    assert host(b"\xf1", 6)[2:4] == b"\x83\x04"
