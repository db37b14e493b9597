"""The guard: nothing that makes OpenOCD end a connection or crash gets through, and nothing else is stopped."""

import pytest

from ocdsup.rsp.guard import Limits, foreign_greeting, refusal, register_sizes
from ocdsup.rsp.learned import Learned

TARGET = Learned(
    sizes=dict.fromkeys(range(42), 8) | {18: 2, 26: 16, 33: 8},
    registers=136,
    ends={b"qXfer:features:read:target.xml": 0x1800, b"qXfer:memory-map:read:": 0x180},
)
LIMITS = Limits(TARGET, packet=0x4000)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"p2a", b"E01"),
        (b"p29", None),
        (b"pzz", b"E01"),
        (b"P2a=00000000", b"E01"),
        (b"P1=00000000", None),
        (b"P1", b"E01"),
        (b"P1=00", b"E01"),
        (b"P1=0000000000000000", b"E01"),
        (b"P12=01", None),
        (b"P12=00000001", b"E01"),
        (b"P1a=0000000000000000", None),
        (b"P1=0000000x", b"E01"),
        (b"G" + b"00" * 68, None),
        (b"G00", b"E01"),
        (b"G" + b"00" * 69, b"E01"),
        (b"G", b"E01"),
        (b"Z5,20000000,4", b""),
        (b"Z99,20000000,4", b""),
        (b"z5,20000000,4", b""),
        (b"Z4,20000000,4", None),
        (b"Z1,8000234,2;X3,220027", None),
        (b"Z1,8000234", b"E01"),
        (b"Z", b"E01"),
        (b"m20000000", b"E01"),
        (b"m20000000,", b"E01"),
        (b"mxyz,4", b"E01"),
        (b"m20000000,4", None),
        (b"m0,ffffffff", b"E01"),
        (b"M20000000,2:aabb", None),
        (b"M20000000,2:aa", b"E01"),
        (b"M20000000,2:aab", b"E01"),
        (b"X20000000,2:ab", None),
        (b"X20000000,0:", None),
        (b"X20000000,2:a}\x03", None),
        (b"X20000000,3:ab", b"E01"),
        (b"X20000000,0:}", b"E01"),
        (b"X20000000,2:ab}", b"E01"),
        (b"X20000000,2:}}}}", b"E01"),
        (b"X20000000,2:}}a", b"E01"),
        (b"X}\x12,1:a", b"E01"),
        (b"X20000000", b"E01"),
        (b"vFlashErase:08000000,00004000", None),
        (b"vFlashErase:08000000", b"E01"),
        (b"vFlashWrite:08000000:\x00\xff", None),
        (b"vFlashWrite", b"E01"),
        (b"vFlashWrite:08000000:}\x03}]a", None),
        (b"vFlashWrite:08000000:a}", b"E01"),
        (b"vFlashWrite:08000000:}}", b"E01"),
        (b"vFlashDone", b"E05"),
        (b"vFlashDoneX", b"E01"),
        (b"}VFlashDone", b""),
        (b"vF}Lash", b""),
        (b"}QRcmd,72", b""),
        (b"q}rcmd,72", b""),
        (b"qRcmd,}\x17\x12", b"E01"),
        (b"qRcmdx,72", b"E01"),
        (b"qSearch:memory:20000000;4;}]", b""),
        (b"D}", b""),
        (b"Z0,20000000,2;}X", b"E01"),
        (b"vCont;c}", b""),
        (b"vContc", b""),
        (b"vRunaway", b"E01"),
        (b"vRun;6161;62", None),
        (b"QStartNoAckMode", None),
        (b"QStartNoAckModes", b"E01"),
        (b"qXfer:features:read:}]:0,4", b"E01"),
        (b"qCRC:0", b"E01"),
        (b"qRcmd,7", b"E01"),
        (b"qRcmd,72", None),
        (b"qXfer:features:read:target.xml:0,ffb", None),
        (b"qXfer:features:read:target.xml", b"E01"),
        (b"qXfer:features:read:target.xml:1800,ffb", None),
        (b"qXfer:features:read:target.xml:1801,ffb", b"E01"),
        (b"qXfer:features:read:target.xml:ffffffff,10", b"E01"),
        (b"qXfer:features:read:target.xml:0,ffffffff", b"E01"),
        (b"qXfer:features:read:other.xml:1,ffb", b"E01"),
        (b"qXfer:memory-map:read::180,ffb", None),
        (b"qXfer:memory-map:read::181,ffb", b"E01"),
        (b"qXfer:memory-map:read::0,ffffffff", b"E01"),
        (b"qXfer:threads:read::0,fff", None),
        (b"qXfer:threads:read::1,fff", b"E01"),
        (b"qSymbol::", None),
        (b"qSymbol:20000000:707843", None),
        (b"qSymbol::707843", None),
        (b"qSymbol:", b"E01"),
        (b"qSymbol", b"E01"),
        (b"qSymbol:zz", b"E01"),
        (b"qSymbolic::", b"E01"),
        (b"g", None),
        (b"vCont;c", None),
        (b"vCont;s:1;c", None),
        (b"vCont;C05:1", None),
        (b"vCont?", None),
        (b"vCont", b""),
        (b"vCont;", b""),
        (b"vCont;zz", b""),
        (b"czz", b"E01"),
        (b"c8000000", None),
        (b"vSomethingNew:1", None),
        (b"", b""),
        (b"jc", None),
        (b"jcx", b""),
        (b"j", b""),
        (b"Jc1", None),
        (b"Jc", b""),
        (b"X20000000,4001:" + b"a" * 0x4001, b"E01"),
    ],
)
def test_each_request_passes_or_is_answered(body: bytes, answer: bytes | None) -> None:
    """The answer of the table is given, or the request passes (None)."""
    assert refusal(body, LIMITS) == answer


