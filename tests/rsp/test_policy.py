"""The policy: its defaults keep a session alive within GDB's own limits."""

import pytest

from ocdsup.rsp.framing import encode
from ocdsup.rsp.outputs import ToClient
from ocdsup.rsp.policy import TRANSPARENT, Dialect, Policy
from ocdsup.rsp.proxy import Proxy

GDB_GIVES_UP = 6.0  # seconds: three tries of `remotetimeout`, seen with GDB 13.1


@pytest.mark.parametrize(("policy", "transparent"), [(Policy(), False), (TRANSPARENT, True), (Policy(Dialect.ANY), True)])
def test_only_the_dialect_makes_a_proxy_transparent(policy: Policy, transparent: bool) -> None:
    """In front of any other server every packet passes."""
    assert policy.transparent is transparent


@pytest.mark.parametrize(("policy", "name"), [(Policy(), "OpenOCD"), (TRANSPARENT, "the GDB server")])
def test_users_of_another_server_do_not_read_of_openocd(policy: Policy, name: str) -> None:
    """What is away is named."""
    proxy = Proxy(policy)
    proxy.client_bytes(encode(b"?") + encode(b"g"), 0.0)
    outputs = [output for second in range(40) for output in proxy.tick(float(second))]
    said = b"".join(output.data for output in outputs if isinstance(output, ToClient))
    assert b"E.ocdsup: " + name.encode() + b" is not there yet" in said


def test_gdb_is_answered_well_before_it_gives_up() -> None:
    """An error in time keeps question and answer together."""
    assert Policy().answer_within <= GDB_GIVES_UP - 2.0


def test_nothing_longer_than_openocds_buffer_is_let_through() -> None:
    """OpenOCD ends the connection at a packet beyond its PacketSize of 0x4000."""
    assert Policy().request_limit == 0x4000
