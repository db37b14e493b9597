"""What is judged is what OpenOCD reads: for any bytes, no packet reaches it that was taken for another one."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ocdsup.rsp.framing import encode, unescape
from ocdsup.rsp.guard import Limits, refusal
from ocdsup.rsp.learned import Learned
from ocdsup.rsp.outputs import Output, ToBackend
from ocdsup.rsp.packets import monitor_request, name
from ocdsup.rsp.policy import BackendUp, Monitor, Policy
from ocdsup.rsp.proxy import Proxy
from tests.rsp.openocd_model import Board, OpenOcd
from tests.rsp.openocd_reading import known_as, packets_read

# What the proxy itself says, when a detach or a stop that got lost leaves the core to it.
OWN = [monitor_request(line) for line in ("halt", "resume", "[target current] curstate", "poll")]
TARGET = Learned(sizes=dict.fromkeys(range(17), 8), registers=2, ends={b"qXfer:features:read:target.xml": 0x100})
LIMITS = Limits(TARGET, packet=0x4000, image=True, listed=0x100)
EXEC = monitor_request("exec touch /tmp/x")
SEEDS = [
    EXEC, b"qRcmd,", b"m20000000,4", b"M20000000,2:aabb", b"X20000000,2:ab", b"X20000000,0:", b"X20000000,3:}]}\x03a",
    b"p1", b"P1=00000000", b"G00", b"g", b"?", b"!", b"D", b"k", b"R00", b"Hg0", b"T1", b"Z0,20000000,2",
    b"z1,8000000,2;X1,00", b"c", b"vCont?", b"vCont;c", b"vCont;s:1;c", b"vRun;6161", b"vFlashErase:8000000,400",
    b"vFlashWrite:8000000:abcd", b"vFlashDone", b"qCRC:0,4", b"qC", b"qSupported:multiprocess+", b"QStartNoAckMode",
    b"qXfer:threads:read::0,fff", b"qXfer:features:read:target.xml:0,ffb", b"qXfer:memory-map:read::0,ffb",
    b"qSearch:memory:0;4;ab", b"F0", b"", b"qSymbol::",
]  # fmt: skip
# Rows of a table that harm nobody when they are taken for an unknown query: OpenOCD answers them without a look at the target.
PLAIN_QUERIES = (
    b"qSupported", b"qSymbol", b"qC", b"qAttached", b"qOffsets", b"qfThreadInfo", b"qsThreadInfo", b"qThreadExtraInfo,",
)  # fmt: skip
ODD = [b"}", b"}}", b"}\x03", b"x", b"\x00", b"\x03"]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Return a packet's inside: a proper one with some bytes escaped, put in or taken out; no frame begins or ends in it."""
    body = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(["escape", "insert", "cut", "end"])):
            case "escape" if at < len(body):
                body[at : at + 1] = bytes((0x7D, body[at] ^ 0x20))
            case "insert":
                body[at:at] = draw(st.one_of(st.sampled_from(ODD), st.binary(max_size=3)))
            case "cut":
                del body[at : at + draw(st.integers(1, 3))]
            case _:
                del body[at:]
    return bytes(body).replace(b"#", b"").replace(b"$", b"")


@given(bodies())
def test_a_packet_that_passes_is_the_one_that_openocd_reads(body: bytes) -> None:
    """It is one packet, by the same name for both, and only the data of `X` and `vFlashWrite` stood otherwise on the wire."""
    if refusal(body, LIMITS) is not None:
        return
    (read,), rest = packets_read(encode(body))
    assert not rest
    known = known_as(read)
    if known not in PLAIN_QUERIES:
        assert name(body) == name(read)
        assert (known_as(body), name(body).name == "qRcmd") == (known, known == b"qRcmd,")
    if b"}" in body:
        head = b":".join(body.split(b":")[: {b"X": 1, b"vFlashWrite:": 2}[known]])
        assert read.startswith(head)
        assert read == unescape(body)
    else:
        assert read == body


class Wire:
    """A proxy with the model of OpenOCD behind it, and all that was sent there."""

    def __init__(self, policy: Policy) -> None:
        self.proxy, self.openocd = Proxy(policy), OpenOcd(Board())
        self.sent = b""
        self.carry(self.proxy.backend_ready(BackendUp(halted=True), 0.0))
        for body in (b"qSupported:multiprocess+", b"QStartNoAckMode", b"!", b"?"):
            self.carry(self.proxy.client_bytes(encode(body) + b"+", 0.0))

    def carry(self, outputs: Sequence[Output]) -> None:
        """Let the two talk until both are silent."""
        for output in outputs:
            if isinstance(output, ToBackend):
                self.sent += output.data
                if answer := self.openocd.feed(output.data):
                    self.carry(self.proxy.backend_bytes(answer, 0.0))


@given(st.lists(st.one_of(bodies().map(encode), st.binary(max_size=40)), max_size=6), st.lists(st.integers(1, 400), max_size=4))
def test_no_stream_of_bytes_smuggles_a_command_past_the_policy(pieces: list[bytes], places: list[int]) -> None:
    """With `monitor: off`, OpenOCD reads no command of the client, ends no connection and waits for the end of no packet."""
    wire = Wire(Policy(monitor=Monitor.OFF))
    ours = packets_read(wire.sent)[0]
    stream = b"".join(pieces)
    for part in (stream[a:b] for a, b in pairwise([0, *sorted(places), len(stream) + 400])):
        wire.carry(wire.proxy.client_bytes(part, 0.0))
    read, rest = packets_read(wire.sent)
    assert not rest
    assert EXEC not in read
    assert not [packet for packet in read[len(ours) :] if known_as(packet) == b"qRcmd," and packet not in OWN]
    assert read == [unescape(body) for body in wire.openocd.log]
