"""What GDB has a server do that must not be cut off."""

from __future__ import annotations

import pytest

from ocdsup.rsp.packets import monitor_request, name
from ocdsup.rsp.shadow import Flash, Shadow
from ocdsup.rsp.wires import Ask
from ocdsup.rsp.work import LOAD, under_way


def asks(*bodies: bytes) -> list[Ask]:
    return [Ask(name(body), body, b"", 0.0) for body in bodies]


def test_console_lines_without_an_answer_are_told_and_other_requests_are_not() -> None:
    assert under_way(asks(b"g", monitor_request("flash banks"), b"m0,4"), Shadow()) == ["flash banks"]
    assert under_way(asks(), Shadow()) == []


@pytest.mark.parametrize("body", [b"vFlashErase:08000000,4000", b"vFlashWrite:08000000:x", b"vFlashDone"])
def test_a_request_of_a_load_is_one(body: bytes) -> None:
    assert under_way(asks(body), Shadow()) == [LOAD]


@pytest.mark.parametrize(("flash", "work"), [(Flash.OPEN, [LOAD]), (Flash.IDLE, []), (Flash.BROKEN, [])])
def test_between_its_packets_a_load_is_still_one_until_it_is_done_or_broken(flash: Flash, work: list[str]) -> None:
    shadow = Shadow()
    shadow.flash = flash
    assert under_way([], shadow) == work
