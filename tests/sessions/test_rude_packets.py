"""Packets that no GDB would send, on the real OpenOCD: none gets past the policy, none ends OpenOCD or its connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.packets import hex_bytes, monitor_request
from tests.bench.rig import Rig
from tests.sessions.desk import Desk
from tests.sessions.plain_client import PlainClient


def escaped(body: bytes, at: int) -> bytes:
    """The body with the byte there as `}` and the byte xor 0x20: the same to OpenOCD in every packet."""
    return body[:at] + bytes((0x7D, body[at] ^ 0x20)) + body[at + 1 :]


@pytest.fixture
def policy() -> str:
    """The `monitor` of the bench."""
    return "full"


@pytest.fixture
def desk(rig: Rig, policy: str) -> Iterator[Desk]:
    """A desk whose bench has that policy, without a GDB."""
    desk = Desk(rig, monitor=policy)
    try:
        yield desk
    finally:
        desk.close()


@pytest.mark.parametrize("mode", ["hla"])
@pytest.mark.parametrize("policy", ["safe", "off"])
def test_no_spelling_of_a_command_gets_past_the_policy(desk: Desk, tmp_path: Path) -> None:
    """Escaped anywhere, behind a packet without an end, in two packets, with a wrong checksum: OpenOCD starts no program."""
    file = tmp_path / "touched"
    command = monitor_request(f"exec touch {file}")
    nul = monitor_request("halt\0\n") + monitor_request(f";exec touch {file}").removeprefix(b"qRcmd,")
    with closing(PlainClient(desk.port)) as client:
        for body in (command, command.replace(b"qRcmd,", b"qRcmd,0a"), nul, command.upper().replace(b"QRCMD", b"qRcmd")):
            assert client.ask(body) == b"E01"
        for at in range(len(b"qRcmd,") + 1):
            assert client.ask(escaped(command, at)) in (b"", b"E01")
        assert client.say(b"$" + command + b"#00") == b"E01"
        assert client.say(b"$m0,4$" + command + b"#00") == b"E01"
        assert client.say(b"$m0,4\x03$" + command + b"#}#") == b"E01"
        for swallowing in (b"X20000000,0:}", b"vFlashWrite:8000000:}", b"Z0,20000000,2;}", b"qXfer:a:read:}:0,4", b"T}"):
            assert client.ask(swallowing) in (b"", b"E01")
            assert client.ask(command) == b"E01"
        assert len(client.ask(b"m20000000,4")) == 8
    assert not file.exists()
    assert desk.rig.faults() == []


@pytest.mark.parametrize("mode", ["hla"])
def test_full_lets_the_command_pass(desk: Desk, tmp_path: Path) -> None:
    """The table above is about the policy, not about a command that would do nothing anyway."""
    file = tmp_path / "touched"
    with closing(PlainClient(desk.port)) as client:
        assert client.ask(monitor_request(f"exec touch {file}")) == b"OK"
    assert file.exists()


KILLING = [
    b"qXfer:features:read:target.xml:100000,fff",
    b"qXfer:features:read:target.xml:ffffffff,10",
    b"qXfer:features:read:target.xml:0,ffffffff",
    b"qXfer:features:read:other.xml:100000,fff",
    b"qXfer:memory-map:read::100000,fff",
    b"qXfer:memory-map:read::0,ffffffff",
    b"qXfer:threads:read::100000,fff",
    b"qXfer:threads:read::1000,1",
    b"G00",
    b"G" + b"00" * 16,
    b"vFlashDone",
    b"vFlashDoneAgain",
    b"X20000000,fff:a",
]
DROPPED = [
    b"P0=00",
    b"P0=0000000000000000",
    b"P10=00",
    b"P19=00",
    b"P0",
    b"pffff",
    b"Z9,0,0",
    b"Z0",
    b"m",
    b"M0,4",
    b"qCRC:",
    b"vFlashErase:",
    b"vFlashWrite:",
    b"m0,4" + b" " * 0x4000,
]
WITH_RTOS = [b"qSymbol:", b"qSymbol", b"qSymbol:zz", b"qSymbolic", b"qSymbol:20000000"]


UNANSWERED = [b"", b"j", b"jThreadsInfo", b"J"]


def accepted(desk: Desk) -> int:
    """How many connections the OpenOCD of the moment has taken at its GDB port."""
    return sum("accepting 'gdb'" in str(line["text"]) for line in desk.rig.ask("logs", "one", lines=1000)["lines"])


def test_nothing_malformed_ends_openocd_or_its_connection(desk: Desk) -> None:
    """Each is answered with an error, or as unknown, and the session goes on with the same OpenOCD on the same connection."""
    with closing(PlainClient(desk.port)) as client:
        pid, connections = desk.pid(), accepted(desk)
        for body in KILLING + DROPPED + UNANSWERED:
            assert client.ask(body) in (b"", b"E01", b"E05"), body
            assert len(client.ask(b"m20000000,4")) == 8, body
        assert (desk.pid(), accepted(desk)) == (pid, connections)
    assert desk.rig.faults() == []


@pytest.mark.parametrize("mode", ["hla"])
def test_a_packet_that_openocd_ends_the_connection_for_is_sent_twice_at_the_most(desk: Desk) -> None:
    """Nobody has read how large the registers are: OpenOCD has to find out, and gets no third chance."""
    with closing(PlainClient(desk.port, described=False)) as client:
        pid, connections = desk.pid(), accepted(desk)
        assert client.ask(b"P0=0000000000000000") == b"E01"
        assert len(client.ask(b"m20000000,4")) == 8
        assert (desk.pid(), accepted(desk)) == (pid, connections + 2)
    assert desk.rig.faults() == []


@pytest.mark.parametrize("mode", ["hla"])
def test_a_result_that_no_program_has_asked_for_lets_no_core_run(desk: Desk) -> None:
    """OpenOCD goes on after every `F`, whether its semihosting waits for one or not."""
    with closing(PlainClient(desk.port)) as client:
        assert b"semihosting is enabled" in hex_bytes(client.ask(monitor_request("arm semihosting enable")))
        assert client.say(encode(b"vCont;c") + b"\x03") == b"T02"
        stood = client.ask(b"pf")
        assert client.say(encode(b"F0") + encode(b"pf")) == stood
        assert client.ask(b"pf") == stood
        assert desk.sim.core() == "halted"


def test_what_is_well_formed_passes(desk: Desk) -> None:
    """All registers as they were read, each of its size, and every piece of what was announced."""
    with closing(PlainClient(desk.port)) as client:
        registers = client.ask(b"g")
        assert client.ask(b"G" + registers) == b"OK"
        for number in re.findall(rb'regnum="(\d+)"', client.description):
            value = client.ask(b"p%x" % int(number))
            assert client.ask(b"P%x=%b" % (int(number), value)) == b"OK", number
        size = len(client.description)
        assert client.ask(b"qXfer:features:read:target.xml:%x,fff" % size) == b"l"
        assert client.ask(b"qXfer:features:read:target.xml:%x,fff" % (size + 1)) == b"E01"
        assert client.ask(b"qXfer:memory-map:read::0,10") == b"l<memory-map>\n<me"
        assert client.ask(b"qXfer:memory-map:read::10,3000").endswith(b"</memory-map>\n")
        assert client.ask(b"qXfer:threads:read::0,10")[:1] == b"m"
        assert client.ask(b"qXfer:threads:read::10,fff")[:1] == b"l"
    assert desk.rig.faults() == []


@pytest.mark.parametrize("mode", ["hla"])
def test_with_an_rtos_no_question_for_symbols_ends_openocd(rig: Rig) -> None:
    """OpenOCD looks for the second colon without a look whether it is there (rtos.c rtos_qsymbol)."""
    desk = Desk(rig, openocd={"commands": ["stm32f4x.cpu configure -rtos FreeRTOS"]})
    with closing(PlainClient(desk.port)) as client:
        pid = desk.pid()
        assert client.ask(b"qSymbol::").startswith(b"qSymbol:")
        for body in WITH_RTOS:
            assert client.ask(body) == b"E01"
        assert client.ask(b"qSymbol::").startswith(b"qSymbol:")
        assert desk.pid() == pid
    assert desk.rig.faults() == []
