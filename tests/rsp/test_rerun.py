"""Other servers that come back: GDB goes on in the new run, or reads that its program is gone, and sees no other one's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.rsp.framing import Frame, Framer, Kind, Side, encode
from ocdsup.rsp.outputs import CloseClient, Output, ToBackend, ToClient
from ocdsup.rsp.packets import text_of
from ocdsup.rsp.policy import BackendUp, Dialect, Policy
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.rerun import silent, thread_of
from ocdsup.rsp.shadow import Shadow

DESCRIBED = b"qXfer:features:read:target.xml:0,ffb"
Server = Callable[[bytes], bytes]


def server(stop: bytes, **answers: bytes) -> Server:
    """A GDB server whose program stands as `stop` says; requests that begin with a key are answered as told, all others OK."""
    table = {"?": stop, "g": b"11111111", "qSupported": b"PacketSize=4000;multiprocess+", "qXfer": b"l<target/>", **answers}

    def answer(body: bytes) -> bytes:
        return next((reply for start, reply in table.items() if body.startswith(start.encode())), b"OK")

    return answer


class Front:
    """A GDB and the transparent proxy, and the server of the moment."""

    def __init__(self) -> None:
        self.proxy = Proxy(Policy(dialect=Dialect.ANY))
        self.server: Server | None = None
        self.asked: list[bytes] = []  # by this server
        self.console = ""
        self.closed = False
        self._got: list[bytes] = []
        self._client, self._backend = Framer(Side.SERVER), Framer(Side.CLIENT)

    def up(self, server: Server) -> None:
        self.server, self.asked, self._backend = server, [], Framer(Side.CLIENT)
        self.carry(self.proxy.backend_ready(BackendUp(), 1.0))

    def down(self) -> None:
        self.server = None
        self.carry(self.proxy.backend_lost("closed by peer", 1.0))

    def carry(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case ToBackend(data) if self.server is not None:
                    self._feed(self._backend, data, self._serve)
                case ToClient(data):
                    self._feed(self._client, data, self._take)
                case CloseClient():
                    self.closed = True

    def _feed(self, framer: Framer, data: bytes, take: Callable[[Frame], None]) -> None:
        for frame in framer.feed(data):
            if frame.kind is Kind.PACKET:
                take(frame)

    def _serve(self, frame: Frame) -> None:
        assert self.server is not None
        self.asked.append(frame.body)
        if not frame.body.startswith((b"vCont;", b"k")):
            self.carry(self.proxy.backend_bytes(b"+" + encode(self.server(frame.body)), 1.0))

    def _take(self, frame: Frame) -> None:
        text = text_of(frame.body)
        self.console += text or ""
        if text is None:
            self._got.append(frame.body)

    def say(self, body: bytes) -> list[bytes]:
        """Send a request; returns what comes at once."""
        self._got.clear()
        self.carry(self.proxy.client_bytes(b"+" + encode(body), 1.0))
        return list(self._got)

    def heard(self) -> list[bytes]:
        return list(self._got)


def attached(first: Server, *, running: bool = False) -> Front:
    """A GDB that has attached, and whose server has gone."""
    front = Front()
    front.up(first)
    for body in (b"qSupported:multiprocess+", b"QStartNoAckMode", b"!", DESCRIBED, b"?", b"Hgp0.0", b"Z0,1000,1"):
        front.say(body)
    if running:
        front.say(b"vCont;c:p10.-1")
    front._got.clear()
    front.down()
    return front


OLD = server(b"T05thread:p10.10;")
SAME = {
    "the same process": server(b"T05thread:p10.10;"),
    "another thread of it": server(b"T05thread:p10.20;", Hgp1=b"E01"),
    "no process number": server(b"T05thread:10;"),
    "no thread": server(b"S05"),
}
OTHER = {
    "another process": server(b"T05thread:p11.11;"),
    "no process": server(b"W00"),
    "an error": server(b"E01"),
    "another target": server(b"T05thread:p10.10;", qXfer=b"l<target>other</target>"),
}


@pytest.mark.parametrize("came", SAME)
def test_a_running_gdb_gets_a_stop_in_the_new_run(came: str) -> None:
    """The stop names no thread: GDB 13.1 fails an assertion when an unknown one stops while it steps another."""
    front = attached(OLD, running=True)
    front.up(SAME[came])
    assert (front.heard(), front.proxy.shadow.running, front.closed) == ([b"T02"], False, False)
    assert "new run" in front.console
    assert b"Z0,1000,1" in front.asked


@pytest.mark.parametrize("came", SAME)
def test_a_halted_gdb_gets_it_at_its_first_resume(came: str) -> None:
    """Nothing is sent unasked; the resume does not reach the new run."""
    front = attached(OLD)
    front.up(SAME[came])
    assert (front.heard(), front.console) == ([], "")
    assert front.say(b"vCont;c:p10.-1") == [b"T02"]
    assert "new run" in front.console
    assert not any(body.startswith(b"vCont") for body in front.asked)
    assert front.say(b"vCont;c:p10.-1") == []
    assert front.asked[-1] == b"vCont;c:p10.-1"


@pytest.mark.parametrize("came", OTHER)
def test_a_running_gdb_reads_that_its_program_is_gone(came: str) -> None:
    """As if it had been killed, which it was; the connection stays, for a GDB that starts the next one (`run`)."""
    front = attached(OLD, running=True)
    assert "the GDB server is away" in front.console
    front.up(OTHER[came])
    assert (front.heard(), front.closed) == ([b"X09;process:10"], False)
    assert "its program with it" in front.console
    assert ("debugs none" in front.console) is (came in ("no process", "an error"))
    assert front.say(b"vRun;") == [b"OK"]


@pytest.mark.parametrize("came", OTHER)
def test_a_halted_gdb_sees_nothing_of_another_program_and_reads_why_at_its_first_resume(came: str) -> None:
    """Until then reads fail and points are taken for set, without a word to the server."""
    front = attached(OLD)
    front.up(OTHER[came])
    assert (front.heard(), front.console) == ([], "")
    asked = list(front.asked)
    assert front.say(b"g")[0].startswith(b"E.ocdsup: ")
    for body in (b"m1000,4", b"p1", b"M1000,1:00", b"P1=00", b"qC", b"qThreadExtraInfo,p10.10"):
        assert front.say(body) == [b"E01"]
    for body in (b"Z0,2000,1", b"z0,1000,1", b"Hgp10.10", b"Tp10.10"):
        assert front.say(body) == [b"OK"]
    assert front.say(b"vCont;c:p10.-1") == [b"X09;process:10"]
    assert "its program with it" in front.console
    assert front.asked == asked
    assert front.say(b"g") == [b"11111111"]


def test_a_step_of_a_program_that_is_gone_is_ended_before_the_program_is() -> None:
    """By a signal that GDB tells nobody of: an end in the middle of a step breaks GDB, an error leaves its user waiting."""
    front = attached(server(b"T0506:00;07:0* ;10:4010;swbreak:;thread:p10.10;core:1;"))
    front.say(b"g")
    front.up(OTHER["another process"])
    asked = list(front.asked)
    assert front.say(b"vCont;s:p10.10;c:p10.-1") == [b"T2406:00;07:0* ;10:4010;thread:p10.10;"]
    assert front.console.count("its program with it") == 1
    assert front.say(b"m1000,4") == [b"E01"]
    assert front.say(b"vCont;C24:p10.10;c:p10.-1") == [b"X09;process:10"]
    assert front.console.count("its program with it") == 1
    assert (front.asked, front.proxy.shadow.running) == (asked, False)


def test_the_registers_of_a_gone_program_are_those_that_gdb_has_seen_last_once_it_knows() -> None:
    """It needs them to get out of its step; before, its user reads why there are none."""
    front = Front()
    front.up(OLD)
    for body in (b"QStartNoAckMode", b"?", b"g"):
        front.say(body)
    front.down()
    front.up(OTHER["another process"])
    assert front.say(b"g")[0].startswith(b"E.ocdsup: ")
    assert front.say(b"vCont;s:p10.10") == [b"T24thread:p10.10;"]
    assert front.say(b"g") == [b"11111111"]


@pytest.mark.parametrize("came", OTHER)
def test_a_stepping_gdb_gets_out_of_its_step_before_it_reads_that_its_program_is_gone(came: str) -> None:
    """The same when the server went in the middle of the step."""
    front = Front()
    front.up(OLD)
    for body in (b"qSupported:multiprocess+", b"QStartNoAckMode", DESCRIBED, b"?", b"vCont;s:p10.10"):
        front.say(body)
    front.down()
    front.up(OTHER[came])
    assert front.heard() == [b"T24thread:p10.10;"]
    assert front.say(b"vCont;C24:p10.10") == [b"X09;process:10"]
    assert front.console.count("its program with it") == 1


@pytest.mark.parametrize(
    ("asked", "threads"),
    [
        (b"qXfer:threads:read::0,1000", b'l<threads><thread id="p10.10"/><thread id="p10.12"/></threads>'),
        (b"qXfer:threads:read::4e,1000", b"l"),
        (b"qfThreadInfo", b"mp10.10,p10.12"),
        (b"qsThreadInfo", b"l"),
    ],
)
def test_gdb_keeps_the_threads_that_its_user_may_resume(asked: bytes, threads: bytes) -> None:
    """An error were an empty list for it: `-exec-next --thread 1` then failed with "has terminated", and nobody read why."""
    front = Front()
    front.up(OLD)
    for body in (b"QStartNoAckMode", b"Hgp0.0", b"?", b"Hgp10.12", b"Hc-1", b"Hc0"):
        front.say(body)
    front.down()
    front.up(OTHER["another process"])
    assert front.say(asked) == [threads]


def test_another_process_is_told_from_the_old_one_also_after_a_stop_of_ours() -> None:
    """The stop that tells of a new run names no thread; the process is the one that GDB has chosen."""
    front = attached(OLD)
    front.up(OLD)
    front.say(b"Hgp10.10")
    assert front.say(b"vCont;c:p10.-1") == [b"T02"]
    front.down()
    front.up(OTHER["another process"])
    assert front.say(b"vCont;c:p10.-1") == [b"X09;process:10"]


@pytest.mark.parametrize(
    ("resume", "stop"),
    [
        (b"vCont;c:p10.-1", b"T2410:4010;thread:p10.10;"),
        (b"vCont;s:p10.10", b"T2410:4010;thread:p10.10;"),
        (b"vCont;s:p10.11;c:p10.-1", b"T24thread:p10.11;"),
        (b"vCont;r4010,4020:p10.11;c", b"T24thread:p10.11;"),
        (b"vCont;S05:p10.11", b"T24thread:p10.11;"),
        (b"vCont;s:p10.-1", b"T2410:4010;thread:p10.10;"),
        (b"vCont;s", b"T2410:4010;thread:p10.10;"),
        (b"s", b"T2410:4010;thread:p10.10;"),
    ],
)
def test_the_silent_stop_is_one_of_the_thread_that_steps(resume: bytes, stop: bytes) -> None:
    """With the registers of the last stop only when that was the same thread's."""
    shadow = Shadow(last_stop=b"T05watch:10;10:4010;thread:p10.10;core:0;")
    assert silent(resume, shadow) == stop


