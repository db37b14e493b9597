"""The programs of the demonstration: the simulated probe, the daemon, and a left-over OpenOCD of an IDE that died."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from ocdsup.cli.client import Client
from ocdsup.errors import ControlError, OcdsupError

CONFIG = """\
version: 1
control: {control}
benches:
  demo:
    probe: {{vid_pid: "0483:374b", serial: "{serial}", server: "127.0.0.1:{sim_port}"}}
    openocd:
      config: [{interface}, target/stm32f4x.cfg]
    ports: {{gdb: {gdb}, telnet: {telnet}}}
"""
SERIAL = "066BFF555185754867211234"
START_S = 20.0
LONGEST_LINE = 65536
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class StageError(OcdsupError):
    """A program of the demonstration did not do its part."""


def _end_with(parent: int) -> Callable[[], None]:
    """What a child does before exec: be told to end when the thread that started it ends, `kill -9` included (prctl(2))."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return prepare


class Program:
    """A child process whose output goes to a file, ended by its pid or with us."""

    def __init__(self, name: str, argv: list[str], folder: Path, env: dict[str, str]) -> None:
        self.name = name
        self.output = folder / f"{name}.log"
        with self.output.open("wb") as out:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=env,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - it calls the kernel and nothing that takes a lock
            )
        self.pid = self._process.pid

    def await_line(self, part: str, timeout_s: float = START_S) -> str:
        """The first line that contains `part`. Raises StageError."""

        def look() -> str | None:
            text = self.output.read_text(errors="replace")
            return next((line for line in text.splitlines() if part in line), None)

        line: str = until(f"see {part!r} from {self.name}", look, timeout_s, alive=self._process)
        return line

    def tail(self, lines: int = 12) -> str:
        """The end of its output."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])

    def end(self) -> None:
        """SIGTERM, then SIGKILL; reaped when this returns."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=15)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def until(what: str, look: Callable[[], Any], timeout_s: float, *, alive: subprocess.Popen[bytes] | None = None) -> Any:
    """Look every 20 ms until `look` returns something true. Raises StageError when time is up or the program ended."""
    deadline = monotonic() + timeout_s
    waiter = socket.socketpair()  # a timeout without a busy loop, and without a sleep that cannot be interrupted
    try:
        waiter[0].settimeout(0.02)
        while True:
            ended = alive is not None and alive.poll() is not None  # before the look, which then sees its last words
            if found := look():
                return found
            if monotonic() > deadline:
                raise StageError(what, f"it did not happen within {timeout_s:g} s")
            if alive is not None and ended:
                raise StageError(what, f"the program ended with exit code {alive.returncode}")
            with suppress(TimeoutError):
                waiter[0].recv(1)
    finally:
        for end in waiter:
            end.close()


