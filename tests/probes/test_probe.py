"""What is told about one probe."""

import pytest

from ocdsup.probes.known import ST_LINK_V2, identify
from ocdsup.probes.probe import Node, Probe

MODEL = ST_LINK_V2


def test_a_replug_changes_the_identity_and_nothing_else_does() -> None:
    first, second = (Probe("0483:374b", "A", MODEL, "1-2", bus=1, device=number) for number in (4, 5))
    assert (first.identity, second.identity) == ("001/004", "001/005")


def test_a_claimed_interface_shows_even_if_the_holder_does_not() -> None:
    assert Probe("0483:374b", "A", MODEL, drivers=("usb-storage", "usbfs")).claimed
    assert not Probe("0483:374b", "A", MODEL, drivers=("usb-storage", "")).claimed
    assert Probe("0483:374b", "A", MODEL, server="127.0.0.1:7184", in_use=True).claimed


def test_only_nodes_that_openocd_opens_count_as_denied() -> None:
    usb, tty = Node("/dev/bus/usb/001/004", "usb"), Node("/dev/ttyACM0", "tty")
    assert Probe("0483:374b", "A", MODEL, nodes=(usb, tty)).denied == (usb,)


def test_a_raw_serial_is_shown_as_its_digits() -> None:
    raw = "\xaa\xbc\x6e\x06\x50\x75\xff\x55\x17\x42\x19\x3f"
    assert str(Probe("0483:3748", raw, MODEL, "1-2")) == "ST-LINK/V2 0483:3748 AABC6E065075FF551742193F at 1-2"


@pytest.mark.parametrize(("usable", "denied"), [((True, True), 0), ((True, False), 0), ((False, True), 0), ((False, False), 2)])
def test_a_probe_with_two_ways_in_is_denied_when_both_are(usable: tuple[bool, bool], denied: int) -> None:
    model = identify("0d28:0204")
    assert model is not None
    nodes = tuple(Node(f"/dev/{kind}", kind, usable=yes) for kind, yes in zip(("usb", "hidraw"), usable, strict=True))
    assert len(Probe("0d28:0204", "S", model, nodes=(*nodes, Node("/dev/ttyACM0", "tty"))).denied) == denied


@pytest.mark.parametrize(
    ("mode", "group", "missing"),
    [
        (0o660, "plugdev", "in the group plugdev"),
        (0o664, "root", "no udev rule"),
        (0o644, "plugdev", "no udev rule"),
    ],
)
def test_what_is_missing_is_named(mode: int, group: str, missing: str) -> None:
    assert missing in Node("/dev/bus/usb/001/004", "usb", mode, "root", group).missing
