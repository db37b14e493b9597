"""The stage: programs that end with it, waits that end in time, and the left-over OpenOCD of an IDE that died."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.demo.stage import Program, Stage, StageError, is_alive, until
from ocdsup.sim.faults import FAULTS


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage with nothing on it."""
    with Stage(0, 0) as made:
        yield made


def python(stage: Stage, code: str) -> Program:
    return stage.start("child", [sys.executable, "-SE", "-c", code])


def test_a_line_is_waited_for_and_found(stage: Stage) -> None:
    child = python(stage, "print('one'); print('two three', flush=True); import signal; signal.pause()")
    assert child.await_line("three") == "two three"


def test_a_program_that_ends_before_its_line_is_an_error_with_the_exit_code(stage: Stage) -> None:
    with pytest.raises(StageError, match="ended with exit code 7"):
        python(stage, "raise SystemExit(7)").await_line("never")


def test_the_tail_is_the_end_of_the_output(stage: Stage) -> None:
    child = python(stage, "for n in range(20): print(n)\nprint('end', flush=True)\nimport signal; signal.pause()")
    child.await_line("end")
    assert child.tail(2) == "19\nend"


def test_a_program_ends_with_the_stage() -> None:
    with Stage(0, 0) as stage:
        child = stage.start("sleeper", ["sleep", "1000"])
        assert is_alive(child.pid)
    assert not is_alive(child.pid)
    assert not stage.folder.exists()


def test_a_program_ends_with_a_stage_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, sys, pathlib; from ocdsup.demo.stage import Program;"
        "print(Program('sleeper', ['sleep', '1000'], pathlib.Path(sys.argv[1]), {'PATH': '/usr/bin:/bin'}).pid, flush=True);"
        "signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as stage:
        assert stage.stdout is not None
        pid = int(stage.stdout.readline())
        assert is_alive(pid)
        stage.kill()
    until("see it end", lambda: not is_alive(pid), 20.0)


def test_a_wait_returns_what_was_found_and_gives_up_in_time() -> None:
    seen = iter([None, 0, "found"])
    assert until("find it", lambda: next(seen), 20.0) == "found"
    with pytest.raises(StageError, match=r"cannot find it: it did not happen within 0 s"):
        until("find it", lambda: None, 0.0)


def test_alive_means_that_it_runs() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    assert is_alive(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid), "a zombie does not run"
    child.wait()
    assert not is_alive(child.pid)


def test_the_simulation_starts_tells_its_port_and_takes_faults(stage: Stage) -> None:
    assert "simulated ST-LINK" in stage.start_sim()
    assert stage.sim_port > 0
    assert "locked" in FAULTS
    stage.tell_sim({"break": "locked"})
    assert "locked" in str(stage.tell_sim({"status": True}))


@pytest.mark.bench
def test_the_left_over_openocd_has_lost_its_ide_and_ends_with_the_stage() -> None:
    with Stage(0, 0) as stage:
        stage.start_sim()
        pid = stage.orphaned_openocd()
        assert Path(f"/proc/{pid}/comm").read_text().startswith("openocd")
    assert not is_alive(pid)


@pytest.mark.bench
def test_the_daemon_answers_on_both_ports_and_can_be_stalled(stage: Stage) -> None:
    stage.start_sim()
    stage.start_daemon()
    bench = stage.await_bench("get the bench ready", lambda seen: seen["phase"] == "ready")
    assert bench["ports"]["gdb"][0] > 0
    assert '"benches"' in stage.telnet("ocdsup status --json")
    with stage.daemon_stalled():
        stat = Path(f"/proc/{stage.daemon.pid}/stat")
        until("see it stand still", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 20.0)
    assert stage.ask("status")["pid"] == stage.daemon.pid


def test_a_wait_for_the_bench_shows_what_did_not_happen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "bench", lambda: {"phase": "blocked", "summary": "blocked: no probe"})
    with pytest.raises(StageError, match=r"cannot get ready: it did not happen within 0 s; the bench says: blocked: no probe"):
        stage.await_bench("get ready", lambda seen: seen["phase"] == "ready", 0.0)
