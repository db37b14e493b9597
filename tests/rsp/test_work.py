"""What GDB has a server do that must not be cut off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.rsp.packets import OK, monitor_request, name
from ocdsup.rsp.shadow import Flash, Shadow
from ocdsup.rsp.wires import Ask
from ocdsup.rsp.work import LOAD, under_way


def asks(*bodies: bytes) -> list[Ask]:
    return [Ask(name(body), body, b"", 0.0) for body in bodies]


def test_console_lines_without_an_answer_are_told_and_other_requests_are_not() -> None:
    assert under_way(asks(b"g", monitor_request("flash banks"), b"m0,4"), Shadow(), 99.0) == ["flash banks"]
    assert under_way(asks(), Shadow(), 0.0) == []


@pytest.mark.parametrize("body", [b"vFlashErase:08000000,4000", b"vFlashWrite:08000000:x", b"vFlashDone"])
def test_a_request_of_a_load_is_one(body: bytes) -> None:
    assert under_way(asks(body), Shadow(), 99.0) == [LOAD]


@pytest.mark.parametrize(("flash", "work"), [(Flash.OPEN, [LOAD]), (Flash.IDLE, []), (Flash.BROKEN, [])])
def test_between_its_packets_a_load_is_still_one_until_it_is_done_or_broken(flash: Flash, work: list[str]) -> None:
    shadow = Shadow()
    shadow.flash = flash
    assert under_way([], shadow, 59.0) == work
    assert under_way([], shadow, 61.0) == []


ERASE, STEP = b"vFlashErase:08000000,4000", b"vCont;s:1"


@pytest.mark.parametrize(
    "then",
    [
        lambda shadow: shadow.answered(name(ERASE), ERASE, b"E05"),
        lambda shadow: shadow.asked(name(STEP), STEP),
        lambda shadow: shadow.answered(name(b"qRcmd,"), monitor_request("reset halt"), OK),
    ],
    ids=["refused", "step", "monitor reset"],
)
def test_a_load_that_gdb_has_given_up_is_over(then: Callable[[Shadow], None]) -> None:
    """GDB says nothing more of it: not even that it is done."""
    shadow = Shadow()
    shadow.answered(name(ERASE), ERASE, OK)
    assert under_way([], shadow, 0.0) == [LOAD]
    then(shadow)
    assert under_way([], shadow, 0.0) == []
