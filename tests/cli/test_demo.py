"""`ocdsup demo`: options become a stage, the story's truth becomes the exit code. Played for real in tests/bench."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocdsup.cli import demo
from ocdsup.cli.main import main

AT = '"timestamp": "2026-11-21T06:11:07.493Z"'
READY = {"phase": "ready", "summary": "ready on :3333", "ports": {"gdb": [3333], "telnet": 4444}}


class Stage:
    """Stands in for the stage of the demonstration; `phase` is what its bench comes to."""

    made: list[Stage]
    phase = "ready"

    def __init__(self, gdb: int, telnet: int, *, dap: bool = False) -> None:
        self.asked = (gdb, telnet, dap)
        self.told: list[dict[str, Any]] = []
        self.ended = False
        self.control = self.sim_control = Path("/nowhere")
        self.daemon = self
        self.output = Path(os.devnull)
        Stage.made.append(self)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True

    def start_sim(self) -> str:
        return "simulated ST-LINK on 127.0.0.1:7184"

    def start_daemon(self) -> None:
        pass

    def await_bench(self, _what: str, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        bench = READY | {"phase": self.phase}
        assert true(bench)
        return bench

    def ask(self, verb: str) -> dict[str, str]:
        return {"text": f"the answer to {verb}"}

    def tell_sim(self, request: dict[str, Any]) -> None:
        self.told.append(request)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """The stages that the verb has made."""
    Stage.made = []
    monkeypatch.setattr(demo, "Stage", Stage)
    monkeypatch.setattr(demo, "_follow", lambda _stage: None)
    return Stage.made


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], (3333, 4444, False)),
        (["--once"], (0, 0, False)),
        (["--once", "--gdb-port", "5000", "--dap"], (5000, 0, True)),
        (["--telnet-port", "0"], (3333, 0, False)),
    ],
)
def test_the_usual_ports_are_for_people_and_any_free_ones_for_a_single_run(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch, words: list[str], asked: tuple[int, int, bool]
) -> None:
    monkeypatch.setattr(demo, "play", lambda _stage, _say: True)
    assert main(["demo", *words]) == 0
    assert stages[0].asked == asked
    assert stages[0].ended


@pytest.mark.parametrize(("true", "code", "said"), [(True, 0, "every step really happened"), (False, 1, "broke off")])
def test_the_exit_code_says_whether_the_story_was_true(
    stages: list[Stage],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    true: bool,
    code: int,
    said: str,
) -> None:
    def play(_stage: Stage, say: Callable[[str], None]) -> bool:
        say("a line of the story")
        return true

    monkeypatch.setattr(demo, "play", play)
    assert main(["demo", "--once"]) == code
    told = capsys.readouterr().out
    assert "a line of the story\n" in told
    assert said in told


def test_the_guide_names_what_can_be_typed(stages: list[Stage], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    told = capsys.readouterr().out
    assert "target extended-remote localhost:3333" in told
    assert "telnet localhost 4444" in told


@pytest.mark.parametrize(
    ("on_path", "there", "at", "typed"),
    [
        (True, True, "", "ocdsup"),
        (False, True, "", ".venv/bin/ocdsup"),
        (False, True, "elsewhere", "{root}/.venv/bin/ocdsup"),
        (False, False, "", "{root}/.venv/bin/python -m ocdsup"),
    ],
)
def test_the_guide_s_commands_can_be_typed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool, there: bool, at: str, typed: str
) -> None:
    """A clone has the command in its virtual environment only."""
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    (tmp_path / at).mkdir(exist_ok=True)
    if there:
        (folder / "ocdsup").write_text("#!/bin/sh\n")
        (folder / "ocdsup").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder) if on_path else "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / at)
    assert demo.command() == typed.format(root=tmp_path)


def test_a_fault_is_put_into_force_once_the_bench_is_up(stages: list[Stage]) -> None:
    assert main(["demo", "--fault", "silent"]) == 0
    assert stages[0].told == [{"break": "silent"}]


@pytest.mark.parametrize("words", [["--gdb-port", "65536"], ["--telnet-port", "-1"], ["--fault", "fire"]])
def test_what_cannot_be_asked_for_is_a_usage_error_before_anything_starts(
    stages: list[Stage], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", *words])
    assert caught.value.code == 2
    assert f"argument {words[0]}: " in capsys.readouterr().err
    assert stages == []


def test_a_bench_that_does_not_get_ready_is_4_with_the_diagnosis(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stage, "phase", "blocked")
    assert main(["demo"]) == 4
    assert capsys.readouterr().err == "the answer to why\n"
    assert stages[0].ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_what_the_daemon_does_until_a_signal_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    usual = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    log = tmp_path / "daemon.log"
    log.write_text("a decision\n")

    class Told:
        output = log

    class There:
        daemon = Told()

    shown = print

    def show(*words: str, **rest: Any) -> None:
        shown(*words, **rest)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(demo, "print", show, raising=False)
    try:
        demo._follow(There())  # type: ignore[arg-type]  # of the stage only the daemon's log is read
    finally:
        for one, old in usual.items():
            signal.signal(one, old)
    assert capsys.readouterr().out == "a decision\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            f'{{"bench": "demo", "pid": 7, "argv": ["x"], "event": "launched", "level": "info", {AT}}}',
            "06:11:07.493 launched pid=7",
        ),
        (
            '{"text": "a\\nb\\u001b[2J", "event": "fault", ' + AT + "}",
            "06:11:07.493 fault text=a b\\x1b[2J",
        ),
        ("no JSON \x1b[2J", "no JSON \\x1b[2J"),
        ("[1]", "[1]"),
        ("7", "7"),
        ('{"event": "early"}', '{"event": "early"}'),
    ],
)
def test_a_line_of_the_daemons_log_is_shown_for_people(line: str, shown: str) -> None:
    assert demo.readable(line) == shown
