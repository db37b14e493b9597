"""A client that ends OpenOCD is heard, however its command is cut up, and nobody else is."""

from __future__ import annotations

import pytest

from ocdsup.dropin.farewell import Farewell


def packet(command: str) -> bytes:
    """GDB's `monitor`."""
    return b"$qRcmd," + command.encode().hex().encode() + b"#00"


HEARD = [
    ("tcl", b"shutdown\x1a"),
    ("tcl", b"targets\x1ashutdown\x1a"),
    ("tcl", b"halt; catch {shutdown}\x1a"),
    ("tcl", b"if {1} {::shutdown}\x1a"),
    ("tcl", b"if {1} {halt} else {catch {shutdown}}\x1a"),
    ("tcl", b'set x "a [foreach y {1} {shutdown}]"\x1a'),
    ("telnet", b"shutdown\r\n"),
    ("telnet", b"\xff\xfd\x01\xff\xfb\x03targets\r\n  shutdown; \r\n"),
    ("gdb", packet("shutdown")),
    ("gdb", b"+$m0,4#fd" + packet("reset halt; shutdown")),
]
PASSED = [
    ("tcl", b"shutdown"),
    ("tcl", b"echo shutdown\x1a"),
    ("tcl", b"proc x {} {shutdown}\x1a"),
    ("tcl", b"exit\x1a"),
    ("tcl", b"set y [list {no shutdown}]; catch {puts shutdown}\x1a"),
    ("tcl", b"if {1} {shutdown\x1a"),
    ("tcl", b"mdw shutdown_flag\x1a"),
    ("telnet", b"echo shutdown\nexit\nshutdown_flag\n"),
    ("gdb", packet("reset halt")),
    ("gdb", packet("ocdsup status")),
    ("gdb", b"$qRcmd,736#00"),
    ("gdb", b"$X0,10:shutdown#00"),
    ("gdb", b"\x03+-"),
]


@pytest.mark.parametrize(("service", "data"), HEARD)
def test_the_end_is_heard_at_every_cut(service: str, data: bytes) -> None:
    assert Farewell(service).hears(data)
    for at in range(1, len(data)):
        one = Farewell(service)
        assert [one.hears(data[:at]), one.hears(data[at:])].count(True) == 1
    byte_by_byte = Farewell(service)
    assert sum(byte_by_byte.hears(bytes([byte])) for byte in data) == 1


@pytest.mark.parametrize(("service", "data"), PASSED)
def test_everything_else_passes_at_every_cut(service: str, data: bytes) -> None:
    for at in range(len(data) + 1):
        one = Farewell(service)
        assert not one.hears(data[:at])
        assert not one.hears(data[at:])


@pytest.mark.parametrize(("service", "end"), [("tcl", b"\x1a"), ("telnet", b"\n"), ("gdb", b"#00")])
def test_an_endless_command_is_not_kept(service: str, end: bytes) -> None:
    one = Farewell(service)
    for _ in range(10):
        assert not one.hears(b"$" + b"x" * 100_000)
    assert len(one._rest) <= 32768
    assert not one.hears(end)
