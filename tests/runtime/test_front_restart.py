"""`ocdsup front` when the server behind it is killed and started again: what the user of a real GDB sees, with real servers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
PATIENCE = 60.0  # seconds: only a broken run gets there

HOSTED = """
volatile int counter;
int work(int n) { counter += n; return counter; }
int main(void) { for (int i = 0;; i++) { work(i); } }
"""
BARE = """
volatile int counter;
int work(int n) { counter += n; return counter; }
int main(void) { for (int i = 0;; i++) work(i); }
#ifdef USER
void _start(void) { main(); }
#else
__attribute__((section(".vectors"))) void *const vectors[] = {(void *)0x20008000, (void *)main};
#endif
"""
ARM = ("arm-none-eabi-gcc", "-g", "-O0", "-nostdlib")
BUILDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gdbserver": (HOSTED, ("gcc", "-g", "-O0", "-no-pie")),
    "qemu-arm": (BARE, (*ARM, "-DUSER", "-static", "-mcpu=cortex-a8", "-Ttext=0x10000")),
    "qemu-system-arm": (
        BARE,
        (*ARM, "-mcpu=cortex-m3", "-mthumb", "-Wl,--section-start=.vectors=0", "-Ttext=0x100", "-Tbss=0x20000000"),
    ),
}


def command(server: str, port: int, program: Path) -> list[str]:
    """Start a server on a program, or on none where GDB is to start it."""
    match server:
        case "gdbserver":
            return ["gdbserver", "--once", f"localhost:{port}", str(program)]
        case "multi":
            return ["gdbserver", "--multi", f"localhost:{port}"]
        case "qemu-arm":
            return ["qemu-arm", "-g", str(port), str(program)]
        case _:
            board = ["-M", "lm3s6965evb", "-display", "none", "-monitor", "none", "-serial", "none", "-S"]
            return ["qemu-system-arm", *board, "-kernel", str(program), "-gdb", f"tcp:127.0.0.1:{port}"]


def free_port() -> int:
    """A port that is free now and that no connection is given by chance while the server is away (ip_local_port_range)."""
    first = 20_000 + os.getpid() * 7 % 10_000
    for port in range(first, 32_000):
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def listens(port: int) -> bool:
    """Whether somebody serves a loopback port; asked without a connection, which `--once` would take for GDB's.

    With `--once` it listens no more as soon as the front is connected: then the port has that connection (state 1).
    """
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return any(int(row[1].rpartition(":")[2], 16) == port and row[3] in ("0A", "01") for row in rows)


class Scene:
    """A server, the front before it, and a GDB that stands at `work`."""

    def __init__(self, folder: Path, server: str, *before: str, there: bool = True, wait: str = "60") -> None:
        self.server, self.port = server, free_port()
        self.program = built(folder, "gdbserver" if server == "multi" else server)
        self._process: subprocess.Popen[bytes] | None = None
        if there:
            self.start()
        argv = [sys.executable, "-m", "ocdsup", "front", f"127.0.0.1:{self.port}", "--wait", wait]
        self._front = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._front.stdout is not None
        listening = int(re.findall(rb"port (\d+)", self._front.stdout.readline())[0])
        self.gdb = Gdb(self.program)
        for line in ("set sysroot /", *before):
            self.cli(line)
        kind = "extended-remote" if server == "multi" else "remote"
        self.target = f"target {kind} localhost:{listening}"
        if there:
            self.cli(self.target)

    def start(self) -> None:
        """Start the server; returns when it listens, or has already served the connection of a front that waited for it."""
        argv = command(self.server, self.port, self.program)
        null = subprocess.DEVNULL
        process = self._process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        until(f"see {argv[0]} listen", lambda: listens(self.port) or process.poll() == 0, PATIENCE)

    def kill(self) -> None:
        """`kill -9` for the server and its program."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def cli(self, line: str) -> None:
        """A line at GDB's own prompt."""
        self.gdb.command(f'-interpreter-exec console "{line}"', PATIENCE)

    def run_to_work(self) -> str:
        """Let the program run to the breakpoint; returns the stop."""
        self.cli("break work")
        return self.goes_on()

    def starts(self) -> str:
        """Have GDB start the program and let it run to the breakpoint; returns the stop."""
        self.gdb.command("-exec-run", PATIENCE)
        return self.gdb.wait_stop(PATIENCE)

    def goes_on(self) -> str:
        """Let the program run to its next stop."""
        self.gdb.command("-exec-continue", PATIENCE)
        return self.gdb.wait_stop(PATIENCE)

    def runs(self) -> None:
        """Let the program run, without a breakpoint."""
        self.cli("delete")
        before = self.ticks()
        self.gdb.command("-exec-continue", PATIENCE)
        until("see the program run", lambda: self.ticks() > before + 5, PATIENCE)

    def ticks(self) -> int:
        """How long the server and its program have used a CPU, in ticks (proc(5)); the programs here never sleep."""
        assert self._process is not None
        used = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                used += int(fields[11]) + int(fields[12]) if int(fields[3]) == self._process.pid else 0
        return used

    @property
    def seen(self) -> str:
        """All that GDB printed for its user."""
        return "\n".join(line for line in self.gdb.log if line[:1] in "~@&")

    def close(self) -> None:
        """End all of it."""
        self.gdb.close()
        self._front.terminate()
        self._front.communicate(timeout=PATIENCE)
        self.kill()
        assert self._front.returncode == 0


