"""The policy: its defaults keep a session alive within GDB's own limits."""

import pytest

from ocdsup.rsp.policy import TRANSPARENT, Dialect, Policy

GDB_GIVES_UP = 6.0  # seconds: three tries of `remotetimeout`, seen with GDB 13.1


@pytest.mark.parametrize(("policy", "transparent"), [(Policy(), False), (TRANSPARENT, True), (Policy(Dialect.ANY), True)])
def test_only_the_dialect_makes_a_proxy_transparent(policy: Policy, transparent: bool) -> None:
    """In front of any other server every packet passes."""
    assert policy.transparent is transparent


def test_gdb_is_answered_well_before_it_gives_up() -> None:
    """An error in time keeps question and answer together."""
    assert Policy().answer_within <= GDB_GIVES_UP - 2.0


def test_nothing_longer_than_openocds_buffer_is_let_through() -> None:
    """OpenOCD ends the connection at a packet beyond its PacketSize of 0x4000."""
    assert Policy().request_limit == 0x4000
