"""One session, whoever is away: every line is answered, nothing is dropped, the screen stays clean."""

import re
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.telnet.bridge import QUEUE_LIMIT, WAITING_LIMIT, Bridge
from ocdsup.telnet.effects import Away, Backend, Close, Effect, OwnCommand, ToBackend, ToClient

AWAY = Away("recovering", "target-poll-failing", 1.4)
GREETING = b"\xff\xfb\x03\xff\xfb\x01\xff\xfd\x03\xff\xfe\x01Open On-Chip Debugger\r\n\r> "


def text(effects: list[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, ToClient))


def up(bridge: Bridge) -> list[Effect]:
    return bridge.backend_up(Backend("0.12.0")) + bridge.backend_bytes(GREETING)


def ready() -> Bridge:
    """A session at the prompt of an OpenOCD that is up."""
    bridge = Bridge(AWAY)
    up(bridge)
    bridge.greet()
    return bridge


def test_a_client_that_waits_is_greeted_and_prompted() -> None:
    bridge = Bridge(AWAY)
    up(bridge)
    shown = text(bridge.greet())
    assert shown.startswith(b"Open On-Chip Debugger")
    assert shown.endswith(b"\r\n> ")
    assert bridge.greet() == []


def test_options_of_a_client_are_not_its_first_words() -> None:
    bridge = Bridge(AWAY)
    assert bridge.client_bytes(b"\xff\xfb\x1f") == [ToClient(b"\xff\xfe\x1f")]
    assert text(bridge.greet()).endswith(b"> ")


def test_a_script_that_speaks_first_gets_its_answer_and_nothing_else() -> None:
    """`printf 'ocdsup status --json\\nexit\\n' | nc …` must give JSON that a parser takes."""
    bridge = Bridge(AWAY)
    (own,) = bridge.client_bytes(b"ocdsup status --json\nexit\n")
    assert isinstance(own, OwnCommand)
    assert (own.words, own.verb, own.args) == (("ocdsup", "status", "--json"), "status", {"json": True})
    assert bridge.greet() == []
    assert bridge.own_answer(own.id, '{"a": 1}') == [ToClient(b'{"a": 1}\r\n'), Close()]


def test_a_line_goes_to_openocd_and_its_answer_comes_back_without_echo() -> None:
    bridge = ready()
    assert bridge.client_bytes(b"expr 1\r\n") == [ToBackend(b"expr 1\n")]
    assert bridge.backend_bytes(b"expr 1\r\n\x001\r\n\r> ") == [ToClient(b"1\r\n> ")]


def test_lines_wait_their_turn() -> None:
    bridge = ready()
    assert bridge.client_bytes(b"one\ntwo\n") == [ToBackend(b"one\n")]
    assert bridge.backend_bytes(b"one\r\n\x001\r\n\r> ") == [ToClient(b"1\r\n"), ToBackend(b"two\n")]
    assert bridge.backend_bytes(b"two\r\n\x002\r\n\r> ") == [ToClient(b"2\r\n> ")]


def test_the_supervisor_answers_while_a_command_of_openocd_hangs() -> None:
    bridge = ready()
    bridge.client_bytes(b"hang\n")
    (own,) = bridge.client_bytes(b"ocdsup why\n")
    assert isinstance(own, OwnCommand)
    assert bridge.own_answer(own.id, "one\ntwo") == [ToClient(b"one\r\ntwo\r\n")]


def test_lines_typed_while_openocd_is_away_are_answered_at_once_with_one_line() -> None:
    bridge = Bridge(AWAY)
    shown = text(bridge.client_bytes(b"targets\n"))
    assert shown == AWAY.sentence().encode() + b"\r\n> "
    newer = Away("backoff", "backend-exited", 0.2)
    assert bridge.backend_down(newer) == []
    assert text(bridge.client_bytes(b"targets\n")) == newer.sentence().encode() + b"\r\n> "


def test_the_session_survives_a_restart_and_says_so() -> None:
    bridge = ready()
    assert bridge.backend_down(AWAY) == [ToClient(b"\r\n" + AWAY.sentence().encode() + b"\r\n> ")]
    assert text(up(bridge)) == b"\r\nocdsup: OpenOCD is back (0.12.0)\r\n> "
    assert bridge.client_bytes(b"x\n") == [ToBackend(b"x\n")]


