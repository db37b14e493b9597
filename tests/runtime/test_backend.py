"""One OpenOCD run: what its output means to the bench, what it is asked, and how it ends."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from ocdsup.core import events as ev
from ocdsup.errors import BackendError
from ocdsup.openocd import command, outage
from ocdsup.openocd.catalogue import load_builtin
from ocdsup.openocd.dialect import Version
from ocdsup.runtime import backend as module
from ocdsup.runtime.backend import UNKNOWN, LiveBackend, Order, Private
from ocdsup.runtime.log_ring import LogRing
from ocdsup.runtime.tasks import Tasks
from ocdsup.sim.server import SimServer
from tests.runtime import fake_openocd
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]
E = TypeVar("E", bound=ev.Event)
TOKEN = "ocdsup-ready-0123456789abcdef"
RUN = 7
V12 = Version(0, 12, 0)
HALTED = "0 {f4.cpu 0 halted}"


class Runs:
    """Starts backends and keeps what they post."""

    def __init__(self, folder: Path, until: Until) -> None:
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.ring = LogRing("nucleo")
        self.events: list[ev.Event] = []
        self.started: list[LiveBackend] = []
        self._folder = folder
        self._until = until

    def start(self, argv: list[str], version: Version, ports: command.Ports | None = None) -> LiveBackend:
        order = Order(RUN, argv, TOKEN, version, ports or command.Ports(), load_builtin())
        self.started.append(LiveBackend(order, self.events.append, self.ring, self.tasks, self.log))
        return self.started[-1]

    def fake(self, body: str = fake_openocd.WELL, ports: command.Ports | None = None, version: Version = V12) -> LiveBackend:
        """Start a program that passes for OpenOCD."""
        return self.start([fake_openocd.write(self._folder / "openocd", body), TOKEN], version, ports)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def event(self, kind: type[E], count: int = 1) -> E:
        """Wait for the n-th event of a kind."""
        await self._until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def texts(self) -> list[str]:
        """The recent lines."""
        return [str(line["text"]) for line in self.ring.last(1000)]

    async def end(self) -> None:
        for one in self.started:
            one.kill()
        await self._until(lambda: len(self.of(ev.BackendExited)) >= len(self.started))
        await self.tasks.cancel()
        assert self.log.named("task_failed") == []


@pytest.fixture
async def runs(tmp_path: Path, until: Until) -> AsyncIterator[Runs]:
    """A place to start backends in."""
    made = Runs(tmp_path, until)
    yield made
    await made.end()


# Becoming ready


async def test_a_start_is_told_with_its_process_and_its_whole_command_line(runs: Runs) -> None:
    started = runs.fake()
    assert runs.events[0] == ev.Launched(RUN, started.pid, (started._order.argv[0], TOKEN), "0.12.0")


async def test_ready_is_the_token_and_an_open_tcl_port_with_the_targets_by_name(runs: Runs) -> None:
    started = runs.fake('tcl(up("f4.cpu h7.cm7"), usual)')
    assert await runs.event(ev.BackendReady) == ev.BackendReady(RUN, ("f4.cpu", "h7.cm7"))
    assert (len(started.ports.gdb), bool(started.ports.telnet), bool(started.ports.tcl)) == (1, True, True)
    assert not any(TOKEN in text for text in runs.texts())


async def test_the_tcl_port_may_be_announced_behind_the_token(runs: Runs) -> None:
    """0.11 and later open it after all -c commands."""
    runs.fake('say(f"{TOKEN} f4.cpu")\nsock = listen("tcl")\nlisten("telnet")\ntcl(sock, usual)')
    assert (await runs.event(ev.BackendReady)).targets == ("f4.cpu",)


@pytest.mark.parametrize(
    "body",
    [
        'tcl(listen("tcl"), usual)',
        'say(f"{TOKEN} f4.cpu")\nsys.stdin.read()',
        'say(f"Info : {TOKEN} f4.cpu")\ntcl(listen("tcl"), usual)',
        'say(f"{TOKEN} f4.cpu")\ntcl(listen("tcl"), usual)',
    ],
    ids=["no token", "no Tcl port", "a token in a log line", "no telnet port"],
)
async def test_half_of_it_is_not_ready(runs: Runs, until: Until, body: str) -> None:
    runs.fake('say("hello")\n' + body)
    await until(lambda: any("tcl" in text or "hello" in text for text in runs.texts()))
    assert runs.of(ev.BackendReady) == []


async def test_every_gdb_port_is_known_in_the_order_of_the_targets(runs: Runs) -> None:
    started = runs.fake('a, b = listen("gdb"), listen("gdb")\ntcl(up("a b"), usual)')
    await runs.event(ev.BackendReady)
    assert len(set(started.ports.gdb)) == 3


async def test_a_port_that_is_announced_by_firmware_when_openocd_is_up_leads_nobody_there(runs: Runs, until: Until) -> None:
    """Semihosting output of the target stands among OpenOCD's own lines."""
    forged = "".join(f'say("Info : Listening on port {666} for {name} connections")\n' for name in ("gdb", "tcl", "telnet"))
    started = runs.fake(f'sock = up()\n{forged}say("Info : forged")\ntcl(sock, usual)')
    await runs.event(ev.BackendReady)
    await until(lambda: "Info : forged" in runs.texts())
    assert 666 not in {*started.ports.gdb, started.ports.tcl, started.ports.telnet}


