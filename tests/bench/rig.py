"""A bench PC for one test: simulated probes, the real daemon with the real OpenOCD, and real clients; all of it ends with it.

What holds in every test is checked when it ends: the daemon leaves with exit code 0 and without a complaint about itself, every
line of its log is one JSON object, and no process that was started by any of our children is left behind.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from ocdsup.cli.client import Client
from ocdsup.demo.stage import Program, StageError, is_alive, until
from ocdsup.errors import ControlError
from ocdsup.sim.client import SimClient

SERIAL = "066BFF555185754867211234"
PATIENCE = 60.0  # seconds: only a broken run gets there
MARK = "OCDSUP_TEST_RIG"
# Quick enough for tests; nothing in them depends on how quick.
QUICK = {
    "hang_timeout": "3s",
    "grace": "2s",
    "backoff": {"first": "100ms", "limit": "500ms"},
    "intensity": {"restarts": 100, "period": "1m"},
}
INTERFACE = {"hla": "interface/stlink.cfg", "dap": "interface/stlink-dap.cfg"}
# What makes OpenOCD use the simulator; on master `interface/stlink.cfg` too is dap-direct, and only the first word is right.
SERVER = "if {{[catch {{st-link backend tcp {port}}}]}} {{hla_stlink_backend tcp {port}}}"
COMPLAINTS = frozenset({"task_failed", "bench.step_failed", "backend_left_behind"})
Bench = dict[str, Any]


class Sim:
    """A running `ocdsup sim`: `control` breaks and heals it, `port` is where OpenOCD finds it."""

    def __init__(self, program: Program, control: Path) -> None:
        self.program = program
        line = program.await_line("simulated ST-LINK")
        self.port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
        self.control = SimClient(control)

    def events(self, serial: str | None = None) -> list[str]:
        """What the host did and what happened to the board, oldest first."""
        return [str(event["event"]) for event in self.control.log(serial)["events"]]

    def core(self, serial: str = SERIAL) -> str:
        """The state of the board's core, seen from the board; one that waits for an interrupt runs."""
        state = str(next(probe for probe in self.control.status() if probe["serial"] == serial)["core"])
        return "running" if state == "sleeping" else state