@pytest.mark.parametrize(("body", "reply"), [(b"D;10", [b"OK"]), (b"vKill;10", [b"OK"]), (b"k", [])])
def test_a_gdb_that_leaves_a_gone_program_does_not_touch_the_new_one(body: bytes, reply: list[bytes]) -> None:
    """Detach and kill are done; afterwards the server is GDB's again."""
    front = attached(OLD)
    front.up(OTHER["another process"])
    assert front.say(body) == reply
    assert body not in front.asked
    assert front.say(b"vRun;") == [b"OK"]


def test_the_new_connection_is_brought_into_the_modes_of_the_old_one() -> None:
    """QEMU sends other registers until the description was read; gdbserver 13.1 aborts when it is asked for that before `?`."""
    front = attached(OLD)
    front.up(SAME["the same process"])
    assert front.asked == [
        b"qSupported:multiprocess+", b"QStartNoAckMode", b"!", b"?", DESCRIBED, b"Hgp0.0", b"Z0,1000,1",
    ]  # fmt: skip


def test_a_thread_that_is_no_more_is_replaced_by_the_one_that_stands() -> None:
    """QEMU's user mode numbers threads by the host: what GDB reads next is read from the new one."""
    front = Front()
    front.up(OLD)
    for body in (b"QStartNoAckMode", b"?", b"Hgp10.10"):
        front.say(body)
    front.down()
    front.up(SAME["another thread of it"])
    assert front.asked[-2:] == [b"Hgp10.10", b"Hgp10.20"]