def built(folder: Path, server: str) -> Path:
    """The program that this server debugs."""
    source, argv = BUILDS[server]
    compiler = shutil.which(argv[0])
    assert compiler is not None, f"{argv[0]} is needed to build the program that is debugged"
    (folder / "debuggee.c").write_text(source)
    subprocess.run([compiler, *argv[1:], "-o", "debuggee", "debuggee.c"], cwd=folder, check=True, capture_output=True)
    return folder / "debuggee"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Make scenes that end with the test."""
    with made(tmp_path) as make:
        yield make


@contextmanager
def made(folder: Path) -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(*words: str, there: bool = True, wait: str = "60") -> Scene:
        scenes.append(Scene(folder, *words, there=there, wait=wait))
        return scenes[-1]

    try:
        yield make
    finally:
        for one in scenes:
            one.close()


SINGLE = "set remote multiprocess-feature-packet off"
NEW_RUN = [
    pytest.param(("gdbserver", SINGLE), id="gdbserver"),
    pytest.param(("qemu-arm",), id="qemu-arm", marks=pytest.mark.system),
    pytest.param(("qemu-system-arm",), id="qemu-system-arm", marks=pytest.mark.system),
]


@pytest.mark.parametrize("words", NEW_RUN)
def test_a_halted_gdb_goes_on_in_the_new_run(scene: Callable[..., Scene], words: tuple[str, ...]) -> None:
    """The first step tells that it is another run and shows where that stands; the breakpoint is hit there."""
    there = scene(*words)
    assert 'func="work"' in there.run_to_work()
    there.restart()
    there.gdb.command("-exec-step-instruction", PATIENCE)
    stop = there.gdb.wait_stop(PATIENCE)
    assert 'signal-name="SIGINT"' in stop
    assert 'func="work"' not in stop
    assert "its program is a new run" in there.seen
    assert 'func="work",args=[{name="n",value="0"}]' in there.goes_on()


@pytest.mark.parametrize("words", NEW_RUN)
def test_a_running_gdb_stops_in_the_new_run(scene: Callable[..., Scene], words: tuple[str, ...]) -> None:
    """Its user reads that the server went, and why the program stands."""
    there = scene(*words)
    there.run_to_work()
    there.runs()
    there.restart()
    assert 'signal-name="SIGINT"' in there.gdb.wait_stop(PATIENCE)
    assert "the GDB server is away" in there.seen
    assert "its program is a new run" in there.seen
    assert 'func="work",args=[{name="n",value="0"}]' in there.run_to_work()


GONE = 'reason="exited-signalled",signal-name="SIGKILL"'


@pytest.mark.parametrize("resume", ["continue", "next", "step-instruction"])
def test_a_halted_gdb_reads_that_its_process_is_gone(scene: Callable[..., Scene], resume: str) -> None:
    """Another process number: nothing of the new one is shown, and the first resume, from a breakpoint, ends the old one."""
    there = scene("gdbserver")
    there.run_to_work()
    there.restart()
    with pytest.raises(GdbError, match="Cannot access memory"):
        there.cli("print counter")
    assert 'func="work"' in there.gdb.command("-thread-info", PATIENCE)
    there.gdb.command(f"-exec-{resume} --thread 1", PATIENCE)
    assert GONE in there.gdb.wait_stop(PATIENCE)
    assert there.seen.count("went away and its program with it") == 1
    assert '=thread-group-exited,id="i1"' in there.gdb.log
    assert "SIGWAITING" not in there.seen
    assert "inferior 2" not in there.seen.lower()


def test_after_its_process_is_gone_gdb_connects_to_the_next_one(scene: Callable[..., Scene]) -> None:
    """The same GDB, the same port, once the server is started again: its breakpoint is hit there."""
    there = scene("gdbserver")
    there.run_to_work()
    there.restart()
    there.gdb.command("-exec-continue", PATIENCE)
    assert GONE in there.gdb.wait_stop(PATIENCE)
    there.restart()  # `--once`: it has served its one connection
    there.cli(there.target)
    there.gdb.wait_stop(PATIENCE, attach=True)  # GDB 13.1 still has the signal in mind that let it out of the step
    assert 'func="work",args=[{name="n",value="0"}]' in there.goes_on()


def test_a_running_gdb_reads_that_its_process_is_gone(scene: Callable[..., Scene]) -> None:
    """At once, because GDB listens."""
    there = scene("gdbserver")
    there.run_to_work()
    there.runs()
    there.restart()
    assert GONE in there.gdb.wait_stop(PATIENCE)
    assert "went away and its program with it" in there.seen


def test_a_stepping_gdb_reads_that_its_process_is_gone_and_is_at_one_with_the_next(scene: Callable[..., Scene]) -> None:
    """Nothing of the step is left: a breakpoint is set and hit in the next program."""
    there = scene("gdbserver")
    there.run_to_work()
    there.cli("delete")
    before = there.ticks()
    there.gdb.command("-exec-step-instruction 10000000", PATIENCE)
    until("see it step", lambda: there.ticks() > before + 5, PATIENCE)
    there.restart()
    assert GONE in there.gdb.wait_stop(PATIENCE)
    assert "went away and its program with it" in there.seen
    there.restart()
    there.cli(there.target)
    there.gdb.wait_stop(PATIENCE, attach=True)
    assert 'func="work",args=[{name="n",value="0"}]' in there.run_to_work()


@pytest.mark.parametrize("running", [False, True], ids=["halted", "running"])
def test_a_gdb_that_starts_programs_starts_the_next_one(scene: Callable[..., Scene], running: bool) -> None:
    """`gdbserver --multi`: the connection stays, `run` works again, and the breakpoint is set there."""
    there = scene("multi")
    there.cli(f"set remote exec-file {there.program}")
    there.cli("break work")
    there.starts()
    if running:
        there.runs()
    there.restart()
    if running:
        assert GONE in there.gdb.wait_stop(PATIENCE)
        there.cli("break work")
    assert 'func="work",args=[{name="n",value="0"}]' in there.starts()


@pytest.mark.parametrize("word", ["kill", "detach"])
def test_a_gdb_that_leaves_a_gone_process_is_free_again(scene: Callable[..., Scene], word: str) -> None:
    """Nothing of it reaches the new server, where the next program starts."""
    there = scene("multi")
    there.cli(f"set remote exec-file {there.program}")
    there.cli("break work")
    there.starts()
    there.restart()
    there.cli("monitor help")  # while the front is not yet at the new server, to leave would be to end the session
    assert "monitor commands are supported" in there.seen, "the new server has answered"
    there.cli(word)
    assert 'func="work",args=[{name="n",value="0"}]' in there.starts()


@pytest.mark.parametrize("running", [False, True], ids=["halted", "running"])
def test_a_non_stop_session_ends_with_its_server(scene: Callable[..., Scene], running: bool) -> None:
    """GDB says that the connection was closed, as it does without the front."""
    there = scene("gdbserver", "set non-stop on")
    there.gdb.wait_stop(PATIENCE)
    assert 'func="work"' in there.run_to_work()
    if running:
        there.runs()
    there.restart()
    until("read of the end", lambda: "Remote connection closed" in there.seen, PATIENCE)


CLOSED = "Remote connection closed"


@pytest.mark.parametrize("running", [False, True], ids=["halted", "running"])
def test_a_gdb_whose_server_does_not_come_back_reads_that_its_connection_was_closed(
    scene: Callable[..., Scene], running: bool
) -> None:
    """After the time that it is told, and in its own words: an IDE shows no running program for ever."""
    there = scene("gdbserver", wait="2")
    there.run_to_work()
    if running:
        there.runs()
    there.kill()
    if not running:
        there.gdb.send("-exec-continue")
    until("read the end", lambda: CLOSED in there.seen, PATIENCE)
    assert "the program goes on when it is back, or the session ends in 2 s" in there.seen
    until("hear of the end", lambda: '=thread-group-exited,id="i1"' in there.gdb.log, PATIENCE)


def test_a_pause_in_vain_ends_the_session(scene: Callable[..., Scene]) -> None:
    """There is nothing that could be stopped, and its user wants to be told so: not at the end of a minute."""
    there = scene("gdbserver", wait="600")
    there.run_to_work()
    there.runs()
    there.kill()
    until("read of the loss", lambda: "is away" in there.seen, PATIENCE)
    there.gdb.command("-exec-interrupt", PATIENCE)
    until("read the end", lambda: CLOSED in there.seen, PATIENCE)
    assert "the interrupt is delivered when it is back, or the session ends in 4 s" in there.seen


@pytest.mark.parametrize("word", ["detach", "kill"])
def test_leaving_a_server_that_is_away_ends_the_session_at_once(scene: Callable[..., Scene], word: str) -> None:
    """With the words that GDB has without the front, and not with "Can't detach process" after four seconds."""
    there = scene("gdbserver")
    there.run_to_work()
    there.kill()
    with pytest.raises(GdbError, match=CLOSED):
        there.cli(word)


def test_without_a_wait_the_session_ends_with_its_server(scene: Callable[..., Scene]) -> None:
    """`--wait 0`: a halted GDB reads it in the answer to its next question, as without the front."""
    there = scene("gdbserver", wait="0")
    there.run_to_work()
    there.kill()
    with pytest.raises(GdbError, match=CLOSED):
        there.cli("print counter")


def test_a_gdb_that_comes_before_the_server_waits_for_it(scene: Callable[..., Scene]) -> None:
    """For longer than the 6 s after which GDB gives up by itself, and the attach is then as any."""
    there = scene("gdbserver", "set debug remote 1", there=False)
    there.gdb.send(f'-interpreter-exec console "{there.target}"')
    until("hold GDB for 8 s", lambda: "\n".join(there.gdb.log).count("oocd_keepalive") >= 8, PATIENCE)
    there.start()
    there.gdb.result(there.target, PATIENCE)
    there.cli("set debug remote 0")
    assert 'func="work",args=[{name="n",value="0"}]' in there.run_to_work()


@pytest.mark.system  # half a minute
def test_a_gdb_whose_server_never_comes_reads_so(scene: Callable[..., Scene]) -> None:
    """After half a minute, in the error of the very command that attaches."""
    there = scene("gdbserver", there=False)
    with pytest.raises(GdbError, match="ocdsup: the GDB server is not there yet"):
        there.cli(there.target)