class Rig:
    """Starts programs in a folder of its own; the daemon that runs is `daemon`."""

    def __init__(self, folder: Path, mode: str = "hla") -> None:
        self.folder = folder
        self.mode = mode
        self.config_file = folder / "bench.yaml"
        self.socket = folder / "control.sock"
        self.daemon: Program | None = None
        self._mark = f"{MARK}={secrets.token_hex(8)}"
        self._programs: list[Program] = []

    # Programs

    def start(self, name: str, argv: list[str], **env: str) -> Program:
        """Start a program that ends with the rig."""
        name = f"{name}-{len(self._programs)}"
        program = Program(name, argv, self.folder, self.environment(**env))
        self._programs.append(program)
        return program

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of every child: marked, so that one that is left behind is found."""
        name, _, value = self._mark.partition("=")
        own = {name: value, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "OCDSUP_SOCKET": str(self.socket)}
        return dict(os.environ) | own | more

    def sim(self, *serials: str, board: str = "stm32f407") -> Sim:
        """Start a simulator with a probe for each serial, or one."""
        control = self.folder / f"sim-{len(self._programs)}.sock"
        named = [word for serial in serials or (SERIAL,) for word in ("--serial", serial)]
        argv = [
            sys.executable,
            "-m",
            "ocdsup",
            "sim",
            "--port",
            "0",
            "--board",
            board,
            "--control",
            str(control),
            *named,
        ]
        return Sim(self.start("sim", argv), control)

    def bench(self, sim: Sim, serial: str = SERIAL, **changes: Any) -> Bench:
        """The configuration of a bench on a simulated probe; `recovery` and `openocd` are changed, other keys replaced."""
        config: Bench = {
            "probe": {"vid_pid": "0483:374b", "serial": serial, "server": f"127.0.0.1:{sim.port}"},
            "openocd": {"config": [INTERFACE[self.mode], "target/stm32f4x.cfg"]} | changes.pop("openocd", {}),
            "ports": {"gdb": 0, "telnet": 0},
            "recovery": QUICK | changes.pop("recovery", {}),
        }
        return config | changes

    def write(self, **benches: Bench) -> None:
        """Write the configuration file."""
        self.write_text(json.dumps({"version": 1, "control": str(self.socket), "benches": benches}, indent=1))

    def write_text(self, text: str) -> None:
        """Write the configuration file as it stands."""
        self.config_file.write_text(text)
        self.config_file.chmod(0o600)

    def run(self, **benches: Bench) -> Program:
        """Start the daemon on these benches; returns when its control socket answers."""
        self.write(**benches)
        self.daemon = self.start("daemon", [sys.executable, "-m", "ocdsup", "run", "-c", str(self.config_file)])
        try:
            until("answer at the control socket", self._answers, PATIENCE, alive=self.daemon._process)
        except StageError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        return self.daemon

    def _answers(self) -> bool:
        try:
            return bool(self.ask("status"))
        except ControlError:  # bound, but not listening yet
            return False

    def ocdsup(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return self.done([sys.executable, "-m", "ocdsup", *words], **env)

    def done(self, argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            env=self.environment(**env),
            check=False,
        )

    # The daemon

    def ask(self, verb: str, bench: str | None = None, **args: Any) -> Any:
        """One control request."""
        with Client(str(self.socket)) as client:
            return client.request(verb, bench, args)

    def status(self, name: str = "one") -> Bench:
        """The snapshot of a bench."""
        benches: list[Bench] = self.ask("status")["benches"]
        return next(bench for bench in benches if bench["name"] == name)

    def until(self, what: str, true: Callable[[Bench], Any], name: str = "one", timeout_s: float = PATIENCE) -> Bench:
        """Wait until the snapshot satisfies `true`; returns it."""

        def look() -> Bench | None:
            bench = self.status(name)
            return bench if true(bench) else None

        try:
            found: Bench = until(what, look, timeout_s)
        except StageError as error:
            state = json.dumps(self.status(name), indent=1)
            raise AssertionError(f"{error}\n{state}\n{self.tail()}") from None
        return found

    def ready(self, name: str = "one") -> Bench:
        """Wait until the bench is ready; returns its snapshot."""
        return self.until("become ready", lambda bench: bench["phase"] == "ready", name)

    def recovered(self, times: int = 1, name: str = "one") -> Bench:
        """Wait until the bench is ready after so many recoveries; returns its snapshot."""

        def good(bench: Bench) -> bool:
            return bool(bench["phase"] == "ready" and bench["counters"]["recoveries"] >= times)

        return self.until(f"recover {times} time(s)", good, name)

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The daemon's log records, or those of one event."""
        assert self.daemon is not None
        *lines, _unfinished = self.daemon.output.read_text(errors="strict").split("\n")
        records = [json.loads(line) for line in lines]
        return [record for record in records if event is None or record["event"] == event]

    def launches(self, name: str = "one") -> int:
        """How often OpenOCD was started for a bench."""
        return sum(record["bench"] == name for record in self.log("launched"))

    def faults(self, name: str = "one") -> list[str]:
        """Every fault that was blamed, in order."""
        return [record["fault"] for record in self.log("fault") if record["bench"] == name]

    def tail(self, lines: int = 40) -> str:
        """The end of the daemon's log."""
        return self.daemon.tail(lines) if self.daemon is not None else ""

    # Clients

    def telnet(self, *lines: str, name: str = "one") -> str:
        """Pipe lines and `exit` through nc into the telnet port; returns what came back."""
        text = "".join(f"{line}\n" for line in (*lines, "exit"))
        argv = ["nc", "-q", "1", "localhost", str(self.status(name)["ports"]["telnet"])]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return done.stdout

    def tcl(self, line: str, name: str = "one") -> str:
        """The answer of OpenOCD's console to one line, without prompts."""
        return self.telnet(line, name=name).replace("> ", "").strip()

    # Other people's programs

    def openocd(self, sim: Sim, *commands: str, serial: str = SERIAL, ports: bool = True) -> Program:
        """An OpenOCD that somebody else starts on a probe; returns when it has it."""
        words = ["gdb_port 0", "telnet_port 0", "tcl_port 0", SERVER.format(port=sim.port), *commands]
        argv = ["openocd", "-f", INTERFACE[self.mode]]
        for word in (*words, f"adapter serial {serial}"):
            argv += ["-c", word]
        program = self.start("openocd", [*argv, "-f", "target/stm32f4x.cfg"])
        if ports:
            program.await_line("for gdb connections", PATIENCE)
        return program

    def orphan(self, sim: Sim, serial: str = SERIAL) -> int:
        """An OpenOCD whose IDE has died; returns its PID."""
        pidfile = self.folder / f"orphan-{len(self._programs)}.pid"
        words = [
            "gdb_port 0",
            "telnet_port 0",
            "tcl_port 0",
            SERVER.format(port=sim.port),
            f"adapter serial {serial}",
        ]
        argv = [
            "-f",
            INTERFACE[self.mode],
            *(part for word in words for part in ("-c", word)),
            "-f",
            "target/stm32f4x.cfg",
        ]
        script = f'openocd "$@" & echo $! > {pidfile}; wait'
        ide = self.start("ide", ["/bin/sh", "-c", script, "ide", *argv])
        try:
            ide.await_line("for gdb connections", PATIENCE)
        except StageError as error:
            raise AssertionError(f"{error}\n{ide.tail()}\n{self.tail()}") from None
        os.kill(ide.pid, signal.SIGKILL)
        return int(pidfile.read_text())

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """The bench PC is busy elsewhere: the daemon does not run for a while."""
        assert self.daemon is not None
        os.kill(self.daemon.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.daemon.pid, signal.SIGCONT)

    # The end

    def stop(self) -> int:
        """SIGTERM to the daemon; returns its exit code."""
        assert self.daemon is not None
        process, self.daemon = self.daemon._process, None
        process.terminate()
        return process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL to the daemon, as by the kernel when memory is short."""
        assert self.daemon is not None
        process, self.daemon = self.daemon._process, None
        process.kill()
        process.wait(PATIENCE)

    def close(self) -> None:
        """End everything, then say what did not hold."""
        wrong: list[str] = []
        if self.daemon is not None:
            records = self.log()
            wrong += [json.dumps(record) for record in records if record["event"] in COMPLAINTS]
            try:
                code = self.stop()
                wrong += [f"the daemon ended with exit code {code}"] if code else []
            except subprocess.TimeoutExpired:
                wrong.append("the daemon did not end")
        for program in reversed(self._programs):
            program.end()
        left = self.left_behind()
        wrong += [f"left behind: PID {pid} {command}" for pid, command in left.items()]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not wrong, "\n".join(wrong)

    def left_behind(self) -> dict[int, str]:
        """Living processes that carry our mark: children of children of whatever was started here."""
        return {pid: _command(pid) for pid in _marked(self._mark) if is_alive(pid)}

    def openocds(self) -> list[int]:
        """Living OpenOCD processes of this rig."""
        found = self.left_behind().items()  # the daemon's own were started by their full path
        return [pid for pid, command in found if command.partition(" ")[0].rpartition("/")[2] == "openocd"]


def _marked(mark: str) -> Iterator[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return (pid for pid in pids if mark.encode() in _environment(pid))


def _environment(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def gone(pid: int, timeout_s: float = PATIENCE) -> None:
    """Wait for the end of a process that is not our child."""
    until(f"see PID {pid} end", lambda: not is_alive(pid), timeout_s)


def snapshot_in(text: str) -> dict[str, Any]:
    """The JSON object in what a telnet client saw."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    return found


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection with a time limit."""
    return socket.create_connection((host, port), PATIENCE)


def read_until(sock: socket.socket, part: bytes, timeout_s: float = PATIENCE) -> bytes:
    """Everything up to and with `part`; fails with what came instead."""
    data = b""
    deadline = monotonic() + timeout_s
    while part not in data:
        sock.settimeout(max(0.01, deadline - monotonic()))
        try:
            more = sock.recv(65536)
        except TimeoutError:
            more = b""
        assert more, f"{part!r} did not come, but {data!r}"
        data += more
    return data


def number(pattern: str, text: str) -> int:
    """The number that the group of a pattern finds."""
    match = re.search(pattern, text)
    assert match is not None, text
    return int(match[1])