def test_a_command_cut_off_by_the_end_of_openocd_is_not_silent() -> None:
    bridge = ready()
    bridge.client_bytes(b"one\ntwo\n")
    shown = text(bridge.backend_down(AWAY))
    assert b"the answer to the last command is lost" in shown
    assert shown.count(b"OpenOCD is away") == 2  # the notice, and the answer to `two`
    assert shown.endswith(b"> ")


def test_exit_waits_for_every_pending_answer() -> None:
    bridge = ready()
    effects = bridge.client_bytes(b"ocdsup status\nexpr 1\nexit\nignored\n")
    own = next(effect for effect in effects if isinstance(effect, OwnCommand))
    assert Close() not in bridge.own_answer(own.id, "fine")
    assert bridge.backend_bytes(b"expr 1\r\n\x001\r\n\r> ") == [ToClient(b"1\r\n"), Close()]
    assert bridge.client_bytes(b"more\n") == []


@pytest.mark.parametrize("goodbye", [b"exit\n", b"quit\r\n", b"\x04"])
def test_goodbye_closes_an_idle_session(goodbye: bytes) -> None:
    assert ready().client_bytes(goodbye) == [Close()]


def test_the_end_of_input_delivers_what_is_pending() -> None:
    bridge = ready()
    bridge.client_bytes(b"expr 1\n")
    assert bridge.client_eof() == []
    assert bridge.backend_bytes(b"expr 1\r\n\x001\r\n\r> ") == [ToClient(b"1\r\n"), Close()]


def test_exit_ends_also_when_openocd_goes_away_meanwhile() -> None:
    bridge = ready()
    bridge.client_bytes(b"hang\nexit\n")
    assert bridge.backend_down(AWAY)[-1] == Close()


@pytest.mark.parametrize("line", [b"shutdown\n", b"reset; shutdown error\n", b"catch {shutdown}\n", b"set x [shutdown]\n"])
def test_shutdown_does_not_reach_the_supervised_openocd(line: bytes) -> None:
    effects = ready().client_bytes(line)
    assert not any(isinstance(effect, ToBackend) for effect in effects)
    assert b"`ocdsup stop`" in text(effects)


def test_words_that_only_contain_shutdown_do() -> None:
    assert ready().client_bytes(b"echo shutdown_later\n") == [ToBackend(b"echo shutdown_later\n")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"echo \xc3\xa9\n", b"not printable ASCII; nothing was executed"),
        (b"echo \xff\xff\n", b"not printable ASCII"),
        (b"x" * 2560 + b"\n", b"OpenOCD's console takes 2559; nothing was executed"),
        (b"x" * 5000 + b"\n", b"the limit is 4096, nothing was executed"),
    ],
)
def test_a_line_that_would_arrive_changed_is_refused(line: bytes, sentence: bytes) -> None:
    effects = ready().client_bytes(line)
    assert not any(isinstance(effect, ToBackend) for effect in effects)
    assert sentence in text(effects)


def test_a_tab_is_sent_as_a_space_because_openocd_would_complete_it() -> None:
    assert ready().client_bytes(b"echo a\tb\n") == [ToBackend(b"echo a b\n")]


def test_log_lines_between_commands_leave_the_prompt_behind() -> None:
    bridge = ready()
    assert bridge.backend_bytes(b"\b\b  \b\blater\r\n> ") == [ToClient(b"\r\nlater\r\n> ")]


def test_nothing_openocd_prints_steers_the_terminal() -> None:
    bridge = ready()
    bridge.client_bytes(b"x\n")
    assert bridge.backend_bytes(b"x\r\n\x00\x1b[2J\xff\r\n\r> ") == [ToClient(b"\\x1b[2J\\xff\r\n> ")]


@pytest.mark.parametrize(
    ("first", "kind"), [(b"GET / HTTP/1.1\r\n", "http"), (b"\x16\x03\x01", "tls"), (b"+$qSupported#37", "gdb")]
)
def test_other_protocols_are_cut_off_unanswered(first: bytes, kind: str) -> None:
    bridge = ready()
    assert bridge.client_bytes(first) == [Close(f"not a telnet client: {kind}")]
    assert bridge.client_bytes(b"\nexec id\n") == []