class Stage:
    """Everything the story acts on. Use as a context manager: nothing it started outlives it."""

    def __init__(self, gdb_port: int, telnet_port: int, *, dap: bool = False) -> None:
        self._ask_gdb, self._ask_telnet = gdb_port, telnet_port
        self._interface = "interface/stlink-dap.cfg" if dap else "interface/stlink.cfg"
        self._stack = ExitStack()
        self.folder = Path()
        self.sim: Program
        self.daemon: Program
        self.sim_port = 0

    def __enter__(self) -> Stage:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ocdsup-demo-")))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def control(self) -> Path:
        """The daemon's control socket."""
        return self.folder / "control.sock"

    @property
    def sim_control(self) -> Path:
        """The simulation's control socket."""
        return self.folder / "sim.sock"

    def start(self, name: str, argv: list[str]) -> Program:
        """Start a program that ends with the stage."""
        program = Program(name, argv, self.folder, dict(os.environ, PYTHONUNBUFFERED="1", NO_COLOR="1"))
        self._stack.callback(program.end)
        return program

    def start_sim(self) -> str:
        """Start the simulated ST-LINK and board; returns its announcement."""
        argv = [sys.executable, "-m", "ocdsup", "sim", "--port", "0", "--board", "stm32f407"]
        self.sim = self.start("sim", [*argv, "--serial", SERIAL, "--control", str(self.sim_control)])
        line = self.sim.await_line("simulated ST-LINK")
        self.sim_port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
        return line

    def start_daemon(self) -> None:
        """Write the configuration and start the daemon on it."""
        config = self.folder / "demo.yaml"
        config.write_text(
            CONFIG.format(
                control=self.control,
                serial=SERIAL,
                sim_port=self.sim_port,
                interface=self._interface,
                gdb=self._ask_gdb,
                telnet=self._ask_telnet,
            )
        )
        config.chmod(0o600)
        self.daemon = self.start("daemon", [sys.executable, "-m", "ocdsup", "run", "-c", str(config)])
        until("answer at the control socket", self._answers, START_S)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("status"))
        except ControlError:  # not there, or bound and not listening yet
            return False

    def ask(self, verb: str, **args: Any) -> Any:
        """One control request to the daemon."""
        with Client(str(self.control)) as client:
            return client.request(verb, None if verb == "status" else "demo", args)

    def bench(self) -> dict[str, Any]:
        """The snapshot of the only bench."""
        status: dict[str, Any] = self.ask("status")["benches"][0]
        return status

    def await_bench(self, what: str, true: Callable[[dict[str, Any]], Any], timeout_s: float = START_S) -> dict[str, Any]:
        """Wait until the snapshot satisfies `true`; returns it."""

        seen: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            seen.update(self.bench())
            return seen if true(seen) else None

        try:
            until(what, look, timeout_s)
        except StageError as error:
            raise StageError(what, error.why, f"the bench says: {seen['summary']}") from None
        return seen

    def tell_sim(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request over the simulation's control socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.sim_control))
            sock.sendall(json.dumps(request).encode() + b"\n")
            reply: dict[str, Any] = json.loads(sock.makefile().readline(LONGEST_LINE))
            return reply

    def telnet(self, line: str, timeout_s: float = 10.0) -> str:
        """Type one line and `exit` on the telnet bridge, as `printf … | nc` does, and return all it says."""
        port = self.bench()["ports"]["telnet"]
        with socket.create_connection(("127.0.0.1", port), timeout_s) as sock:
            sock.sendall(f"{line}\nexit\n".encode())
            return b"".join(iter(lambda: sock.recv(LONGEST_LINE), b"")).decode("ascii", "replace")

    @contextmanager
    def daemon_stalled(self) -> Iterator[None]:
        """The bench PC is busy elsewhere: the daemon does not run for a while."""
        os.kill(self.daemon.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.daemon.pid, signal.SIGCONT)

    def orphaned_openocd(self) -> int:
        """An IDE starts an OpenOCD of its own and dies; returns the PID of the OpenOCD that it leaves behind."""
        tcp = f"tcp {self.sim_port}"
        backend = f"if {{[catch {{st-link backend {tcp}}}]}} {{hla_stlink_backend {tcp}}}"  # master has no HLA in stlink.cfg
        ports = [part for word in ("gdb_port 0", "tcl_port 0", "telnet_port 0") for part in ("-c", word)]
        files = ["-f", self._interface, "-c", backend, "-f", "target/stm32f4x.cfg"]
        pidfile = self.folder / "ide-openocd.pid"
        script = f'openocd "$@" & echo $! > {pidfile}; wait'
        ide = self.start("ide", ["/bin/sh", "-c", script, "ide", *ports, *files])
        pid = int(until("see the IDE's OpenOCD", lambda: pidfile.exists() and pidfile.read_text().strip(), START_S))
        self._stack.callback(_end_pid, pid)
        ide.await_line("for gdb connections")
        os.kill(ide.pid, signal.SIGKILL)
        return pid


def _end_pid(pid: int) -> None:
    """End a process that the demonstration itself left behind, if the daemon did not."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
