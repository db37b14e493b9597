"""A resume that OpenOCD refuses is none: nothing runs, GDB can go on, and the core is left as the policy says."""

from __future__ import annotations

import socket

import pytest

from ocdsup.rsp.framing import encode
from tests.bench.rig import PATIENCE, read_until
from tests.sessions.desk import Desk, console, hits

REFUSED = [b"vCont", b"vCont;", b"vCont;zz", b"vCont;C5:1", b"vCont;r100,200", b"C05", b"S05", b"i", b"s!"]
ACCEPTED = [b"vCont;c:ffff", b"vCont;s:zz", b"vCont;C05:1"]  # OpenOCD does not look at the rest; the signal is left out


def attach_and_say(desk: Desk, body: bytes, reply: bytes) -> bytes:
    """Attach without a GDB, ask for a resume, hear the reply, which is returned, and go without a word."""
    with socket.create_connection(("127.0.0.1", desk.port), PATIENCE) as client:
        for request in (b"QStartNoAckMode", b"?"):
            client.sendall(encode(request))
            read_until(client, b"#")
        desk.core_is("halted")
        client.sendall(encode(body))
        return read_until(client, reply)


@pytest.mark.parametrize("mode", ["hla", pytest.param("dap", marks=pytest.mark.system)])
def test_the_core_runs_on_when_a_client_goes_after_a_malformed_resume(desk: Desk) -> None:
    """The client has the core halted and gets no stop; its end lets the core run."""
    for body in REFUSED:
        refusal = encode(b"E01" if body == b"s!" else b"")
        assert attach_and_say(desk, body, refusal).count(b"$") == 1
        desk.core_is("running")
        desk.sessions_are(0)
    for body in ACCEPTED:
        assert encode(b"") not in attach_and_say(desk, body, b"$"), "no refusal"
        desk.core_is("running")
        desk.sessions_are(0)
    assert desk.rig.launches() == 1, "OpenOCD outlived all of it"


@pytest.mark.parametrize("mode", ["hla"])
def test_a_signal_that_openocd_cannot_deliver_does_not_hang_gdb(desk: Desk) -> None:
    """`signal SIGINT` is a resume that OpenOCD refuses: the program goes on without, the user reads so, the breakpoint is hit.

    Directly on OpenOCD, GDB 13.1 then waits for ever and answers its user no more (seen).
    """
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    gdb.command('-interpreter-exec console "signal SIGINT"')
    assert 'func="blink"' in gdb.wait_stop(PATIENCE)
    assert "OpenOCD sends no signals to a target" in console(gdb)