def test_floods_of_lines_are_refused_aloud() -> None:
    bridge = ready()
    assert text(bridge.client_bytes(b"x\n" * (QUEUE_LIMIT + 3))).count(b"lines are waiting already") == 2
    bridge = ready()
    effects = bridge.client_bytes(b"ocdsup why\n" * (WAITING_LIMIT + 2))
    assert sum(isinstance(effect, OwnCommand) for effect in effects) == WAITING_LIMIT
    assert text(effects).count(b"requests are waiting already") == 2


def test_control_c_drops_the_lines_that_wait() -> None:
    bridge = ready()
    bridge.client_bytes(b"one\ntwo\n\xff\xf4\xff\xfd\x06")
    assert bridge.backend_bytes(b"one\r\n\x00\r> ") == [ToClient(b"> ")]


def test_help_and_unknown_words_need_no_supervisor() -> None:
    assert b"ocdsup status [--json]" in text(ready().client_bytes(b"ocdsup help\n"))
    assert b"unknown word" in text(ready().client_bytes(b"ocdsup frobnicate\n"))


def test_an_answer_nobody_waits_for_is_ignored() -> None:
    assert ready().own_answer(99, "x") == []


TYPED = st.lists(
    st.sampled_from([b"ocdsup why\r\n", b"ocdsup\n", b"expr 1\r", b"\r\x00", b"\xff\xf4", b"\xff\xfd\x06", b"\x08", b"exit\n"])
    | st.binary(max_size=6)
).map(b"".join)  # fmt: skip


@settings(deadline=None)
@given(TYPED, st.integers(1, 7), st.booleans())
def test_chunking_changes_nothing(data: bytes, size: int, away: bool) -> None:
    """Prompts aside: they depend on when lines come. Replies to options come before the chunk's other output."""

    def run(parts: list[bytes]) -> tuple[list[Effect], bytes]:
        bridge = Bridge(AWAY) if away else ready()
        effects = [effect for part in parts for effect in bridge.client_bytes(part)]
        return [effect for effect in effects if not isinstance(effect, ToClient)], re.sub(rb"\xff..", b"", text(effects))

    assert run([data[at : at + size] for at in range(0, len(data), size)]) == run([data])


EVENTS: dict[str, Callable[[Bridge, bytes], list[Effect]]] = {
    "bytes": lambda bridge, data: bridge.client_bytes(data),
    "line": lambda bridge, data: bridge.client_bytes(b"expr 1\n"),
    "own": lambda bridge, data: bridge.client_bytes(b"\nocdsup why\n"),
    "up": lambda bridge, data: bridge.backend_down(AWAY) + up(bridge),
    "down": lambda bridge, data: bridge.backend_down(AWAY),
    "backend": lambda bridge, data: bridge.backend_bytes(data),
    "answer": lambda bridge, data: bridge.own_answer(data[0] if data else 1, "x"),
    "greet": lambda bridge, data: bridge.greet(),
}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.binary(max_size=8)), max_size=40))
def test_after_any_history_exit_closes_once_all_is_answered(history: list[tuple[str, bytes]]) -> None:
    bridge = Bridge(AWAY)
    effects = [effect for event, data in history for effect in EVENTS[event](bridge, data)]
    effects += bridge.backend_down(AWAY) + bridge.client_bytes(b"\n\x15exit\n")
    for request in [effect.id for effect in effects if isinstance(effect, OwnCommand)]:
        effects += bridge.own_answer(request, "x")
    closes = [effect for effect in effects if isinstance(effect, Close)]
    assert len(closes) == 1
    assert effects[-1] == closes[0]
    assert bridge.client_bytes(b"x\n") == []


def test_what_openocd_logs_before_the_first_line_is_not_shown() -> None:
    bridge = Bridge(AWAY)
    assert up(bridge) + bridge.backend_bytes(b"\b\b  \b\bnoise\r\n> ") == []


