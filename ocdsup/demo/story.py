"""The story that `ocdsup demo --once` plays: a list of steps, each a claim and the check that it is true."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from time import monotonic
from typing import Any

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import Stage, StageError, is_alive, until
from ocdsup.errors import OcdsupError

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline; `act` makes it happen, checks it, and returns what was seen."""

    claim: str
    act: Callable[[], str]


def firmware() -> Path:
    """The demo firmware's ELF file, as shipped in the package."""
    return Path(str(resources.files("ocdsup.sim").joinpath("firmware", "blink-f4.elf")))


def check(true: Any, what: str, seen: object) -> None:
    """Raise StageError unless `true`."""
    if not true:
        raise StageError(what, f"seen instead: {seen}")


class Story:
    """The steps and what they remember of each other."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._gdb: Gdb | None = None
        self._recoveries = 0

    def steps(self) -> list[Step]:
        """The timeline."""
        return [
            Step("a simulated ST-LINK with an STM32F407 behind it", self.stage.start_sim),
            Step("ocdsup starts OpenOCD on it and opens the stable ports", self._ready),
            Step("GDB attaches at the stable port and hits a breakpoint in the firmware", self._attach),
            Step("the telnet port answers `ocdsup status` and OpenOCD's own commands", self._telnet),
            Step("while the program runs, the firmware takes the SWD pins: the target stops answering", self._lock),
            Step("repeated polling failures: OpenOCD is restarted under reset, the core verified", self._recovered),
            Step("the same GDB session learns of the reset and hits its breakpoint again", self._told_and_hit),
            Step("OpenOCD is killed, and a left-over OpenOCD of a dead IDE has taken the probe", self._steal),
            Step("the stale holder is found, named and ended, and no other process", self._evicted),
            Step("the same GDB session goes on: the breakpoint set before is hit", self._hit_again),
            Step("GDB leaves, the core runs on, and a new session works as well", self._leave_and_return),
        ]

    def close(self) -> None:
        """End what the story itself holds."""
        if self._gdb is not None:
            self._gdb.close()

    def _ready(self) -> str:
        self.stage.start_daemon()
        bench = self.stage.await_bench("get the bench ready", lambda b: b["phase"] == "ready")
        check(bench["targets"], "see a target", bench)
        backend, gdb, telnet = bench["backend"], bench["ports"]["gdb"][0], bench["ports"]["telnet"]
        return f"OpenOCD {backend['version']} (PID {backend['pid']}), GDB :{gdb}, telnet :{telnet}"

    def _attach(self) -> str:
        port = self.stage.bench()["ports"]["gdb"][0]
        self._gdb = Gdb(firmware())
        self._gdb.command(f"-target-select extended-remote localhost:{port}")
        self._gdb.command("-break-insert -h blink")
        return self._run_to_breakpoint()

    def _session(self) -> Gdb:
        assert self._gdb is not None
        return self._gdb

    def _run_to_breakpoint(self) -> str:
        self._session().command("-exec-continue")
        return self._stopped_at(self._session().wait_stop())

    def _stopped_at(self, stop: str) -> str:
        check('reason="breakpoint-hit"' in stop, "hit the breakpoint", stop)
        counter = self._session().command("-data-evaluate-expression counter").partition('value="')[2].partition('"')[0]
        check(counter.isdigit(), "read the program's counter", counter)
        where = stop.partition('addr="')[2].partition('"')[0]
        return f"stopped in blink() at {where}, counter = {counter}"

    def _telnet(self) -> str:
        shown = self.stage.telnet("ocdsup status --json")
        start = shown.index("{")
        phase = json.JSONDecoder().raw_decode(shown[start:])[0]["benches"][0]["phase"]
        check(phase == "ready", "read the status over telnet", phase)
        targets = self.stage.telnet("targets")
        check("stm32f4x.cpu" in targets, "reach OpenOCD's console", targets)
        return "snapshot and `targets` both answered"

    def _lock(self) -> str:
        self._recoveries = len(self.stage.bench()["recoveries"])
        gdb = self._session()
        gdb.command("-break-disable 1")
        gdb.command("-exec-continue")
        self.stage.tell_sim({"break": "locked", "boots": 0})
        failed = self.stage.await_bench("see failed examinations", _failures)
        return f"OpenOCD reports it: {_failures(failed)} failed examination(s) so far"

    def _recovered(self) -> str:
        recovery = self._next_recovery()
        check(recovery["fault"] == "target-poll-failing", "recover from polling failures", recovery)
        check("restart-under-reset" in recovery["rungs"], "restart under reset", recovery)
        log = self.stage.tell_sim({"log": True})
        check("nrst" in json.dumps(log).lower(), "see NRST driven", log)
        bench = self.stage.bench()
        # `reset run` let it run; the debug session, told of the reset, has stopped it by now or is about to
        check(bench["targets"][0]["state"] in {"running", "halted"}, "leave the core in a known state", bench["targets"])
        return f"{', '.join(recovery['rungs'])} in {recovery['took_s']:g} s, core {bench['targets'][0]['state']}"

    def _told_and_hit(self) -> str:
        gdb = self._session()
        where = gdb.wait_stop()
        check(any("board was reset" in line for line in gdb.log), "hear of the reset", gdb.last())
        gdb.command("-break-enable 1")
        told = where.partition('func="')[2].partition('"')[0] or "the reset vector"
        return f"told of the reset, stopped in {told}; then {self._run_to_breakpoint()}"

    def _next_recovery(self) -> dict[str, Any]:
        bench = self.stage.await_bench(
            "recover", lambda b: b["phase"] == "ready" and len(b["recoveries"]) > self._recoveries, 40.0
        )
        self._recoveries = len(bench["recoveries"])
        recovery: dict[str, Any] = bench["recoveries"][-1]
        check(recovery["outcome"] == "recovered", "recover", recovery)
        return recovery

    def _steal(self) -> str:
        own = self.stage.bench()["backend"]["pid"]
        with self.stage.daemon_stalled():
            os.kill(own, signal.SIGKILL)
            self._thief = self.stage.orphaned_openocd()
        return f"OpenOCD (PID {own}) killed; PID {self._thief} has the probe"

    def _evicted(self) -> str:
        recovery = self._next_recovery()
        check("evict" in recovery["rungs"], "evict the holder", recovery)
        until("see the holder end", lambda: not is_alive(self._thief), 5.0)
        bench = self.stage.bench()
        check(bench["counters"]["evictions"] == 1, "end one process only", bench["counters"])
        return f"PID {self._thief} ended; {', '.join(recovery['rungs'])} in {recovery['took_s']:g} s"

    def _hit_again(self) -> str:
        return self._run_to_breakpoint()

    def _leave_and_return(self) -> str:
        self._session().command("-break-delete 1")
        self._session().command("-target-detach")
        self._session().close()
        self.stage.await_bench("see the core run on", lambda b: b["targets"][0]["state"] == "running", 5.0)
        return self._attach()


def _failures(bench: dict[str, Any]) -> int:
    return int(bench["counters"]["findings"].get("target-poll-failed", 0))


def play(stage: Stage, say: Say) -> bool:
    """Play the story on a stage; every line that is said is a checked fact. Returns whether all of it was true."""
    story = Story(stage)
    try:
        return _play(story, stage, say)
    finally:
        story.close()


def _play(story: Story, stage: Stage, say: Say) -> bool:
    began = monotonic()
    for step in story.steps():
        try:
            seen = step.act()
        except (OcdsupError, OSError, ValueError, KeyError, IndexError) as error:
            say(f"{monotonic() - began:7.2f} s  FAILED  {step.claim}")
            say(f"           {error}")
            _tell_logs(stage, say)
            return False
        say(f"{monotonic() - began:7.2f} s  ok      {step.claim}")
        say(f"                   {seen}")
    return True


def _tell_logs(stage: Stage, say: Say) -> None:
    """The last words of the programs that were started so far."""
    for program in ("sim", "daemon"):
        if hasattr(stage, program):
            say(f"--- end of the log of {program}\n{getattr(stage, program).tail()}")