async def test_an_openocd_that_announces_nothing_is_reached_at_the_ports_it_was_given(runs: Runs) -> None:
    """0.10."""
    assert Private.given(command.Ports(1, 2, 3)) == Private([1], 2, 3)
    assert Private.given(command.Ports()) == Private([], None, None)


async def test_a_tcl_port_that_refuses_is_logged_and_nothing_is_ready(runs: Runs, until: Until) -> None:
    runs.fake('listen("telnet")\nsock = listen("tcl")\nsock.close()\nsay(f"{TOKEN} f4.cpu")\nsys.stdin.read()')
    await until(lambda: runs.log.named("tcl_refused"))
    assert runs.of(ev.BackendReady) == []


async def test_a_program_that_cannot_be_started_is_an_error_and_posts_nothing(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="there is no such file"):
        runs.start([str(tmp_path / "missing")], Version(0, 12, 0))
    assert runs.events == []


# What it prints


async def test_a_known_symptom_is_told_and_an_unknown_warning_is_counted(runs: Runs, until: Until) -> None:
    runs.fake('say("Warn : the moon is full")\nsay("Info : so it is")\nsay("Error: open failed")\nsys.stdin.read()')
    await until(lambda: "Error: open failed" in runs.texts())
    found = {event.finding: event for event in runs.of(ev.LineFound)}
    assert found[UNKNOWN].text == "the moon is full"
    assert found[UNKNOWN].fault is None
    assert len(runs.of(ev.LineFound)) == 2
    assert "Info : so it is" in runs.texts()


async def test_the_voltage_is_told(runs: Runs) -> None:
    runs.fake('say("Info : Target voltage: 3.253164")\nsys.stdin.read()')
    assert await runs.event(ev.VoltageSeen) == ev.VoltageSeen(RUN, 3.253164)


