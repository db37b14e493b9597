"""Requests that are answered here: refusals, broken flash transactions, the monitor policy."""

import pytest

from ocdsup.rsp import learned as learned_module
from ocdsup.rsp.framing import encode
from ocdsup.rsp.packets import monitor_request, name
from ocdsup.rsp.policy import Monitor, Policy
from ocdsup.rsp.reception import expired, refused
from ocdsup.rsp.shadow import Shadow
from tests.rsp.debug_bench import attached
from tests.rsp.openocd_model import DESCRIPTION


def test_a_flash_transaction_fails_once_and_is_never_sent_again() -> None:
    """The rest of a broken `load` is answered E05; the next `load` works; `vFlashDone` never meets a fresh process."""
    bench = attached()
    assert bench.ask(b"vFlashErase:08000000,00000400") == b"OK"
    bench.send(b"vFlashWrite:08000000:abc")
    bench.kill()
    assert bench.answer() == b"E05"
    bench.start()
    bench.settle()
    assert bench.ask(b"vFlashDone") == b"E05"
    replies = [bench.ask(b) for b in (b"vFlashErase:08000000,00000400", b"vFlashWrite:08000000:abcd", b"vFlashDone")]
    assert replies == [b"OK"] * 3
    assert bench.board.flashed == b"abcd"


def test_the_result_of_a_file_operation_passes_only_while_the_program_may_have_asked_for_it() -> None:
    """It has no reply, and OpenOCD goes on after it."""
    bench = attached()
    assert bench.process is not None
    bench.send(b"F0")
    bench.settle()
    assert b"F0" not in bench.process.log
    assert bench.ask(b"m20000000,4") == b"00010203"
    bench.resume()
    bench.carry(bench.proxy.client_bytes(encode(b"F0"), bench.now))
    bench.settle()
    assert bench.process.log[-1] == b"F0"


def test_between_two_flash_packets_the_loss_is_told_at_the_next_one() -> None:
    """Nothing is sent unasked; the next packet of the transaction fails."""
    bench = attached()
    bench.ask(b"vFlashErase:08000000,00000400")
    bench.ask(b"vFlashWrite:08000000:abcd")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.ask(b"vFlashDone") == b"E05"
    assert bench.process is not None


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"p63", b"E01"),
        (b"P1=00", b"E01"),
        (b"qXfer:memory-map:read::fff,4", b"E01"),
        (b"Z5,20000000,4", b""),
        (b"m20", b"E01"),
        (b"vFlashDone", b"E05"),
        (b"Zx", b"E01"),
    ],
)
def test_what_would_end_the_connection_is_answered_here(body: bytes, reply: bytes) -> None:
    """OpenOCD never sees it, and the session goes on."""
    bench = attached()
    assert bench.ask(body) == reply
    assert bench.process is not None
    assert body not in bench.process.log
    assert bench.ask(b"m20000000,4") == b"00010203"


def test_what_is_learned_of_a_target_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a client varies its questions for the description, it fills no memory, and leaves the registers as they are."""
    monkeypatch.setattr(learned_module, "_MOST_LEARNED", 8192)
    bench = attached()
    learned = bench.proxy.shadow.learned
    sizes = dict(learned.sizes)
    for offset in range(0, len(DESCRIPTION), 16):
        for length in (0x400, 0xFFF):
            assert bench.ask(b"qXfer:features:read:target.xml:%x,%x" % (offset, length)) != b"E01"
            bench.ask(b"qXfer:features:read:other%x.xml:0,%x" % (offset, length))
    assert sum(map(len, learned.replies.values())) < 8192
    assert sum(map(len, learned.description.values())) == len(DESCRIPTION)
    assert len(learned.ends) == 2
    assert learned.sizes == sizes == dict.fromkeys(range(17), 8)


@pytest.mark.parametrize("cache", [False, True])
def test_lists_and_descriptions_are_read_piece_by_piece_and_from_no_other_place(cache: bool) -> None:
    """Also anew, also when the answers are kept, and not on from a place that another OpenOCD may not have."""
    bench = attached(Policy(cache=cache))
    assert bench.process is not None
    bench.process.threads = b"<thread id='1'/>" * 5
    pieces = [b"qXfer:threads:read::%x,20" % offset for offset in (0, 0x20, 0x40)]
    for _ in range(2):
        assert [bench.ask(body)[:1] for body in pieces] == [b"m", b"m", b"l"]
    assert bench.ask(b"qXfer:features:read:target.xml:%x,10" % 0x20) != b"E01"
    assert bench.ask(b"qXfer:features:read:target.xml:fff,10") == b"E01"
    assert bench.ask(pieces[0])[:1] == b"m"
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.ask(pieces[1]) == b"E01"
    assert bench.process is not None


@pytest.mark.parametrize(
    ("policy", "line", "reply"),
    [
        (Monitor.FULL, "exec id", b"OK"),
        (Monitor.SAFE, "exec id", b"E01"),
        (Monitor.SAFE, "reset halt", b"OK"),
        (Monitor.SAFE, "reset [exec id]", b"E01"),
        (Monitor.OFF, "reset halt", b"E01"),
    ],
)
def test_monitor_passes_by_policy(policy: Monitor, line: str, reply: bytes) -> None:
    """A refused line says why on the console and never reaches OpenOCD."""
    bench = attached(Policy(monitor=policy))
    assert bench.ask(monitor_request(line)) == reply
    assert bench.process is not None
    assert (monitor_request(line) in bench.process.log) is (reply == b"OK")
    assert ("monitor: " in bench.console) is (reply != b"OK")


def test_the_monitor_command_that_killed_openocd_is_answered() -> None:
    """The user reads what happened; the command is not repeated."""
    bench = attached()
    assert bench.ask(monitor_request("crash")) == b"E01"
    assert "OpenOCD is away" in bench.console


@pytest.mark.parametrize("mode", [b"QProgramSignals:0;1", b"QNonStop:0", b"QPassSignals:e"])
def test_a_mode_that_the_server_once_announced_does_not_end_a_refused_attach(mode: bytes) -> None:
    """GDB 13.1 stops at an empty answer with a "Protocol error" and never gets to the `g` whose error says what is wrong."""
    assert refused(name(mode), mode, Shadow(), "the GDB server is away").replies == (b"OK",)


def test_registers_that_were_waited_for_in_vain_fail_with_the_reason() -> None:
    """GDB 13.1 shows the text of an error in reply to `g`, and no other request's."""
    assert expired(name(b"g"), "the GDB server is away").replies == (b"E.ocdsup: the GDB server is away",)
    assert expired(name(b"m0,4"), "the GDB server is away").replies == (b"E01",)
