"""`monitor: safe | off` at the telnet and the Tcl port: no keys and no bytes make OpenOCD start a program."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.bench.rig import Rig, connect, read_until

CTRL_U, CTRL_W, CTRL_P, CTRL_A = b"\x15", b"\x17", b"\x10", b"\x01"
UP, LEFT, HOME, DELETE = b"\x1b[A", b"\x1b[D", b"\x1b[H", b"\x1b[3~"


def edited(command: bytes) -> list[bytes]:
    """Ways to come to a line by keys, of which our own line editor knows some and OpenOCD's console others."""
    middle = len(command) // 2
    first, second = command[:middle], command[middle:]
    return [
        first + b"x\x08" + second,
        first + b"xy\x7f\x08" + second,
        b"halt" + CTRL_U + command,
        b"halt " + CTRL_W + command,
        b"halt" + CTRL_A + command + b"; ",
        second + HOME + first,
        b"halt" + LEFT * 4 + command + b"; ",
        b"halt" + HOME + DELETE * 4 + command,
        first + b"\x00" + second,
        first + b"\x1b[" + second,
        first + b"\xff\xf1" + second,
        first + b"x\xff\xf7" + second,
        b"halt\xff\xf8" + command,
        b"halt\xff\xf4" + command,
        b"halt\xff\xfa\x18\x01\xff\xf0;" + command,
        b"\x0b" + command + b"\t",
        b"halt\\\n" + command,
        b"halt {\n" + command + b"\n}",
        b"halt\r\x00" + command,
        b"halt\x0c" + command,
        b"halt" + b" " * 2551 + b";" + command,
        b"halt" + b" " * 4092 + command,
    ]


def spelled(command: bytes) -> list[bytes]:
    """Ways to put a command into a Tcl script beside one that is admitted."""
    return [
        command,
        b"halt\n" + command,
        b"halt;" + command,
        b"halt\r\n" + command,
        b"halt [" + command + b"]",
        b"\x00" + command,
        b"halt\x00;" + command,
        b" \x0c" + command,
        b"\xc2\xa0" + command,
        b"halt\xe2\x80\xa8" + command,
        b"\xff\xfehalt;" + command,
        b"halt \\\n;" + command,
        b"eval {" + command + b"}",
        b"tcl_notifications on;" + command,
        b"halt" + b" " * 5000 + b";" + command,
    ]


@pytest.mark.parametrize("policy", ["safe", "off"])
def test_no_key_and_no_spelling_gets_a_command_past_the_policy(rig: Rig, tmp_path: Path, policy: str) -> None:
    """OpenOCD's console edits lines and has a history: it gets only whole lines that were looked at, as they were looked at."""
    file = tmp_path / "touched"
    command = b"exec touch %s" % str(file).encode()
    rig.run(one=rig.bench(rig.sim(), monitor=policy, ports={"gdb": 0, "telnet": 0, "tcl": 0}))
    before = rig.ready()
    for end in (b"\r\n", b"\r\x00", b"\n", b"\r"):
        said = at_the_console(before["ports"]["telnet"], edited(command), end)
        assert b"`monitor: %s` of the configuration" % policy.encode() in said
    with connect(before["ports"]["tcl"]) as client:
        for script in spelled(command):
            client.sendall(script + b"\x1a")
            assert b"`monitor: %s` of the configuration" % policy.encode() in read_until(client, b"\x1a")
    assert not file.exists()
    assert rig.ready()["backend"]["pid"] == before["backend"]["pid"]


def test_full_lets_an_edited_line_pass(rig: Rig, tmp_path: Path) -> None:
    """What is refused above would start a program."""
    file = tmp_path / "touched"
    rig.run(one=rig.bench(rig.sim()))
    at_the_console(rig.ready()["ports"]["telnet"], edited(b"exec touch %s" % str(file).encode())[:1], b"\r\n")
    assert file.exists()


def at_the_console(port: int, lines: list[bytes], end: bytes) -> bytes:
    """Send the lines, each followed by what recalls the one before where there is a history; returns what is answered."""
    with connect(port) as client:
        for line in lines:
            client.sendall(line + end + UP + end + CTRL_P + end)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))
