"""The verbs against a real daemon: results on stdout, exit codes of the contract, no colour in a pipe."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pexpect
import pytest

from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE, Rig, gone, read_until

READING = [("status",), ("status", "--json"), ("why",), ("logs",), ("logs", "--json")]
NEEDING = [*READING, ("restart", "one"), ("stop", "one"), ("start", "one"), ("reload",), ("wait", "one")]


@pytest.mark.parametrize("words", NEEDING, ids=" ".join)
def test_without_a_daemon_every_verb_says_so_and_exits_3(rig: Rig, words: tuple[str, ...]) -> None:
    """One sentence on stderr with the next step, nothing on stdout."""
    done = rig.ocdsup(*words)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "ocdsup run" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_working_day(rig: Rig) -> None:
    """wait, status, why, logs, restart, restart under reset, stop, start, reload: each does it and exits 0."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    waited = rig.ocdsup("wait", "one")
    assert (waited.returncode, waited.stderr) == (0, "")
    assert "ready" in waited.stdout
    first = rig.status()["backend"]["pid"]
    shown = json.loads(rig.ocdsup("status", "--json").stdout)
    assert shown["benches"][0]["backend"]["pid"] == first
    assert "one: ready" in rig.ocdsup("status").stdout
    assert "Nothing is wrong now." in rig.ocdsup("why").stdout
    assert "Nothing is wrong now." in rig.ocdsup("why", "one").stdout
    lines = [json.loads(line) for line in rig.ocdsup("logs", "one", "-n", "500", "--json").stdout.splitlines()]
    assert {line["source"] for line in lines} == {"openocd", "ocdsup"}
    assert any("Cortex-M4" in line["text"] for line in lines)
    assert [line["text"] for line in lines if "DEPRECATED! use" in line["text"]] == []
    assert rig.ocdsup("restart", "one").returncode == 0
    second = rig.ready()["backend"]["pid"]
    assert second != first
    sim.control.log(clear=True)
    assert rig.ocdsup("restart", "one", "--under-reset").returncode == 0
    assert rig.ready()["backend"]["under_reset"] is True
    assert "nrst-low" in sim.events()
    assert rig.ocdsup("stop", "one").returncode == 0
    stopped = rig.status()
    assert (stopped["phase"], stopped["desired"], stopped["backend"]) == ("stopped", "down", None)
    assert not sim.control.status()[0]["open"]
    assert rig.ocdsup("start", "one").returncode == 0
    assert rig.ready()["fault"] is None
    assert "others untouched" in rig.ocdsup("reload").stdout


def test_wait_exits_4_when_the_bench_is_not_usable_in_time(rig: Rig) -> None:
    """The reason is in the sentence."""
    sim = rig.sim()
    sim.control.break_("unplugged")
    rig.run(one=rig.bench(sim))
    done = rig.ocdsup("wait", "one", "--timeout", "300ms")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "ocdsup why one" in done.stderr


def test_wait_returns_when_the_bench_becomes_usable(rig: Rig) -> None:
    """It is asked while the probe is away, and answers after the replug."""
    sim = rig.sim()
    sim.control.break_("unplugged")
    rig.run(one=rig.bench(sim))
    rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    waiting = rig.start("wait", [sys.executable, "-m", "ocdsup", "wait", "one", "--timeout", "1m"])
    sim.control.heal()
    assert waiting._process.wait(PATIENCE) == 0
    port = rig.ready()["ports"]["gdb"][0]
    assert waiting.output.read_text() == f"ready on :{port}\n"


def test_a_daemon_that_is_stopped_is_named_with_its_pid_and_how_to_let_it_go_on(rig: Rig) -> None:
    """Within the time limit of `wait`, and soon without one; afterwards it serves on."""
    sim = rig.sim()
    daemon = rig.run(one=rig.bench(sim))
    rig.ready()
    with rig.stalled():
        waited = rig.ocdsup("wait", "one", "--timeout", "100ms")
        asked = rig.ocdsup("status")
    assert (waited.returncode, asked.returncode) == (4, 1)
    for done in (waited, asked):
        assert done.stdout == ""
        assert f"PID {daemon.pid} " in done.stderr
        assert f"kill -CONT {daemon.pid}" in done.stderr
    assert rig.ocdsup("status").returncode == 0


