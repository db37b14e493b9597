"""What is told about one probe."""

from ocdsup.probes.known import ST_LINK_V2
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
