"""The queue of borrowers of one bench: who has the probe, who is next, and when a loan is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ocdsup.control.protocol import Request
from ocdsup.core import events as ev
from ocdsup.errors import ControlError
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Probe
from ocdsup.probes.selector import Found, ProbeSelector
from ocdsup.runtime import lending, usb
from ocdsup.runtime.lending import Lending, lend
from tests.runtime.kept_log import KeptLog


class Desk:
    """A queue and what it told the bench."""

    def __init__(self) -> None:
        self.told: list[ev.Event] = []
        self.log = KeptLog()
        self.lending = Lending(self.told.append, self.log)


@pytest.fixture
async def desk() -> Desk:
    """An empty queue."""
    return Desk()


async def test_the_first_is_served_at_once_and_the_others_wait(desk: Desk) -> None:
    first, second = (desk.lending.join(name, None, held=True) for name in ("first", "second"))
    assert desk.told == [ev.LendAsked("first")]
    assert [desk.lending.place(loan) for loan in (first, second)] == [0, 1]
    assert (desk.lending.shown() or {})["waiting"] == ["second"]


async def test_the_next_in_the_queue_follows_and_the_bench_comes_back_last(desk: Desk) -> None:
    loans = [desk.lending.join(name, None, held=True) for name in ("a", "b", "c")]
    desk.lending.leave(loans[1])
    assert [desk.lending.place(loan) for loan in loans] == [0, -1, 1]
    desk.lending.leave(loans[0])
    desk.lending.leave(loans[2])
    desk.lending.leave(loans[2])
    assert desk.told == [ev.LendAsked("a"), ev.LendAsked("c"), ev.LendEnded()]
    assert desk.lending.shown() is None


async def test_everybody_who_moves_up_is_woken(desk: Desk) -> None:
    loans = [desk.lending.join(name, None, held=True) for name in ("a", "b", "c")]
    desk.lending.leave(loans[0])
    assert all(loan.news.is_set() for loan in loans)


async def test_one_that_holds_a_connection_is_told_and_gets_a_moment(desk: Desk) -> None:
    loan = desk.lending.join("a", None, held=True)
    assert desk.lending.resume("telnet") == "a was told to give the probe back"
    assert (loan.over, desk.lending.place(loan)) == ("telnet takes it back", 0)
    assert (desk.lending.shown() or {})["over"] == "telnet takes it back"
    assert loan.timer is not None
    desk.lending.leave(loan)
    assert loan.timer.cancelled()
    assert desk.told[-1] == ev.LendEnded()


async def test_one_that_holds_nothing_is_over_at_once(desk: Desk) -> None:
    desk.lending.join("telnet", 60.0, held=False)
    assert desk.lending.resume("PID 1, root") == "the probe is back"
    assert desk.told == [ev.LendAsked("telnet"), ev.LendEnded()]


async def test_what_is_not_lent_cannot_be_taken_back(desk: Desk) -> None:
    with pytest.raises(ControlError, match="it is not lent"):
        desk.lending.resume("telnet")


async def test_a_loan_ends_with_its_time_and_the_time_begins_with_the_turn(desk: Desk) -> None:
    first = desk.lending.join("a", None, held=True)
    second = desk.lending.join("b", 0.001, held=False)
    assert second.timer is None
    desk.lending.leave(first)
    await second.news.wait()
    second.news.clear()
    if desk.lending.place(second) >= 0:
        await second.news.wait()
    assert second.over == "its 0.001 s are over"
    assert desk.told[-1] == ev.LendEnded()


async def test_the_end_of_the_daemon_ends_every_loan_in_one_go(desk: Desk) -> None:
    loans = [desk.lending.join(name, 60.0, held=True) for name in ("a", "b")]
    desk.lending.close("the daemon ends")
    assert [loan.over for loan in loans] == ["the daemon ends"] * 2
    assert all(loan.let_go for loan in loans)
    assert desk.told == [ev.LendAsked("a"), ev.LendEnded()]


def bench(desk: Desk, *, flashing: bool = False) -> Any:
    """As much of a bench as the verb looks at before it lends."""
    return cast("Any", SimpleNamespace(name="nucleo", flashing=flashing, lending=desk.lending))


@pytest.mark.parametrize(
    ("args", "flashing", "code", "why"),
    [
        ({}, False, "bad-argument", "nobody would take it back"),
        ({"seconds": 5}, True, "refused", "writes flash"),
        ({"hold": True}, True, "refused", "writes flash"),
    ],
)
async def test_a_loan_is_refused_with_its_reason(desk: Desk, args: dict[str, Any], flashing: bool, code: str, why: str) -> None:
    with pytest.raises(ControlError, match=why) as refused:
        await lend(bench(desk, flashing=flashing), Request(1, "lend", "nucleo", args), lambda _event: None)
    assert refused.value.code == code
    assert desk.told == []


async def test_on_telnet_a_lent_probe_is_not_waited_for(desk: Desk) -> None:
    desk.lending.join("cargo run", None, held=True)
    with pytest.raises(ControlError, match="cargo run has it"):
        await lend(bench(desk), Request(1, "lend", "nucleo", {"seconds": 5}), lambda _event: None)


@pytest.mark.parametrize(
    ("peer", "asker"), [(None, "telnet"), ((7, 0), "PID 7, root"), ((7, 4_000_000_000), "PID 7, 4000000000")]
)
def test_who_asks_is_known_by_process_and_user(peer: tuple[int, int] | None, asker: str) -> None:
    request = Request(1, "lend", "nucleo", {"by": "cargo run"}, peer=peer)
    assert lending.borrower(request) == f"cargo run ({asker})"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("066BFF55", "066BFF55"),
        ("\xaa\xbc\x6e\x06\x50\x75\xff\x0a\x17\x42\x19\x3f", "AABC6E065075FF0A1742193F"),
        ("\xaa\xbc", None),
        ("", None),
    ],
    ids=["text", "raw bytes", "raw bytes cut by Linux", "none"],
)
async def test_a_borrower_is_told_a_serial_that_tools_understand(
    monkeypatch: pytest.MonkeyPatch, raw: str, told: str | None
) -> None:
    model = identify("0483:3748")
    assert model is not None
    probe = Probe("0483:3748", raw, model, location="1-2", bus=1, device=4)
    monkeypatch.setattr(usb, "find", lambda _selector: Found(probe))
    bench = cast("Any", SimpleNamespace(selector=ProbeSelector()))
    expected = {"vid_pid": "0483:3748", "serial": told, "location": "1-2", "server": None, "node": "1:4"}
    assert await lending.identity(bench) == expected
