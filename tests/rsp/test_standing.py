"""A core that stands although GDB believes it to run: the place tells why, where a new OpenOCD cannot."""

from collections.abc import Generator
from typing import Any

import pytest

from ocdsup.rsp.learned import Learned
from ocdsup.rsp.packets import Point, monitor_request
from ocdsup.rsp.replay import Heard
from ocdsup.rsp.shadow import Shadow
from ocdsup.rsp.standing import reason, true_stop
from tests.rsp.debug_bench import attached

PC = 0x08000100
DESCRIPTION = b'<target><reg name="sp" regnum="13"/><reg name="pc" bitsize="32" regnum="15"/></target>'


def shadow(resume: bytes = b"vCont;c", **fields: Any) -> Shadow:
    """Return the belief of a GDB whose program runs."""
    return Shadow(learned=Learned(description={0: DESCRIPTION}), attached=True, resume=resume, **fields)


def ends(dialogue: Generator[bytes, Heard, Any], replies: dict[bytes, Heard]) -> Any:
    """Hold a dialogue; return what it comes to."""
    try:
        body = next(dialogue)
        while True:
            body = dialogue.send(replies.get(body, Heard(b"E01")))
    except StopIteration as ended:
        return ended.value


def core(code: bytes = b"00bf", text: str = "semihosting is enabled") -> dict[bytes, Heard]:
    """Return the replies of a core that stands at `PC`."""
    return {
        b"pf": Heard(b"00010008"),
        b"m8000100,2": Heard(code),
        monitor_request("arm semihosting"): Heard(b"OK", text),
    }


POINTS = {Point(1, PC, 2): None}


@pytest.mark.parametrize(
    ("fields", "said", "interrupted", "stop"),
    [
        ({}, b"S05", False, b"T05"),
        ({}, b"S02", False, None),
        ({}, b"S05", True, b"T02"),
        ({"paused": True}, b"S05", False, None),
        ({"paused": True}, b"S05", True, None),
        ({"points": POINTS}, b"S05", True, b"T05"),
        ({"points": POINTS}, b"S02", False, b"T05"),
        ({"points": POINTS, "paused": True}, b"S00", False, b"T05"),
        ({"resume": b"vCont;s"}, b"S02", True, b"T05"),
    ],
)
def test_the_stop_is_that_of_what_halted_the_core(
    fields: dict[str, Any], said: bytes, interrupted: bool, stop: bytes | None
) -> None:
    """A breakpoint is one whoever interrupts; what we or the attach have halted runs on, an interrupt is no trap."""
    assert ends(reason(shadow(**fields), said, interrupted=interrupted), core()) == stop


@pytest.mark.parametrize(
    ("code", "text", "stop"),
    [
        (b"abbe", "semihosting is enabled", None),
        (b"abbe", "semihosting is disabled", b"T05"),
        (b"00be", "semihosting is enabled", b"T05"),
    ],
)
def test_a_request_to_the_host_is_executed_again(code: bytes, text: str, stop: bytes | None) -> None:
    """The OpenOCD that would have served it is gone; the next one serves it when the core comes to it."""
    assert ends(reason(shadow(), b"S05", interrupted=False), core(code, text)) == stop


def test_without_a_description_the_place_is_not_known() -> None:
    """Then what OpenOCD says counts."""
    nowhere = Shadow(attached=True, resume=b"c", points=dict(POINTS))
    assert ends(reason(nowhere, b"S02", interrupted=False), core()) is None
    assert ends(reason(nowhere, b"S05", interrupted=False), core()) == b"T05"


def test_a_stop_without_a_reason_at_a_breakpoint_is_its_hit() -> None:
    """OpenOCD makes them up when its link hiccups, also over a core that has halted by itself."""
    assert ends(true_stop(shadow(points=dict(POINTS)), b"T00thread:1;"), core()) == b"T05thread:1;"
    assert ends(true_stop(shadow(), b"T00"), core()) == b"T00"
    assert ends(true_stop(shadow(points=dict(POINTS)), b"T02"), core()) == b"T02"


@pytest.mark.parametrize("moved", range(14))
def test_a_pause_for_a_watchpoint_is_no_stop_although_openocd_dies_in_it(moved: int) -> None:
    """The next one finds the core halted, by the one before: it runs on."""
    bench = attached()
    bench.ask(b"g")
    bench.ask(b"P1=78563412")
    bench.ask(b"Z2,20000000,4")
    bench.resume()
    bench.board.registers[1] = 9  # the program has gone on
    bench.kill()
    for _ in range(2):
        bench.start(known=False)
        for _ in range(moved):
            bench.step()
        bench.kill()
    bench.start(known=False)
    bench.settle()
    assert bench.stops == []
    assert bench.board.running
    assert bench.board.registers[1] == 9


def test_an_interrupt_that_has_halted_the_core_and_died_is_no_trap() -> None:
    """OpenOCD dies between the halt and its word of it."""
    bench = attached()
    bench.resume()
    bench.carry(bench.proxy.client_bytes(b"\x03", bench.now))
    bench.board.running = False
    bench.board.registers[15] += 2
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T02"]
