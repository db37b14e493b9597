"""Packets that no GDB would send, on the real OpenOCD: none gets past the policy, none ends OpenOCD or its connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocdsup.rsp.packets import monitor_request
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