def test_a_restart_under_reset_is_one_also_while_the_old_openocd_is_still_going(rig: Rig) -> None:
    """One that is stopped sits out the grace time of a `stop`; meanwhile somebody changes his mind."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    os.kill(rig.ready()["backend"]["pid"], signal.SIGSTOP)
    rig.start("stop", [sys.executable, "-m", "ocdsup", "stop", "one"])
    rig.until("be on its way down", lambda bench: bench["summary"].startswith("stopping OpenOCD"))
    assert rig.ocdsup("restart", "one", "--under-reset").returncode == 0
    seen = rig.ready()
    assert (seen["backend"]["under_reset"], seen["desired"]) == (True, "up")
    assert "nrst-low" in sim.events()


def test_a_bench_that_does_not_exist_exits_2_and_names_those_that_do(rig: Rig) -> None:
    """For every verb that takes one."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    for verb in ("restart", "stop", "start", "wait", "why", "logs", "status"):
        done = rig.ocdsup(verb, "two")
        assert done.returncode == 2, verb
        assert "one" in done.stderr
        assert done.stdout == ""


def test_logs_follow_shows_a_restart_as_it_happens(rig: Rig) -> None:
    """`-f` goes on until it is ended."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    following = rig.start("follow", [sys.executable, "-m", "ocdsup", "logs", "one", "-f", "-n", "1"])
    following.await_line("one", PATIENCE)
    rig.ask("restart", "one")
    following.await_line("ended:", PATIENCE)

    def since() -> list[str]:
        return following.output.read_text().partition("ended:")[2].splitlines()

    until(
        "see the bench come up", lambda: [line for line in since() if "bench_ready" in line], PATIENCE, alive=following._process
    )
    marks = ("launched", "backend_ready", "bench_ready")
    assert [mark for line in since() for mark in marks if f"ocdsup: {mark} " in line] == list(marks)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_nothing_that_is_read_through_a_pipe_has_colour(rig: Rig, env: dict[str, str]) -> None:
    """stdout of a pipe is for programs, with and without NO_COLOR."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    for words in READING:
        assert "\x1b" not in rig.ocdsup(*words, **env).stdout


def test_no_color_is_obeyed_on_a_terminal(rig: Rig) -> None:
    """The daemon's own log on a terminal, in words, without an escape sequence."""
    sim = rig.sim()
    rig.write(one=rig.bench(sim))
    argv = ["-m", "ocdsup", "run", "-c", str(rig.config_file)]
    child = pexpect.spawn(sys.executable, argv, timeout=PATIENCE, env=rig.environment())
    try:
        child.expect_exact("bench_ready")
        seen = str(child.before)
        child.sendintr()
        child.expect(pexpect.EOF)
        seen += str(child.before)
    finally:
        child.close()
    assert "\\x1b" not in seen
    assert "\x1b" not in seen
    assert child.exitstatus == 0


def test_the_socket_is_found_through_the_configuration(rig: Rig) -> None:
    """`-c FILE` names the daemon as well as `--socket` does."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    plain = {name: value for name, value in rig.environment().items() if name != "OCDSUP_SOCKET"}
    for words in (["-c", str(rig.config_file), "status"], ["--socket", str(rig.socket), "status"]):
        argv = [sys.executable, "-m", "ocdsup", *words]
        done = subprocess.run(argv, env=plain, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert "one: " in done.stdout


def test_the_control_socket_is_open_to_its_group_and_nobody_else(rig: Rig) -> None:
    """0660, from the first moment."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    assert rig.socket.stat().st_mode & 0o777 == 0o660


def test_garbage_on_the_control_socket_is_refused_and_the_daemon_serves_on(rig: Rig) -> None:
    """Not JSON, an unknown verb, a binary blob."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    for line in (b"hello\n", b'{"id": 1, "verb": "__class__"}\n', bytes(range(256)) + b"\n"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(rig.socket))
            sock.sendall(line)
            read_until(sock, b'"ok":false')
    assert rig.ready()


def test_evict_ends_a_holder_by_force_and_refuses_without(rig: Rig) -> None:
    """`holders: never` is the owner's word; `--force` is a person's."""
    sim = rig.sim()
    orphan = rig.orphan(sim)
    rig.run(one=rig.bench(sim, holders="never"))
    rig.until("be blocked by it", lambda bench: bench["phase"] == "blocked" and bench["probe"]["holders"])
    refused = rig.ocdsup("evict", "one")
    assert refused.returncode == 1
    assert str(orphan) in refused.stderr
    assert rig.ocdsup("evict", "one", "--force").returncode == 0
    gone(orphan)
    assert rig.ready()["fault"] is None
