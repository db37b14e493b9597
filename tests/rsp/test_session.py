"""The session: what is sent to GDB is framed, and console text is cut to packets of a size that every GDB takes."""

from ocdsup.rsp.answers import Answers
from ocdsup.rsp.framing import Framer, Side, encode
from ocdsup.rsp.outputs import HALTED, Output, ToClient
from ocdsup.rsp.packets import text_of, text_packet
from ocdsup.rsp.policy import TRANSPARENT, Policy
from ocdsup.rsp.session import Session
from ocdsup.rsp.shadow import Shadow
from ocdsup.rsp.wires import ClientWire


def session(policy: Policy) -> Session:
    """Return a session of a GDB that has just connected."""
    return Session(policy, Shadow(), Answers(), ClientWire(0x4000))


def test_a_long_text_reaches_the_console_whole() -> None:
    """Ten thousand characters come in packets that GDB's buffer takes, in order."""
    out: list[Output] = []
    text = "".join(chr(ord("a") + n % 26) for n in range(10_000))
    session(Policy()).console(text, out)
    written = b"".join(output.data for output in out if isinstance(output, ToClient))
    frames = Framer(Side.SERVER).feed(written)
    assert "".join(text_of(frame.body) or "" for frame in frames) == text
    assert max(len(frame.raw) for frame in frames) <= 400 + 5


def test_a_stop_ends_an_interrupt_and_is_told_to_the_owner() -> None:
    """After a stop no interrupt is owed any more."""
    here, out = session(Policy()), list[Output]()
    here.interrupted, here.shadow.resume = True, b"c"
    here.stop(encode(b"T05"), out)
    assert out == [ToClient(encode(b"T05")), HALTED]
    assert (here.interrupted, here.shadow.running) == (False, False)


def test_a_log_line_keeps_what_is_not_noise() -> None:
    """Of two lines in one packet only the real one is printed."""
    out: list[Output] = []
    session(Policy()).log(encode(text_packet("halted: PC: 0x08000236\nreal\n")), out)
    assert out == [ToClient(encode(text_packet("real\n")))]


def test_the_transparent_policy_keeps_no_session() -> None:
    """In front of any server, its end is GDB's end, and nothing is done to the core."""
    assert session(TRANSPARENT).transparent
    assert not TRANSPARENT.keep_session
