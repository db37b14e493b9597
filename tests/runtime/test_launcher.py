"""OpenOCD on a pty: every byte, the exit and its words, nothing left behind. With the real OpenOCD where it matters."""

import asyncio
import errno
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from ocdsup.errors import BackendError
from ocdsup.runtime import launcher
from ocdsup.runtime.launcher import Process

Until = Callable[[Callable[[], object]], Awaitable[None]]
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
# Stays up without hardware: the dummy adapter and a scan chain nobody checks for success.
OPENOCD = (
    *("openocd", "-c", "adapter driver dummy", "-c", "adapter speed 1000", "-c", "transport select jtag"),
    *("-c", "gdb_port disabled", "-c", "telnet_port 0", "-c", "tcl_port 0", "-c", "init", "-c", "echo READY"),
)


class Run:
    """One process and all it said."""

    def __init__(self, *argv: str, env: dict[str, str] | None = None, lively: bool = False) -> None:
        self.output = bytearray()
        self.reads = 0
        self.words: list[str] = []
        self.process = Process(argv, env or ENV, self.on_output, self.words.append, lambda: lively)

    def on_output(self, data: bytes) -> None:
        assert not self.words, "bytes after the exit"
        self.output += data
        self.reads += 1


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    """Start processes; the test has to see them end."""
    runs: list[Run] = []

    def start(*argv: str, env: dict[str, str] | None = None, lively: bool = False) -> Run:
        runs.append(Run(*argv, env=env, lively=lively))
        return runs[-1]

    yield start
    for one in runs:
        one.process.signal(signal.SIGKILL)


def python(code: str) -> tuple[str, ...]:
    """Return the command that runs `code`."""
    return (sys.executable, "-S", "-E", "-c", code)


def kinds_of_fds() -> list[str]:
    """What this process has open, without what the listing itself opens."""
    fds = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds.append(re.sub(r"\d+", "N", os.readlink(f"/proc/self/fd/{fd}")))
        except OSError:
            continue
    return sorted(fds)


async def test_the_real_openocd_runs_answers_and_ends(run: Callable[..., Run], until: Until) -> None:
    """It comes up on a pty of its own, its port answers, SIGTERM ends it, and its last words come before its exit."""
    one = run(*OPENOCD)
    await until(lambda: b"for tcl connections" in one.output)
    assert b"READY\r\n" in one.output
    assert os.readlink(f"/proc/{one.process.pid}/fd/0").startswith("/dev/pts/")
    assert os.getsid(one.process.pid) == one.process.pid
    port = re.search(rb"port (\d+) for tcl", one.output)
    assert port
    with socket.create_connection(("127.0.0.1", int(port[1]))) as tcl:
        tcl.setblocking(False)
        tcl.send(b"\x1a")
        assert await asyncio.get_running_loop().sock_recv(tcl, 10) == b"\x1a"
    one.process.signal(signal.SIGTERM)
    await until(lambda: one.words)
    assert one.words == ["SIGTERM"]
    assert b"shutdown command invoked" in one.output


async def test_an_openocd_that_rejects_its_configuration_tells_why_before_its_exit(
    run: Callable[..., Run], until: Until
) -> None:
    """Every line is there when the exit is told."""
    one = run("openocd", "-c", "nonsense", "-c", "shutdown")
    await until(lambda: one.words)
    assert one.words == ["exit code 1"]
    assert b'invalid command name "nonsense"' in one.output


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(0)", "exit code 0"),
        ("raise SystemExit(255)", "exit code 255"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 5)", "signal 39"),
    ],
)
async def test_an_exit_reads_like_what_happened(run: Callable[..., Run], until: Until, code: str, status: str) -> None:
    """A code, or the name of the signal."""
    one = run(*python(f"print('last words', flush=True); {code}"))
    await until(lambda: one.words)
    assert one.words == [status]
    assert one.output == b"last words\r\n"


async def test_two_megabytes_printed_fast_arrive_whole(run: Callable[..., Run], until: Until) -> None:
    """No byte is lost or changed, though the process ends right after the last one."""
    one = run(*python("import sys; sys.stdout.write(''.join(f'{i:015}\\n' for i in range(131072)))"))
    await until(lambda: one.words)
    assert one.words == ["exit code 0"]
    assert one.output == b"".join(b"%015d\r\n" % i for i in range(131072))


async def test_a_flood_leaves_turns_to_everybody_else(run: Callable[..., Run], until: Until) -> None:
    """Between two turns of the loop the terminal is read once."""
    one = run("yes", "a line of a storm")
    worst = before = 0
    while one.reads < 100:
        await asyncio.sleep(0)
        worst, before = max(worst, one.reads - before), one.reads
    assert worst == 1
    one.process.signal(signal.SIGKILL)
    await until(lambda: one.words)
    assert one.words == ["SIGKILL"]


