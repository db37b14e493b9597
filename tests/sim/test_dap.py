"""The debug port and the AHB access port."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.sim.board import Board
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.dap import AP_FAULT, DEBUG_PORT, DP_ERROR, DP_WAIT, Dap, RefusedError
from ocdsup.sim.faults import Link
from tests.sim.machine import RAM, half

Make = Callable[..., Board]
NOW = 1.0
CSW, TAR, DRW, BD1 = 0x00, 0x04, 0x0C, 0x14


def make(board: Make, link: Link = Link.ANSWERS) -> Dap:
    return Dap(board(half(0xE7FE)), lambda _port, _now: link)


@pytest.mark.parametrize(("link", "status"), [(Link.DEAD, DP_ERROR), (Link.WAIT, DP_WAIT)])
def test_without_an_answer_everything_is_refused(board: Make, link: Link, status: int) -> None:
    dap = make(board, link)
    for access in (
        lambda: dap.read_memory(RAM, 4, 4, NOW),
        lambda: dap.write_memory(RAM, bytes(4), 4, NOW),
        lambda: dap.read_register(DEBUG_PORT, 0, NOW),
        lambda: dap.write_register(0, CSW, 0, NOW),
    ):
        with pytest.raises(RefusedError) as caught:
            access()
        assert caught.value.status == status


def test_behind_a_dead_access_port_nothing_answers_and_the_debug_port_says_so() -> None:
    """FAULT, the sticky error flag, and the other access port unharmed."""
    dead = {1: Link.FAULT}
    dap = Dap(Board(BOARDS["dual-m4"]), lambda port, _now: dead.get(port or 0, Link.ANSWERS))
    with pytest.raises(RefusedError) as caught:
        dap.read_register(1, CSW, NOW)
    assert (caught.value.status, dap.read_register(DEBUG_PORT, 4, NOW) & 1 << 5) == (AP_FAULT, 1 << 5)
    dap.write_register(DEBUG_PORT, 0, 4, NOW)
    assert dap.read_register(DEBUG_PORT, 4, NOW) & 1 << 5 == 0
    assert dap.read_register(0, 0xFC, NOW) == 0x24770011


def test_power_up_requests_are_acknowledged(board: Make) -> None:
    dap = make(board)
    dap.write_register(DEBUG_PORT, 4, 0x50000000, NOW)
    assert dap.read_register(DEBUG_PORT, 4, NOW) == 0xF0000000


def test_identities(board: Make) -> None:
    dap = make(board)
    assert dap.read_register(DEBUG_PORT, 0, NOW) == 0x2BA01477
    assert [dap.read_register(0, at, NOW) for at in (0xFC, 0xF8, 0xF4)] == [0x24770011, 0xE00FF003, 0]
    assert dap.read_register(1, 0xFC, NOW) == 0


@pytest.mark.parametrize("size", [1, 2, 4])
def test_memory_written_is_read_back_across_4_kib_borders(board: Make, size: int) -> None:
    dap, data = make(board), bytes(range(16))
    dap.write_memory(RAM + 0xFF8, data, size, NOW)
    assert dap.read_memory(RAM + 0xFF8, 16, size, NOW) == data


def test_without_increment_one_address_takes_everything(board: Make) -> None:
    dap = make(board)
    dap.write_memory(RAM, bytes(range(8)), 4, NOW, increment=False)
    assert dap.read_memory(RAM, 8, 4, NOW, increment=False) == bytes((4, 5, 6, 7)) * 2


def test_a_fault_is_sticky_until_it_is_cleared(board: Make) -> None:
    """TAR then says where it was."""
    dap = make(board)
    with pytest.raises(RefusedError) as caught:
        dap.read_memory(0x60000000, 4, 4, NOW)
    assert caught.value.status == AP_FAULT
    assert dap.read_register(DEBUG_PORT, 4, NOW) & 1 << 5
    assert dap.read_register(0, TAR, NOW) == 0x60000000
    dap.write_register(DEBUG_PORT, 0, 4, NOW)
    assert not dap.read_register(DEBUG_PORT, 4, NOW) & 1 << 5


def test_data_register_moves_tar_only_with_auto_increment(board: Make) -> None:
    dap = make(board)
    for csw, tar in ((0x12, RAM), (0x02, RAM + 8)):
        dap.write_register(0, CSW, csw, NOW)
        dap.write_register(0, TAR, tar, NOW)
        dap.write_register(0, DRW, 0x11111111, NOW)
        dap.write_register(0, DRW, 0x22222222, NOW)
    words = [dap.read_memory(RAM + 4 * n, 4, 4, NOW)[0] for n in range(4)]
    assert words == [0x11, 0x22, 0x22, 0]


def test_tar_wraps_inside_4_kib(board: Make) -> None:
    dap = make(board)
    dap.write_register(0, CSW, 0x12, NOW)
    dap.write_register(0, TAR, RAM + 0xFFC, NOW)
    dap.read_register(0, DRW, NOW)
    assert dap.read_register(0, TAR, NOW) == RAM


def test_banked_data_registers_leave_tar_alone(board: Make) -> None:
    dap = make(board)
    dap.write_register(0, CSW, 0x12, NOW)
    dap.write_register(0, TAR, RAM + 8, NOW)
    dap.write_register(0, BD1, 0x55, NOW)
    assert dap.read_memory(RAM + 4, 4, 4, NOW) == b"\x55\0\0\0"
    assert dap.read_register(0, TAR, NOW) == RAM + 8


def test_select_keeps_its_value(board: Make) -> None:
    dap = make(board)
    dap.write_register(DEBUG_PORT, 8, 0xF0, NOW)
    assert dap.read_register(DEBUG_PORT, 8, NOW) == 0xF0
    assert dap.read_register(DEBUG_PORT, 0x0C, NOW) == 0


def dual(link: Link = Link.ANSWERS, asleep: int | None = None) -> Dap:
    """Two cores; `asleep` is the access port that answers WAIT."""
    return Dap(Board(BOARDS["dual-m4"]), lambda port, _: Link.WAIT if asleep is not None and port == asleep else link)


def test_every_core_has_an_access_port_with_registers_of_its_own() -> None:
    dap = dual()
    for port, at in ((0, RAM + 0x100), (1, RAM + 0x200)):
        dap.write_register(port, CSW, 0x12, NOW)
        dap.write_register(port, TAR, at, NOW)
    dap.write_register(1, DRW, 0x55, NOW)
    assert [dap.read_register(port, TAR, NOW) for port in (0, 1)] == [RAM + 0x100, RAM + 0x204]
    assert [dap.read_memory(RAM + 0x200, 1, 1, NOW, port=port) for port in (0, 1)] == [b"\0", b"\x55"]
    assert [dap.read_register(port, 0xFC, NOW) for port in (0, 1, 2)] == [0x24770011, 0x24770011, 0]


def test_a_fault_is_told_by_the_access_port_it_happened_on() -> None:
    dap = dual()
    with pytest.raises(RefusedError):
        dap.read_memory(0x60000000, 4, 4, NOW, port=1)
    assert [dap.read_register(port, TAR, NOW) for port in (0, 1)] == [0, 0x60000000]


def test_one_access_port_may_be_asleep_while_all_else_answers() -> None:
    dap = dual(asleep=1)
    dap.read_memory(RAM, 4, 4, NOW)
    dap.read_register(DEBUG_PORT, 0, NOW)
    for access in (lambda: dap.read_memory(RAM, 4, 4, NOW, port=1), lambda: dap.read_register(1, CSW, NOW)):
        with pytest.raises(RefusedError) as caught:
            access()
        assert caught.value.status == DP_WAIT
