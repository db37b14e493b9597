"""What was learned: replies that last are given again, those that do not are not."""

import pytest

from ocdsup.rsp.learned import Learned, lasting
from ocdsup.rsp.packets import name

TARGET = b"qXfer:features:read:target.xml:0,ffb"


@pytest.mark.parametrize(
    ("body", "lasts"),
    [
        (TARGET, True),
        (b"qXfer:memory-map:read::0,ffb", True),
        (b"qXfer:threads:read::0,ffb", False),
        (b"vCont?", True),
        (b"qC", False),
    ],
)
def test_what_belongs_to_the_configuration_lasts(body: bytes, lasts: bool) -> None:
    """Threads come and go; the chip stays."""
    assert lasting(name(body), body) is lasts


def test_a_reply_is_given_again_and_an_error_is_not() -> None:
    """The features are the same whatever GDB offers."""
    learned = Learned()
    learned.note(name(b"qSupported:a"), b"qSupported:a", b"PacketSize=4000")
    learned.note(name(TARGET), TARGET, b"E01")
    assert learned.reply(name(b"qSupported:b"), b"qSupported:b") == b"PacketSize=4000"
    assert learned.reply(name(TARGET), TARGET) is None


def test_the_sizes_of_registers_are_known_when_the_description_is_whole() -> None:
    """It comes in pieces."""
    learned = Learned()
    whole = b'<reg name="pc" bitsize="32" regnum="15"/>'
    for offset, reply in ((0, b"m" + whole[:10]), (10, b"l" + whole[10:])):
        body = b"qXfer:features:read:target.xml:%x,a" % offset
        learned.note(name(body), body, reply)
        assert bool(learned.sizes) is (offset > 0)
    assert learned.sizes == {15: 8}
