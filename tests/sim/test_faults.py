"""The fault table and what each fault does to the link."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.sim.board import Board
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.faults import FAULTS, FaultError, Faults, Link
from tests.sim.machine import Debugger, half

Make = Callable[..., Board]


class Bench:
    """A board, its faults, and a clock that only moves when told."""

    def __init__(self, board: Board) -> None:
        self.debug, self.faults = Debugger(board), Faults()
        self.board = board

    def begin(self, name: str, **options: object) -> None:
        self.faults.begin(name, {key.replace("_", "-"): value for key, value in options.items()}, self.board)

    def look(self) -> Link:
        return self.faults.link(self.board, self.debug.now)

    def nrst_pulse(self) -> None:
        self.board.drive_nrst(True)
        self.board.drive_nrst(False)


@pytest.fixture
def bench(board: Make) -> Bench:
    return Bench(board(half(0xE7FE)))


def test_the_faults_of_the_contract_exist() -> None:
    names = "silent sleeping locked usb-error hang unplugged flaky low-voltage nrst-unwired flash-error"
    assert set(FAULTS) == set(names.split())


@pytest.mark.parametrize("name", [n for n in FAULTS if n not in ("silent", "sleeping", "locked", "flaky")])
def test_faults_of_the_probe_leave_the_target_reachable(bench: Bench, name: str) -> None:
    bench.begin(name)
    assert bench.look() is Link.ANSWERS


@pytest.mark.parametrize(("name", "link"), [("silent", Link.DEAD), ("sleeping", Link.WAIT), ("locked", Link.DEAD)])
def test_faults_of_the_target_cut_the_link_until_healed(bench: Bench, name: str, link: Link) -> None:
    bench.begin(name)
    assert bench.look() is link
    assert bench.faults.heal(name, bench.board) == [name]
    assert bench.look() is Link.ANSWERS


def test_silence_outlasts_every_reset(bench: Bench) -> None:
    bench.begin("silent")
    bench.board.drive_nrst(True)
    assert bench.look() is Link.DEAD
    bench.board.drive_nrst(False)
    bench.board.power_cycle()
    assert bench.look() is Link.DEAD


def test_nrst_wakes_a_sleeper_for_good(bench: Bench) -> None:
    bench.begin("sleeping")
    bench.board.drive_nrst(True)
    assert bench.look() is Link.ANSWERS
    bench.board.drive_nrst(False)
    bench.debug.pass_(3.0)
    assert bench.look() is Link.ANSWERS


def test_a_sleeper_can_fall_asleep_again(bench: Bench) -> None:
    bench.begin("sleeping", again_ms=200)
    bench.nrst_pulse()
    assert bench.look() is Link.ANSWERS
    bench.debug.pass_(0.3)
    assert bench.look() is Link.WAIT


def test_locked_firmware_gives_way_while_nrst_is_low(bench: Bench) -> None:
    bench.begin("locked")
    bench.board.drive_nrst(True)
    assert bench.look() is Link.ANSWERS


def test_locked_firmware_takes_the_pins_so_long_after_a_boot(bench: Bench) -> None:
    bench.begin("locked", after_ms=300)
    bench.nrst_pulse()
    bench.debug.pass_(0.25)
    assert bench.look() is Link.ANSWERS
    bench.debug.pass_(0.1)
    assert bench.look() is Link.DEAD


@pytest.mark.parametrize("after_ms", [0, 300])
def test_firmware_held_by_vector_catch_never_takes_the_pins(bench: Bench, after_ms: int) -> None:
    bench.debug.catch_reset()
    bench.begin("locked", after_ms=after_ms)
    bench.nrst_pulse()
    bench.debug.pass_(5.0)
    assert bench.look() is Link.ANSWERS


@pytest.mark.parametrize(("boots", "links"), [(0, "o"), (1, "xo"), (2, "xxo"), (None, "xxxx")])
def test_boots_limits_how_often_the_firmware_locks(bench: Bench, boots: int | None, links: str) -> None:
    """x: locked after that boot, o: reachable."""
    bench.begin("locked", after_ms=10, boots=boots)
    for link in links:
        bench.nrst_pulse()
        bench.debug.pass_(0.05)
        assert bench.look() is (Link.DEAD if link == "x" else Link.ANSWERS)


def test_a_flaky_cable_fails_its_share_repeatably(bench: Bench) -> None:
    def fails() -> list[bool]:
        bench.begin("flaky", percent=30, seed=7)
        return [bench.look() is Link.DEAD for _ in range(1000)]

    first = fails()
    assert 250 < sum(first) < 350
    assert fails() == first


@pytest.mark.parametrize(("erase", "fails"), [(1, True), (0, False)])
def test_flash_errors_reach_the_controller_and_leave_with_the_fault(bench: Bench, erase: int, fails: bool) -> None:
    bench.begin("flash-error", erase=erase)
    assert (bench.board.flash.fail_program, bench.board.flash.fail_erase) == (True, fails)
    bench.faults.heal(None, bench.board)
    assert not bench.board.flash.fail_program
    assert not bench.board.flash.fail_erase


def test_healing_all_ends_all(bench: Bench) -> None:
    bench.begin("nrst-unwired")
    bench.begin("locked")
    assert bench.faults.heal(None, bench.board) == ["nrst-unwired", "locked"]
    assert bench.faults.heal(None, bench.board) == []


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("broken", {}, "there is no fault 'broken'; choose one of: silent,"),
        ("hang", {"volts": 1}, "fault 'hang' has no option 'volts'; it has: none"),
        ("silent", {"volts": 1}, "fault 'silent' has no option 'volts'; it has: core"),
        ("locked", {"after": 1}, "it has: after-ms, boots"),
        ("flaky", {"percent": 101}, "option 'percent' of fault 'flaky' must be 0 to 100"),
        ("flaky", {"percent": "many"}, "must be 0 to 100"),
        ("flaky", {"percent": True}, "must be 0 to 100"),
        ("flaky", {"percent": float("nan")}, "must be 0 to 100"),
    ],
)
def test_a_wrong_fault_or_option_is_refused_and_nothing_is_broken(
    bench: Bench, name: str, options: dict[str, object], text: str
) -> None:
    with pytest.raises(FaultError, match=text.replace("?", ".")):
        bench.faults.begin(name, options, bench.board)
    assert not bench.faults.active


def test_healing_an_unknown_fault_is_refused(bench: Bench) -> None:
    with pytest.raises(FaultError, match="there is no fault 'x'"):
        bench.faults.heal("x", bench.board)


def test_one_core_of_several_may_sleep_alone() -> None:
    """The debug port and the other core's access port answer; NRST wakes the sleeper."""
    bench = Bench(Board(BOARDS["dual-m4"]))
    bench.begin("sleeping", core=1)
    assert [bench.faults.link(bench.board, bench.debug.now, port) for port in (None, 0, 1)] == [
        Link.ANSWERS,
        Link.ANSWERS,
        Link.WAIT,
    ]
    bench.nrst_pulse()
    assert bench.faults.link(bench.board, bench.debug.now, 1) is Link.ANSWERS


def test_one_core_of_several_may_be_silent_alone_and_no_reset_helps() -> None:
    """The debug port answers; the access port of that core answers FAULT, as when its power domain is off."""
    bench = Bench(Board(BOARDS["dual-m4"]))
    bench.begin("silent", core=0)
    acts: tuple[Callable[[], None], ...] = (bench.debug.catch_reset, bench.nrst_pulse, bench.board.power_cycle)
    for act in acts:
        act()
        looked = [bench.faults.link(bench.board, bench.debug.now, port) for port in (None, 0, 1)]
        assert looked == [Link.ANSWERS, Link.FAULT, Link.ANSWERS]
    bench.faults.heal("silent", bench.board)
    assert bench.faults.link(bench.board, bench.debug.now, 0) is Link.ANSWERS
