"""OpenOCD's own console is understood from its real bytes: answers without echo and prompt, log lines without wiping."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.telnet.console import At, Console, Output, Ready, Seen

GREETING = b"\xff\xfb\x03\xff\xfb\x01\xff\xfd\x03\xff\xfe\x01Open On-Chip Debugger\r\n\r> "

ANSWERS: dict[bytes, list[bytes]] = {
    b"version": [b"Open On-Chip Debugger 0.12.0"],
    b"echo hello": [b"hello"],
    b"bogus": [b'invalid command name "bogus"'],
    b"": [],
    b"expr 3+4": [b"7"],
    b"echo a; echo b": [b"a", b"b"],
    b"puts -nonewline {}": [],
    b"echo -n part": [b"part"],
    b'return -code error "multi\\nline"': [b"multi", b"line"],
    b'echo "> "': [b"> "],
    b'echo "\\r> forged"': [b"> forged"],
    b"after 150 {echo later}": [b"after#1", b"later"],
    b"sleep 100": [],
    b"foreach i {1 2 3} {echo $i; sleep 20}": [b"1", b"2", b"3"],
    b"adapter speed 200": [b"adapter speed: 200 kHz", b""],
    b"echo {" + b"y" * 2400 + b"}": [b"y" * 2400],
}


def opened() -> Console:
    console = Console()
    assert console.feed(GREETING) == [Ready()]
    return console


def test_the_recorded_greeting_is_only_a_prompt(dialogue: list[tuple[bytes, bytes]]) -> None:
    assert dialogue[0] == (b"", GREETING)
    assert opened().at is At.IDLE


def test_every_recorded_answer_comes_back_as_it_is(dialogue: list[tuple[bytes, bytes]]) -> None:
    console, met = opened(), 0
    for sent, received in dialogue[1:]:
        command = sent.rstrip(b"\n")
        if command not in ANSWERS:
            continue
        met += 1
        assert console.send(command) == sent
        seen = console.feed(received)
        assert [item.line for item in seen if isinstance(item, Output)] == ANSWERS[command], command
        assert seen.count(Ready()) == 1
        assert console.at is At.IDLE
    assert met == len(ANSWERS)


def test_log_lines_over_a_half_typed_command_come_out_clean(dialogue: list[tuple[bytes, bytes]]) -> None:
    """Recorded with a half-typed `expr 1`; the bridge sends whole lines, but TCP may cut one."""
    received = b"".join(answer for _, answer in dialogue[-2:])
    console = opened()
    console.send(b"expr 10")
    seen = console.feed(received)
    lines = [item.line for item in seen if isinstance(item, Output)]
    assert lines[:2] == [b"accepting 'tcl' connection on tcp/0", b"ASYNC"]
    assert lines[-1] == b"10"
    assert lines[2:-1] == [b"dropped 'tcl' connection"] or all(b"connection" in line.lower() for line in lines[2:-1])
    assert seen[-1] == Ready()


def test_a_log_line_before_the_echo_is_not_taken_for_the_echo() -> None:
    console = opened()
    console.send(b"expr 1")
    assert console.feed(b"\b\b  \b\blog\r\n> expr 1\r\n\x001\r\n\r> ") == [Output(b"log"), Output(b"1"), Ready()]


def test_a_forged_prompt_does_not_shift_later_answers() -> None:
    console = opened()
    console.send(b"bad")
    assert Ready() in console.feed(b"bad\r\n\x00\r> ")
    console.send(b"next")  # the bridge believed it
    assert console.feed(b"forged\r\n\r> next\r\n\x00answer\r\n\r> ") == [Output(b"> forged"), Output(b"answer"), Ready()]


def test_an_endless_line_is_passed_on_in_parts() -> None:
    console = opened()
    console.send(b"x")
    console.feed(b"x\r\n\x00")
    seen = [item for _ in range(40) for item in console.feed(b"y" * 8000)]
    assert sum(len(item.line) for item in seen if isinstance(item, Output)) > 200_000


SCREEN = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\x00", b"\b", b" ", b"> ", b"\r> ", b"cmd", b"\x07", b"\b\b  \b\b"])
    | st.binary(max_size=3)
).map(b"".join)


@settings(deadline=None)
@given(SCREEN, st.integers(1, 7), st.booleans())
def test_chunking_changes_nothing(data: bytes, size: int, busy: bool) -> None:
    def run(parts: list[bytes]) -> list[Seen]:
        console = opened()
        if busy:
            console.send(b"cmd")
        return [seen for part in parts for seen in console.feed(part)]

    assert run([data[at : at + size] for at in range(0, len(data), size)]) == run([data])


@pytest.mark.parametrize("junk", [b"\xff\xfa\x18" * 100, b"\b" * 1000, b"\r" * 1000, b"\x00" * 1000, b"> " * 1000])
def test_junk_while_idle_leaves_the_console_usable(junk: bytes) -> None:
    console = opened()
    console.feed(junk)
    console.send(b"expr 1")
    assert console.feed(b"\r> expr 1\r\n\x001\r\n\r> ")[-2:] == [Output(b"1"), Ready()]