def test_a_second_debugger_hears_what_the_server_says() -> None:
    """An error in reply to `g` too, in whose place one of two on an OpenOCD gets zeros."""
    front = Front()
    front.proxy.shadow.learned.registers = 8
    front.proxy.join()
    front.up(server(b"T05thread:p10.10;", g=b"E01"))
    for body in (b"QStartNoAckMode", b"?"):
        front.say(body)
    assert front.say(b"g") == [b"E01"]


@pytest.mark.parametrize("running", [False, True])
def test_a_non_stop_session_ends_with_its_server(running: bool) -> None:
    """GDB follows every thread by notifications there: nothing can be told in their place."""
    front = Front()
    front.up(OLD)
    for body in (b"QStartNoAckMode", b"QNonStop:1", b"?", *([b"vCont;c"] if running else [])):
        front.say(body)
    front.down()
    assert front.closed


@pytest.mark.parametrize(
    ("stop", "thread"),
    [
        (b"T05thread:p10.1f;core:0;", (b"p10.1f", 16)),
        (b"T0506:00;07:00;thread:7d2a;", (b"7d2a", None)),
        (b"T05swbreak:;", (b"", None)),
        (b"S05", (b"", None)),
        (b"W00;process:10", (b"", None)),
        (b"", (b"", None)),
    ],
)
def test_the_thread_of_a_stop_is_found(stop: bytes, thread: tuple[bytes, int | None]) -> None:
    """With its process number where the server has such."""
    assert thread_of(stop) == thread