def test_flash_done_passes_only_with_an_image() -> None:
    """`vFlashDone` reaches a backend only when that very backend has taken a `vFlashWrite`."""
    assert refusal(b"vFlashDone", Limits(TARGET, 0x4000, image=True)) is None


def test_without_a_description_only_the_classic_registers_pass() -> None:
    """Registers above 25 are refused while nobody has said that they exist, and so are all at once before they were read."""
    unknown = Limits(Learned(), 0x4000)
    assert [refusal(body, unknown) for body in (b"p19", b"p1a")] == [None, b"E01"]
    assert [refusal(body, unknown) for body in (b"P19=00000000", b"P10=" + b"00" * 12, b"P1a=00000000")] == [None, None, b"E01"]
    assert refusal(b"P1=00", unknown) == b"E01"
    assert refusal(b"G" + b"00" * 68, unknown) == b"E01"


def test_a_list_of_threads_is_read_on_as_far_as_it_was_read() -> None:
    """OpenOCD makes a new list for an offset that follows nothing, and reads behind its end if that is shorter."""
    begun = Limits(TARGET, 0x4000, listed=0xFFF)
    assert refusal(b"qXfer:threads:read::fff,fff", begun) is None
    assert refusal(b"qXfer:threads:read::1000,fff", begun) == b"E01"


@pytest.mark.parametrize(
    ("xml", "sizes"),
    [
        (b'<reg name="r0" bitsize="32" regnum="0"/><reg name="psp" regnum="92" bitsize="64"/>', {0: 8, 92: 16}),
        (b'<reg name="a" bitsize="1"/><reg name="b" bitsize="12"/>', {0: 2, 1: 4}),
        (b'<reg name="a" regnum="5"/><reg name="b"/>', {5: 8, 6: 8}),
        (b"<reg name='a' bitsize = '80' regnum='2' type='i387_ext'/>", {2: 20}),
        (b"<target/>", {}),
    ],
)
def test_the_description_says_which_registers_exist_and_how_large_they_are(xml: bytes, sizes: dict[int, int]) -> None:
    """Stated numbers count, others follow on (GDB manual G.2.7); a size is told in bits, a value in two digits a byte."""
    assert register_sizes(xml) == sizes


@pytest.mark.parametrize(
    ("junk", "who"),
    [
        (b"GET / HTTP/1.1\r\n", "an HTTP client"),
        (b"\x16\x03\x01", "a TLS client"),
        (b"SSH-2.0-x", "an SSH client"),
        (b"\xff\xfb\x03", "a telnet client"),
        (b"\r\n", None),
    ],
)
def test_other_protocols_are_known_by_their_greeting(junk: bytes, who: str | None) -> None:
    """HTTP, TLS, SSH and telnet are named; stray bytes are not."""
    assert foreign_greeting(junk) == who