@pytest.fixture
def openocd(tmp_path: Path) -> Iterator[int]:
    """A real OpenOCD with the dummy adapter; yields its telnet port."""
    config = tmp_path / "dummy.cfg"
    config.write_text("adapter driver dummy\nadapter speed 100\njtag newtap a b -irlen 4\n")
    ports = "gdb_port disabled; tcl_port disabled; telnet_port 0; bindto 127.0.0.1"
    command = ["openocd", "-c", ports, "-f", str(config), "-c", "init; echo up"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        try:
            found = (re.search(rb"port (\d+) for telnet", line) for line in process.stderr)
            yield next(int(match[1]) for match in found if match)
        finally:
            process.kill()


@pytest.mark.bench
def test_a_real_openocd_answers_through_the_bridge(openocd: int) -> None:
    bridge = Bridge(AWAY)
    shown = bytearray()
    with socket.create_connection(("127.0.0.1", openocd), timeout=20) as backend:

        def perform(effects: list[Effect]) -> bool:
            shown.extend(text(effects))
            for effect in effects:
                if isinstance(effect, ToBackend):
                    backend.sendall(effect.data)
            return Close() in effects

        perform(bridge.backend_up(Backend("0.12.0")))
        done = perform(bridge.client_bytes(b"version\r\nexpr 1+2\r\necho {a\tb}\r\nbogus\r\nexit\r\n"))
        while not done:
            assert select.select([backend], [], [], 20)[0], shown
            done = perform(bridge.backend_bytes(backend.recv(65536)))
    lines = bytes(shown).replace(b"Open On-Chip Debugger 0.12.0", b"VERSION").split(b"\r\n")
    assert lines[-4:] == [b"3", b"a b", b'invalid command name "bogus"', b""]
    assert any(line.startswith((b"VERSION", b"Open On-Chip Debugger")) for line in lines)


def test_a_line_that_the_bench_does_not_allow_is_answered_with_the_reason_and_reaches_nobody() -> None:
    bridge = Bridge(AWAY, lambda line: "not today" if "exec" in line else "")
    up(bridge)
    effects = bridge.client_bytes(b"exec id\nocdsup why\ntargets\n")
    assert text(effects).startswith(b"ocdsup: not today; nothing was executed\r\n")
    assert [effect.data for effect in effects if isinstance(effect, ToBackend)] == [b"targets\n"]
    assert any(isinstance(effect, OwnCommand) for effect in effects)


@pytest.mark.parametrize("there", [False, True])
def test_a_client_of_the_process_before_is_told_and_prompted(there: bool) -> None:
    """It is not greeted again, and its first line here is not taken for that of a stranger."""
    bridge = Bridge(AWAY)
    if there:
        up(bridge)
    shown = text(bridge.taken_up())
    assert shown.startswith(b"\r\nocdsup: the supervisor was restarted")
    assert shown.endswith(b"\r\n> ")
    assert bridge.greet() == []
    assert (b"OpenOCD is back" in text(up(bridge))) is not there
    assert bridge.client_bytes(b"GET / HTTP/1.1\r\n") == [ToBackend(b"GET / HTTP/1.1\n")]


KEYS = st.sampled_from([b"\x10", b"\t", b"\x1b[A", b"\xff\xf7", b"\xff\xf8", b"\x0b", b"\x17"])


@settings(deadline=None)
@given(st.lists(TYPED, max_size=4), st.lists(KEYS, max_size=6))
def test_openocd_is_sent_the_very_lines_that_were_looked_at(parts: list[bytes], keys: list[bytes]) -> None:
    """Printable ASCII and one line end: nothing that its console would edit, complete or recall."""
    looked_at: list[str] = []

    def denied(line: str) -> str:
        looked_at.append(line)
        return ""

    bridge = Bridge(AWAY, denied)
    up(bridge)
    sent = b""
    for part in [*parts, *keys, b"\n"]:
        for effect in bridge.client_bytes(part):
            sent += effect.data if isinstance(effect, ToBackend) else b""
        while more := [effect.data for effect in bridge.backend_bytes(b"x\r\n\x00\r> ") if isinstance(effect, ToBackend)]:
            sent += b"".join(more)
    rest = iter(looked_at)  # ^C forgets lines that wait
    assert all(line in rest for line in sent.decode("ascii").split("\n")[:-1])
    assert sent.replace(b"\n", b"").decode("ascii").isprintable()