async def test_lines_are_a_sign_of_life_but_not_each_of_them(runs: Runs, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIVE_S", 1000.0)
    runs.fake('for n in range(500): say(f"Info : {n}")\nsys.stdin.read()')
    await until(lambda: "Info : 499" in runs.texts())
    assert len(runs.of(ev.Alive)) == 1


async def test_a_failed_poll_that_nothing_follows_is_over_when_time_has_passed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HLA says one line and goes on as if nothing was: only silence tells that this was all."""
    monkeypatch.setattr(outage, "SETTLED_S", 0.05)
    runs.fake('say("Polling target f4.cpu failed, trying to reexamine")\nsys.stdin.read()')
    found = await runs.event(ev.LineFound, 2)
    assert (found.finding, found.target) == ("target-recovered", "f4.cpu")


async def test_silence_that_is_waited_for_ends_with_the_process(runs: Runs) -> None:
    runs.fake('say("Polling target f4.cpu failed, trying to reexamine")\nsys.exit(0)')
    await runs.event(ev.BackendExited)
    assert [event.finding for event in runs.of(ev.LineFound)] == ["poll-failed"]
    silence = runs.started[0]._silence
    assert silence is not None
    assert silence.cancelled()


async def test_the_echo_of_our_own_questions_stays_out_of_the_recent_lines(runs: Runs, until: Until) -> None:
    runs.fake('say("0 {f4.cpu 0 halted}")\nsay("0 ok")\nsay("hello")\nsys.stdin.read()')
    await until(lambda: "hello" in runs.texts())
    assert runs.texts() == ["hello"]


# What it is asked


async def test_a_heartbeat_that_is_answered_is_a_sign_of_life(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIVE_S", 1000.0)
    started = runs.fake()
    await runs.event(ev.BackendReady)
    before = len(runs.of(ev.Alive))
    started.beat()
    assert (await runs.event(ev.Alive, before + 1)).run == RUN


@pytest.mark.parametrize(
    ("answer", "states", "answers"),
    [
        (HALTED, (("f4.cpu", "halted"),), True),
        ("0 {a 0 running b 0 halted}", (("a", "running"), ("b", "halted")), True),
        ("0 {a 0 running b 1 unknown}", (("a", "running"), ("b", "unknown")), False),
        ("1 {invalid command name}", (), False),
        ("0 {}", (), False),
    ],
)
async def test_the_core_is_verified_by_what_every_target_answers(
    runs: Runs, answer: str, states: tuple[tuple[str, str], ...], answers: bool
) -> None:
    started = runs.fake(f'tcl(up(), lambda command: "{answer}" if "arp_poll" in command else usual(command))')
    await runs.event(ev.BackendReady)
    started.verify()
    assert await runs.event(ev.CoreVerified) == ev.CoreVerified(RUN, states, answers)


LOOK = """
def look(command):
    token = re.search("ocdsup-look-[0-9a-f]+", command)
    if token is None:
        return usual(command)
    if "examine" in command:
        say(token[0] + " a 0 halted b 1 reset ap 2 unknown")
    return ""

tcl(up("a b ap"), look)
"""


async def test_a_look_examines_those_that_are_named_and_is_not_in_the_log(runs: Runs) -> None:
    """Whatever OpenOCD remembers of a target that does not answer, it is unknown; a mem_ap has no core to ask."""
    started = runs.fake(LOOK)
    await runs.event(ev.BackendReady)
    started.verify(("b",))
    states = (("a", "halted"), ("b", "unknown"), ("ap", "unknown"))
    assert await runs.event(ev.CoreVerified) == ev.CoreVerified(RUN, states, answers=False, coreless=("ap",))
    assert [text for text in runs.texts() if "ocdsup-look" in text] == []


async def test_a_look_that_nobody_answers_says_so(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.05)
    started = runs.fake(LOOK.replace("say(token", "print('' and token"))
    await runs.event(ev.BackendReady)
    started.verify(("b",))
    assert await runs.event(ev.CoreVerified) == ev.CoreVerified(RUN, (), answers=False)


async def test_a_board_without_targets_needs_no_answer_of_a_core(runs: Runs) -> None:
    started = runs.fake('tcl(up(""), lambda command: "0 {}" if command else "")')
    await runs.event(ev.BackendReady)
    started.verify()
    assert await runs.event(ev.CoreVerified) == ev.CoreVerified(RUN, (), answers=True)


@pytest.mark.parametrize(("answer", "ok"), [("0 {}", True), ("1 {Target not examined}", False)])
async def test_an_examination_is_answered_by_whether_it_worked(runs: Runs, answer: str, ok: bool) -> None:
    started = runs.fake(f'tcl(up(), lambda command: "{answer}" if command else "")')
    await runs.event(ev.BackendReady)
    started.examine()
    assert await runs.event(ev.Examined) == ev.Examined(RUN, ok)
    assert ("Target not examined" in runs.texts()) is not ok


@pytest.mark.parametrize("answer", ["None", '"{"'], ids=["silence", "no list"])
async def test_a_question_without_a_usable_answer_is_answered_no(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.05)
    started = runs.fake(f'tcl(up(), lambda command: {answer} if command.startswith("list") else "")')
    await runs.event(ev.BackendReady)
    started.examine()
    assert await runs.event(ev.Examined) == ev.Examined(RUN, ok=False)
    assert runs.log.named("tcl_unanswered")


NEWS = """
sock = up({targets})
def each(command):
    if "tcl_notifications on" in command:
        return "\\x1a".join(["", "type target_state state halted", "type target_event event gdb-flash-write-start",
                            "type target_event event gdb-flash-write-end", "junk {{"])
    return usual(command)
tcl(sock, each)
"""


async def test_notifications_tell_the_state_of_the_only_target_and_that_flash_is_written(runs: Runs) -> None:
    runs.fake(NEWS.format(targets='"f4.cpu"'))
    await runs.event(ev.FlashBusy, 2)
    assert runs.of(ev.TargetSeen) == [ev.TargetSeen(RUN, "f4.cpu", "halted")]
    assert [event.busy for event in runs.of(ev.FlashBusy)] == [True, False]


TWO = """
sock = up("a b")
def each(command):
    if "tcl_notifications on" in command:
        return "\\x1atype target_event event halted"
    if "puts" in command:
        token = re.search("ocdsup-states-\\\\w+", command)[0]
        say("ocdsup-states-0 a 0 unknown")
        say(token + " {")
        say(token + " a 0 running b 0 {examine deferred}")
        return ""
    return usual(command)
tcl(sock, each)
"""


async def test_of_two_targets_a_notification_makes_us_ask_which_one_is_meant(runs: Runs) -> None:
    """The answer is a line with a word of ours, so that no GDB is shown it; another one with such a word is no answer."""
    runs.fake(TWO)
    await runs.event(ev.TargetSeen, 2)
    assert runs.of(ev.TargetSeen) == [ev.TargetSeen(RUN, "a", "running"), ev.TargetSeen(RUN, "b", "examine deferred")]
    assert [text for text in runs.texts() if "ocdsup-states" in text] == ["ocdsup-states-0 a 0 unknown"]


async def test_a_heartbeat_of_several_targets_asks_for_their_states(runs: Runs) -> None:
    started = runs.fake(TWO.replace("type target_event event halted", ""))
    await runs.event(ev.BackendReady)
    assert runs.of(ev.TargetSeen) == []
    started.beat()
    await runs.event(ev.TargetSeen, 2)
    assert [seen.target for seen in runs.of(ev.TargetSeen)] == ["a", "b"]


SILENT_RESET = """
sock = up("cpu")
answers = iter(["halted", "running"])
def each(command):
    if "puts" in command:
        say(re.search("ocdsup-states-\\\\w+", command)[0] + " cpu 0 " + next(answers, "asked too often"))
        return ""
    return usual(command)
tcl(sock, each)
"""


async def test_a_core_that_runs_without_a_word_is_seen_by_the_next_heartbeat(runs: Runs, until: Until) -> None:
    """The reset button behind a halted core: no event of OpenOCD tells of it."""
    started = runs.fake(SILENT_RESET)
    await runs.event(ev.BackendReady)
    for count in (1, 2):
        started.beat()
        await runs.event(ev.TargetSeen, count)
    started.beat()
    await until(lambda: len(runs.of(ev.Alive)) > 0)
    assert runs.of(ev.TargetSeen) == [ev.TargetSeen(RUN, "cpu", state) for state in ("halted", "running")]


SERVERS = """
for name in {named}:
    say("Info : starting gdb server for " + name + " on 0")
    listen("gdb")
listen("telnet")
sock = listen("tcl")
say(TOKEN + " {targets}")
tcl(sock, lambda command: "0 {{{without}}}" if "gdb-max-connections" in command else usual(command))
"""


@pytest.mark.parametrize(
    ("targets", "named", "without", "places"),
    [
        ("a b", ["a", "b"], "", {"a": 0, "b": 1}),
        ("b a", ["a", "b"], "", {"b": 1, "a": 0}),
        ("ap a b", ["a", "b"], "ap", {"a": 0, "b": 1}),
        ("a b", ["a"], "", {"a": 0, "b": 0}),
        ("a b", ["b"], "a", {"b": 0}),
    ],
    ids=["two", "another order", "a mem_ap", "a group", "a disabled one"],
)
async def test_every_target_is_found_by_the_name_openocd_said_before_its_port(
    runs: Runs, targets: str, named: list[str], without: str, places: dict[str, int]
) -> None:
    started = runs.fake(SERVERS.format(targets=targets, named=named, without=without))
    names = (await runs.event(ev.BackendReady)).targets
    assert started.ports.of(names) == {name: started.ports.gdb[place] for name, place in places.items()}


async def test_an_openocd_that_says_no_ports_serves_one_target_after_the_other(runs: Runs) -> None:
    """0.10: the ports are the ones it was given, and those that follow."""
    targets = 'sock = socket.create_server(("127.0.0.1", {tcl})); say(TOKEN + " ap a b")'
    answer = 'tcl(sock, lambda command: "0 ap" if "gdb-max-connections" in command else usual(command))'
    with socket.create_server(("127.0.0.1", 0)) as free:
        tcl = free.getsockname()[1]
    body = f"{targets.replace('{tcl}', str(tcl))}\n{answer}"
    started = runs.fake(body, command.Ports(3000, 4000, tcl), Version(0, 10, 0))
    assert started.ports.of((await runs.event(ev.BackendReady)).targets) == {"a": 3000, "b": 3001}


# Its end


async def test_an_exit_is_explained_by_its_last_words(runs: Runs) -> None:
    runs.fake('say("Error: open failed")\nsys.exit(1)')
    exited = await runs.event(ev.BackendExited)
    assert (exited.run, exited.status) == (RUN, "exit code 1")
    assert exited.fault is not None
    assert any("open failed" in line for line in exited.evidence)
    assert any("ended: exit code 1" in text for text in runs.texts())


async def test_the_last_line_counts_also_without_its_end(runs: Runs) -> None:
    runs.fake('sys.stdout.write("Error: open failed")\nsys.stdout.flush()\nsys.exit(1)')
    assert (await runs.event(ev.BackendExited)).fault is not None
    assert "Error: open failed" in runs.texts()


async def test_a_crash_is_told_by_its_signal(runs: Runs) -> None:
    runs.fake("os.kill(os.getpid(), signal.SIGSEGV)")
    assert (await runs.event(ev.BackendExited)).status == "SIGSEGV"


async def test_terminate_ends_our_connections_before_the_process(runs: Runs) -> None:
    started = runs.fake()
    await runs.event(ev.BackendReady)
    started.terminate()
    assert (await runs.event(ev.BackendExited)).status == "SIGTERM"


async def test_one_that_ignores_sigterm_is_killed(runs: Runs) -> None:
    started = runs.fake("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + fake_openocd.WELL)
    await runs.event(ev.BackendReady)
    started.terminate()
    started.kill()
    assert (await runs.event(ev.BackendExited)).status == "SIGKILL"


async def test_questions_that_are_open_when_it_ends_are_answered_no(runs: Runs) -> None:
    started = runs.fake('tcl(up(), lambda command: os._exit(3) if command.startswith("list") else "")')
    await runs.event(ev.BackendReady)
    started.examine()
    started.verify()
    assert (await runs.event(ev.Examined)).ok is False
    assert (await runs.event(ev.CoreVerified)).answers is False
    assert (await runs.event(ev.BackendExited)).status == "exit code 3"


# The real one


@pytest.mark.bench
async def test_the_real_openocd_gets_ready_is_verified_examined_and_ended(runs: Runs, sim: SimServer) -> None:
    spec = command.BackendSpec(config=("interface/stlink.cfg", "target/stm32f4x.cfg"), stlink_server_port=sim.port)
    version = Version(0, 12, 0)
    argv = command.argv(spec, version, command.LaunchProfile(after="halt"), command.Ports(), TOKEN)
    started = runs.start(argv, version)
    assert (await runs.event(ev.BackendReady)).targets == ("stm32f4x.cpu",)
    started.verify()
    assert await runs.event(ev.CoreVerified) == ev.CoreVerified(RUN, (("stm32f4x.cpu", "halted"),), answers=True)
    started.examine()
    assert (await runs.event(ev.Examined)).ok
    assert (await runs.event(ev.VoltageSeen)).volts > 3
    started.terminate()
    await runs.event(ev.BackendExited)
    assert len(started.ports.gdb) == 1
    assert [text for text in runs.texts() if "supervised" in text or "procedure" in text] == []
