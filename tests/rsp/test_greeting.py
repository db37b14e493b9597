"""The greeting: a client is a GDB from its first packet on, and one that says other things has to go."""

from ocdsup.rsp.greeting import Greeting


def test_the_first_packet_alone_makes_a_session() -> None:
    """It is told once, and nobody waits for it any more."""
    greeting = Greeting(until=5.0)
    assert [greeting.meet(), greeting.meet()] == [True, False]
    assert greeting.done
    assert greeting.until is None


def test_another_protocol_is_named_at_its_first_words() -> None:
    """A browser is told apart from line noise."""
    assert Greeting().stranger(b"GET / HTTP/1.1\r\n") == "an HTTP client does not speak the GDB remote protocol"


def test_noise_is_borne_up_to_a_limit() -> None:
    """256 bytes in all, in however many reads."""
    greeting = Greeting()
    assert [greeting.stranger(b"x" * 128), greeting.stranger(b"x" * 128)] == ["", ""]
    assert "does not speak" in greeting.stranger(b"x")
