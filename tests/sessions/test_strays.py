"""Who comes to the GDB port and is no debugger, or goes before it is one: the firmware runs on, and the next GDB gets in."""

from __future__ import annotations

import socket

import pytest

from ocdsup.demo.stage import until
from ocdsup.rsp.framing import encode
from tests.bench.rig import PATIENCE
from tests.sessions.desk import Desk, hits

HALTING = encode(b"qSupported:multiprocess+")


@pytest.mark.parametrize("stray", [b"+", b"-", b"\x03"], ids=["ack", "nack", "interrupt"])
def test_a_stray_byte_neither_halts_the_core_nor_keeps_gdb_out(desk: Desk, stray: bytes) -> None:
    """Its sender stays connected and silent, and a GDB debugs beside it."""
    with socket.create_connection(("127.0.0.1", desk.port), PATIENCE) as client:
        client.sendall(stray)
        gdb = desk.gdb()
        gdb.command("-break-insert -h blink")
        hits(gdb)
        assert desk.rig.ready()["targets"][0]["gdb_sessions"] == 1


def test_a_debugger_that_goes_before_it_is_attached_leaves_the_core_running(desk: Desk) -> None:
    """Ctrl-C in the middle of an attach: OpenOCD has halted the core for it already."""
    with socket.create_connection(("127.0.0.1", desk.port), PATIENCE) as client:
        client.sendall(HALTING)
        until("halt for the attach", lambda: desk.sim.core() == "halted", PATIENCE)
    desk.core_is("running")
    assert desk.rig.ready()["targets"][0]["gdb_sessions"] == 0