async def test_neither_start_nor_end_sleeps_on_the_loop(
    run: Callable[..., Run], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delays of pexpect (0.05 to 0.1 s each) are never reached."""

    def forbidden(seconds: float) -> None:
        assert seconds == 0, "the loop was put to sleep"

    monkeypatch.setattr(time, "sleep", forbidden)
    one = run("true")
    await until(lambda: one.words)
    assert one.words == ["exit code 0"]


async def test_twenty_starts_leave_no_descriptor_and_no_zombie(run: Callable[..., Run], until: Until) -> None:
    """What one run opens is closed and reaped with it."""
    children = psutil.Process().children
    before, known = kinds_of_fds(), {child.pid for child in children()}
    for number in range(20):
        one = run(*python(f"raise SystemExit({number})"))
        words = one.words
        await until(words.__len__)
        assert one.words == [f"exit code {number}"]
    assert {child.pid for child in children()} <= known
    assert kinds_of_fds() == before


async def test_a_signal_after_the_exit_harms_nobody(run: Callable[..., Run], until: Until) -> None:
    """The process is signalled through its descriptor, so a reused number is never hit."""
    one = run("true")
    await until(lambda: one.words)
    one.process.signal(signal.SIGKILL)
    assert one.words == ["exit code 0"]


async def test_a_signal_to_an_unreaped_process_is_no_error(run: Callable[..., Run], until: Until) -> None:
    """It has ended, and the loop has not looked yet."""
    one = run("true")
    os.waitid(os.P_PID, one.process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  # the loop shall not look yet
    one.process.signal(signal.SIGTERM)
    assert one.words == []
    await until(lambda: one.words)
    assert one.words == ["exit code 0"]


async def test_a_surviving_grandchild_with_the_terminal_does_not_hide_the_exit(run: Callable[..., Run], until: Until) -> None:
    """The end of the process counts, not the end of its terminal."""
    one = run("sh", "-c", "trap '' HUP; sleep 1000 & echo pid $!; exit 3")
    await until(lambda: one.words)
    survivor = re.search(rb"pid (\d+)", one.output)
    assert survivor
    assert os.readlink(f"/proc/{int(survivor[1])}/fd/1").startswith("/dev/pts/")
    os.kill(int(survivor[1]), signal.SIGKILL)
    assert one.words == ["exit code 3"]


async def test_a_process_that_closes_its_terminal_goes_on_living(run: Callable[..., Run], until: Until) -> None:
    """Only the exit is the end; until then the loop is not kept busy by a dead terminal."""
    one = run("sh", "-c", "echo bye; exec sleep 1000 <&- >&- 2>&-")
    await until(lambda: one.output)
    looks = 0

    def count() -> bytes:
        nonlocal looks
        looks += 1
        return reading()

    reading = one.process._read
    one.process._read = count  # type: ignore[method-assign]  # counts how often the terminal is looked at
    await until(lambda: os.readlink(f"/proc/{one.process.pid}/exe").endswith("sleep"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert looks <= 2
    assert one.words == []
    one.process.signal(signal.SIGKILL)
    await until(lambda: one.words)
    assert one.words == ["SIGKILL"]


async def test_an_exit_that_somebody_else_collected_is_told_all_the_same(run: Callable[..., Run], until: Until) -> None:
    """A daemon started with SIGCHLD ignored gets no status, but an end."""
    one = run("true")
    os.waitpid(one.process.pid, 0)  # noqa: ASYNC222  # the loop shall come too late
    await until(lambda: one.words)
    assert one.words == ["exit code unknown"]


@pytest.mark.parametrize(
    ("kind", "why", "step"),
    [
        ("absent name", "there is no such program on the PATH", "install OpenOCD"),
        ("absent path", "there is no such file", "set openocd.binary"),
        ("not executable", "it is not an executable file", "chmod"),
        ("a directory", "it is a directory", "set openocd.binary"),
        ("another machine's", "Exec format error", "set openocd.binary"),
    ],
)
async def test_a_program_that_cannot_start_is_an_error_with_a_next_step(tmp_path: Path, kind: str, why: str, step: str) -> None:
    """The reason and what to do, in one line, and no descriptor or process is left."""
    program = tmp_path / "openocd"
    name = str(program)
    match kind:
        case "absent name":
            name = "openocd-of-nowhere"
        case "not executable":
            program.write_text("#!/bin/sh\n")
        case "a directory":
            name = str(tmp_path)
        case "another machine's":
            program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(64))
            program.chmod(0o755)
        case _:
            pass  # nothing is there
    before = kinds_of_fds()
    known = {child.pid for child in psutil.Process().children()}
    with pytest.raises(BackendError) as caught:
        Run(name)
    assert str(caught.value).startswith(f"cannot start {name}: {why}; ")
    assert step in caught.value.hint
    assert "\n" not in str(caught.value)
    assert kinds_of_fds() == before
    assert {child.pid for child in psutil.Process().children()} <= known


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
async def test_a_pc_that_is_short_of_something_is_not_told_to_install_openocd(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The next step fits the reason."""

    def no_more(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pexpect, "spawn", no_more)
    with pytest.raises(BackendError, match=f"{os.strerror(number)}; this PC is short of"):
        Run("true")


async def test_a_process_that_could_not_be_watched_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a descriptor for its exit nobody would notice it."""

    def no_more(_pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    before = kinds_of_fds()
    known = {child.pid for child in psutil.Process().children()}
    monkeypatch.setattr(os, "pidfd_open", no_more)
    with pytest.raises(BackendError, match="Too many open files; this PC is short of"):
        Run("sleep", "1000")
    assert {child.pid for child in psutil.Process().children()} <= known
    assert kinds_of_fds() == before


async def test_the_environment_is_what_was_asked_for(run: Callable[..., Run], until: Until) -> None:
    """Nothing of the daemon's own environment leaks in."""
    one = run("env", env=ENV | {"OPENOCD_DEBUG_LEVEL": "3"})
    await until(lambda: one.words)
    lines = dict(line.split("=", 1) for line in one.output.decode().split("\r\n") if "=" in line)
    assert lines == ENV | {"OPENOCD_DEBUG_LEVEL": "3"}


DAEMON = """
import asyncio, sys
from ocdsup.runtime import launcher
from ocdsup.runtime.launcher import Process

async def main():
    ready, text = asyncio.Event(), bytearray()
    def output(data):
        text.extend(data)
        if b"for tcl connections" in text:
            ready.set()
    process = Process(sys.argv[1:], {"PATH": "/usr/bin:/bin"}, output, lambda status: None)
    await ready.wait()
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_openocd_dies_with_the_daemon_however_the_daemon_dies(stopped: bool) -> None:
    """SIGKILL of the daemon ends its OpenOCD too, even one that cannot react to anything (SIGSTOP)."""
    with subprocess.Popen([sys.executable, "-c", DAEMON, *OPENOCD], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        line = daemon.stdout.readline()
        pid = int(line)
        watch = os.pidfd_open(pid)
        try:
            if stopped:
                os.kill(pid, signal.SIGSTOP)
            daemon.kill()
            assert select.select([watch], [], [], 20)[0], "OpenOCD outlived its daemon"
        finally:
            daemon.kill()
            os.close(watch)


FLOOD = "import sys; [sys.stdout.write(f'{n:099}\\n') for n in range(5000)]"


@pytest.mark.parametrize("lively", [False, True])
async def test_a_flood_is_read_with_rests_only_while_a_debugger_is_busy(
    run: Callable[..., Run], until: Until, monkeypatch: pytest.MonkeyPatch, lively: bool
) -> None:
    """Half a megabyte; nothing of it is lost, and the exit comes after the last byte."""
    rests: list[float] = []
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def noted(delay: float, call: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        rests.append(delay)
        return later(delay, call, *args)

    monkeypatch.setattr(loop, "call_later", noted)
    monkeypatch.setattr(launcher, "FLOOD_S", 60.0)
    one = run(*python(FLOOD), lively=lively)
    await until(lambda: one.words)
    assert one.output.split(b"\r\n")[:-1] == [b"%099d" % n for n in range(5000)]
    assert (launcher.REST_S in rests) is lively


async def test_a_process_that_is_killed_in_a_rest_is_seen_to_end(
    run: Callable[..., Run], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "FLOOD_S", 60.0)
    monkeypatch.setattr(launcher, "REST_S", 3600.0)
    one = run(*python("while True: print('x' * 99)"), lively=True)
    await until(lambda: one.process._rest)
    one.process.signal(signal.SIGKILL)
    await until(lambda: one.words)
    assert one.words == ["SIGKILL"]


async def test_a_trickle_is_read_at_once_whoever_waits(
    run: Callable[..., Run], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portion that took its time is no flood."""
    monkeypatch.setattr(launcher, "FLOOD_S", 0.0)
    monkeypatch.setattr(launcher, "REST_S", 3600.0)
    one = run(*python(FLOOD), lively=True)
    await until(lambda: one.words)
    assert one.output.count(b"\n") == 5000


@pytest.mark.parametrize(("of_the_daemon", "of_openocd"), [("-200\n", "0"), ("0\n", "0\n"), ("300\n", "300\n")])
async def test_openocd_is_not_spared_as_the_daemon_is_when_memory_runs_out(
    run: Callable[..., Run],
    until: Until,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of_the_daemon: str,
    of_openocd: str,
) -> None:
    """With a stand-in for /proc/self/oom_score_adj: going below 0 takes a capability that a test need not have."""
    score = tmp_path / "oom_score_adj"
    score.write_text(of_the_daemon)
    monkeypatch.setattr(launcher, "_OOM_SCORE", str(score))
    one = run(*python("pass"))
    await until(lambda: one.words)
    assert score.read_text() == of_openocd
