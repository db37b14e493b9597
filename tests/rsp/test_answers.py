"""Kept answers: fewer requests reach OpenOCD, and none is answered with what may have changed."""

import pytest

from ocdsup.rsp.packets import Point, monitor_request
from ocdsup.rsp.policy import Policy
from tests.rsp.debug_bench import Bench, attached

CACHED = Policy(cache=True)
# What GDB 13 asks for one `stepi` with one breakpoint set (seen with `set debug remote 1`).
STEP = [b"Z1,8000234,2", b"vCont;s", b"g", b"m8000100,2", b"qXfer:threads:read::0,1000", b"z1,8000234,2", b"m8000100,2"]


def stepped(policy: Policy) -> tuple[Bench, list[bytes]]:
    """Make a few steps as GDB does; return what one more step sends to OpenOCD."""
    bench = attached(policy)
    assert bench.process is not None
    for _ in range(4):
        del bench.process.log[:]
        for body in STEP:
            if body == b"vCont;s":
                bench.resume(body)
            else:
                bench.ask(body)
    return bench, bench.process.log


def test_a_step_costs_fewer_requests_with_the_cache() -> None:
    """Seven requests become three: the step, the registers and one look at the code."""
    assert stepped(Policy())[1] == STEP
    assert stepped(CACHED)[1] == [b"vCont;s", b"g", b"m8000100,2"]


def test_steps_with_the_cache_stop_where_they_stop_without_it() -> None:
    """Registers are asked for anew after each step."""
    plain, kept = stepped(Policy())[0], stepped(CACHED)[0]
    assert plain.ask(b"g") == kept.ask(b"g")
    assert plain.stops == kept.stops


def test_a_point_whose_removal_was_put_off_is_gone_before_the_target_runs() -> None:
    """Without the `Z` the `z` goes out before the resume."""
    bench = attached(CACHED)
    bench.ask(b"Z1,8000234,2")
    bench.ask(b"z1,8000234,2")
    assert bench.board.comparators == {Point(1, 0x8000234, 2)}
    bench.resume()
    assert bench.board.comparators == set()
    assert bench.board.running


@pytest.mark.parametrize("body", [monitor_request("bp"), b"Z1,8000300,2", b"D", b"me0002008,4"])
def test_a_point_whose_removal_was_put_off_is_gone_before_anybody_can_see_it(body: bytes) -> None:
    """A command line, another point (comparators are few), a detach, or a look at the comparators sends the `z` first."""
    bench = attached(CACHED)
    bench.ask(b"Z1,8000234,2")
    bench.ask(b"z1,8000234,2")
    bench.ask(body)
    assert Point(1, 0x8000234, 2) not in bench.board.comparators


def test_a_software_breakpoint_is_removed_at_once() -> None:
    """Its opcode could be read in memory."""
    bench = attached(CACHED)
    before = bytes(bench.board.ram)
    bench.ask(b"Z0,20000008,2")
    bench.ask(b"z0,20000008,2")
    assert bytes(bench.board.ram) == before


def test_ram_is_read_every_time() -> None:
    """DMA writes while the core stands."""
    bench = attached(CACHED)
    bench.ask(b"m20000000,4")
    bench.board.ram[0] = 0xAA
    assert bench.ask(b"m20000000,4") == b"aa010203"


@pytest.mark.parametrize(
    "change",
    [b"P1=78563412", b"M20000000,1:00", b"vFlashErase:08000000,00000400", monitor_request("reset halt"), b"Hg1", b"R00"],
)
def test_whatever_may_change_the_target_makes_the_next_read_a_real_one(change: bytes) -> None:
    """After a write, a flash packet, a command line, another thread or a restart, registers are asked for again."""
    bench = attached(CACHED)
    bench.ask(b"g")
    if change == b"R00":
        bench.send(change)
        bench.settle()
    else:
        bench.ask(change)
    assert bench.process is not None
    del bench.process.log[:]
    bench.ask(b"g")
    assert bench.process.log == [b"g"]


def test_registers_and_flash_are_kept_until_then() -> None:
    """The second look costs nothing, and is the same."""
    bench = attached(CACHED)
    first = [bench.ask(body) for body in (b"g", b"m8000000,10", b"p1")]
    assert bench.process is not None
    del bench.process.log[:]
    assert [bench.ask(body) for body in (b"g", b"m8000000,10", b"p1")] == first
    assert bench.process.log == []


def test_what_others_do_makes_kept_answers_void() -> None:
    """A telnet command may have changed a register."""
    bench = attached(CACHED)
    bench.ask(b"g")
    bench.board.registers[1] = 0x12345678
    bench.proxy.outside_change()
    assert bench.ask(b"g")[8:16] == b"78563412"


def test_an_answer_on_its_way_is_not_kept_when_others_act_meanwhile() -> None:
    """It may have been given before the change, and would be kept behind it."""
    bench = attached(CACHED)
    bench.send(b"g")
    bench.step()  # OpenOCD has answered, and we have not read it yet
    bench.board.registers[1] = 0x12345678
    bench.proxy.outside_change()
    bench.settle()
    bench.answer()
    assert bench.ask(b"g")[8:16] == b"78563412"


def test_a_core_that_others_move_makes_kept_answers_void() -> None:
    """OpenOCD tells of a resume or halt that was not GDB's."""
    bench = attached(CACHED)
    bench.ask(b"g")
    bench.board.registers[1] = 0x12345678
    bench.carry(bench.proxy.target_seen(bench.now, halted=True))
    assert bench.ask(b"g")[8:16] == b"78563412"


def test_without_the_switch_nothing_is_kept() -> None:
    """By default every request is OpenOCD's to answer."""
    bench = attached()
    assert bench.process is not None
    del bench.process.log[:]
    for _ in range(2):
        bench.ask(b"g")
    assert bench.process.log == [b"g", b"g"]


def test_the_cache_can_be_switched_off_in_the_middle_of_a_session() -> None:
    """A point whose removal was put off is gone, and the next read is a real one."""
    bench = attached(CACHED)
    bench.ask(b"Z1,8000234,2")
    bench.ask(b"z1,8000234,2")
    bench.ask(b"g")
    bench.board.registers[1] = 0x12345678
    bench.carry(bench.proxy.choose(Policy(), bench.now))
    bench.settle()
    assert bench.board.comparators == set()
    assert bench.ask(b"g")[8:16] == b"78563412"
    bench.ask(b"z1,8000234,2")
    assert bench.proxy.shadow.points == {}


def test_the_cache_can_be_switched_on_in_the_middle_of_a_session() -> None:
    """From then on the second look costs nothing."""
    bench = attached(Policy())
    bench.carry(bench.proxy.choose(CACHED, bench.now))
    bench.ask(b"g")
    assert bench.process is not None
    del bench.process.log[:]
    bench.ask(b"g")
    assert bench.process.log == []
