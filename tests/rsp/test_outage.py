"""A server that does not come back: a debugger that waits for its program is told so, and its session ends in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ocdsup.rsp.framing import Framer, Side, encode
from ocdsup.rsp.outage import Outage
from ocdsup.rsp.outputs import CloseClient, Output, ToBackend, ToClient
from ocdsup.rsp.packets import name, text_of
from ocdsup.rsp.policy import BackendUp, Dialect, Policy
from ocdsup.rsp.proxy import Proxy

ANY = Policy(dialect=Dialect.ANY, wait_for=60.0, answer_within=4.0)


@dataclass
class Left:
    """A GDB that has attached at 0 s, and whose server went at 1 s."""

    proxy: Proxy = field(default_factory=lambda: Proxy(ANY))
    console: str = ""
    ended: bool = False
    _framer: Framer = field(default_factory=lambda: Framer(Side.SERVER))

    def carry(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case ToClient(data):
                    self.console += "".join(text_of(frame.body) or "" for frame in self._framer.feed(data))
                case CloseClient():
                    self.ended = True
                case _:
                    pass

    def say(self, data: bytes, now: float) -> None:
        self.carry(self.proxy.client_bytes(data, now))

    def ends_at(self) -> float:
        """Let the time go by; returns when the session ended."""
        now = 0.0
        while not self.ended:
            due = self.proxy.next_deadline()
            assert due is not None
            now = due
            self.carry(self.proxy.tick(now))
        return now

    def back(self, now: float) -> list[bytes]:
        """The server accepts a connection; returns what it is asked."""
        outputs = self.proxy.backend_ready(BackendUp(), now)
        self.carry(outputs)
        return [output.data for output in outputs if isinstance(output, ToBackend)]


def left(*, running: bool) -> Left:
    here = Left()
    here.back(0.0)
    for request, reply in ((b"QStartNoAckMode", b"OK"), (b"?", b"T05thread:p10.10;"), (b"vCont;c", None)):
        if request != b"vCont;c" or running:
            here.say(b"+" + encode(request), 0.0)
        if reply is not None:
            here.carry(here.proxy.backend_bytes(b"+" + encode(reply), 0.0))
    here.carry(here.proxy.backend_lost("closed by peer", 1.0))
    return here


def test_a_running_gdb_is_told_how_long_it_waits_and_its_session_ends_then() -> None:
    """60 s after the server went."""
    here = left(running=True)
    assert "is away (closed by peer); the program goes on when it is back, or the session ends in 60 s\n" in here.console
    assert here.ends_at() == 61.0
    assert here.console.endswith("is away (closed by peer); the session ends\n")


def test_a_halted_gdb_waits_from_its_resume_on() -> None:
    """Nobody waits before, and nothing ends."""
    here = left(running=False)
    assert here.proxy.next_deadline() is None
    here.say(encode(b"vCont;c"), 100.0)
    assert "or the session ends in 60 s" in here.console
    assert here.ends_at() == 160.0


@pytest.mark.parametrize("running", [True, False])
def test_an_interrupt_in_vain_ends_the_session_soon(running: bool) -> None:
    """Its user wants the program to stop now, and there is nothing that could be stopped."""
    here = left(running=running)
    if not running:
        here.say(encode(b"vCont;c"), 2.0)
    here.say(b"\x03", 10.0)
    assert "the interrupt is delivered when it is back, or the session ends in 4 s\n" in here.console
    assert here.ends_at() == 14.0


def test_an_interrupt_at_the_end_does_not_make_the_wait_longer() -> None:
    """60 s stay 60 s."""
    here = left(running=True)
    here.say(b"\x03", 60.0)
    assert here.ends_at() == 61.0


def test_a_server_that_is_back_ends_the_wait() -> None:
    """As soon as it has answered what it had to be asked."""
    here = left(running=True)
    assert here.back(50.0) != []
    for reply in (b"OK", b"T05thread:p10.10;"):
        assert here.proxy.next_deadline() is not None
        here.carry(here.proxy.backend_bytes(b"+" + encode(reply), 50.0))
    assert (here.proxy.next_deadline(), here.ended) == (None, False)


def test_a_server_that_accepts_and_never_answers_does_not_make_the_wait_longer() -> None:
    """It comes and goes, and is never there."""
    here = left(running=True)
    for now in (10.0, 20.0, 30.0, 40.0, 50.0):
        here.back(now)
        here.carry(here.proxy.backend_lost("closed by peer", now + 1))
    assert here.ends_at() == 61.0


@pytest.mark.parametrize("leave", [b"D;10", b"D", b"vKill;10", b"k"])
@pytest.mark.parametrize("running", [True, False])
def test_a_gdb_that_leaves_meanwhile_need_not_wait(leave: bytes, running: bool) -> None:
    """As without the front: the connection is closed, which every IDE takes for the end."""
    here = left(running=running)
    here.say(encode(leave), 2.0)
    assert here.ended


def test_a_gdb_that_leaves_openocd_is_told_goodbye_by_the_supervisor() -> None:
    """The next OpenOCD leaves the core as the policy says."""
    assert not Outage(Policy()).leaves(name(b"D"), served=False)


def test_what_waits_for_openocd_is_waited_for_without_end() -> None:
    """Its supervisor brings it back, or tells why not."""
    outage = Outage(Policy())
    assert outage.begins("OpenOCD is away", 1.0) == "ocdsup: OpenOCD is away; the program goes on when it is back\n"
    assert outage.hurries("OpenOCD is away", 1.0) == "ocdsup: OpenOCD is away; the interrupt is delivered when it is back\n"
    assert (outage.until, outage.over(1e9)) == (None, False)
