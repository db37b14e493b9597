"""One OpenOCD process: started by pexpect on a pty of its own, read without pause, seen ending, and never left behind.

pexpect owns the pty, the process group and the exec; its `expect`, `send`, `terminate` and `close` are not used on the loop:
they sleep there (0.05 to 0.1 s each), and `expect` reads 20 to 50 times slower than a plain reader (measured).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pexpect

from ocdsup.errors import BackendError
from ocdsup.runtime import guard
from ocdsup.runtime.adoption import Held

READ = 64 * 1024
PORTION, REST_S = 14 * 1024, 0.003  # bytes between rests: some 40,000 lines/s, more than an adapter lets OpenOCD write
FLOOD_S = 0.02  # a portion that came slower than this is no flood
_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "/proc/self/oom_score_adj"
_LIBC = ctypes.CDLL(None, use_errno=True)
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC})
_HINT_BINARY = "install OpenOCD or set openocd.binary to its path"
_HINT_LIMITS = "this PC is short of processes, descriptors, ptys or memory; end something or raise the limit"


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does between fork and exec: be killed when the daemon's thread ends, however it ends.

    The hang-up of the pty alone ends only an OpenOCD that still listens to signals; one that is stopped or blocked in a
    transfer would keep the probe (prctl(2), PR_SET_PDEATHSIG).
    """

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the daemon died between fork and prctl
            os._exit(1)

    return prepare


def _first(prepare: Callable[[], None]) -> Callable[[], None]:
    """What every child does between fork and exec, and then what this one does."""

    def both() -> None:
        _be_an_ordinary_victim()
        prepare()

    return both


def _be_an_ordinary_victim() -> None:
    """Drop what `OOMScoreAdjust=` of the unit grants the daemon: OpenOCD is to go first, and what it starts would inherit it.

    Upwards needs no capability (proc(5), oom_score_adj); what is not below 0 stays.
    """
    with contextlib.suppress(OSError):
        with open(_OOM_SCORE, encoding="ascii") as now:
            favoured = now.read().startswith("-")
        if favoured:
            with open(_OOM_SCORE, "w", encoding="ascii") as score:
                score.write("0")


class Process:
    """A running OpenOCD, to be made on the main thread: its life is bound to the thread that forked it.

    `on_output(data)` gets every byte it prints, `on_exit(status)` is called once, after the last byte. `lively()` tells whether
    somebody waits whom the reading of a flood would slow down.

    `status` reads like `exit code 1` or `SIGSEGV`. Raises BackendError when the program cannot be started.

    With `outlives` the end of the daemon does not end it, only that of the last copy of its terminal (`guard`). `held` is one
    that runs already; it is nobody's child here, so its exit status stays unknown.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[str], None],
        lively: Callable[[], bool] = lambda: False,
        *,
        outlives: bool = False,
        held: Held | None = None,
    ) -> None:
        self._on_output = on_output
        self._on_exit = on_exit
        self._lively = lively
        self._portion = 0  # bytes read of this portion, and since when
        self._since = 0.0
        self._rest: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._child: Any = None
        if held is None:
            self._child = _spawn(argv, env, outlives=outlives)
            held = Held(self._child.pid, self._child.child_fd, _watch(self._child, argv[0]))
        self.held = held
        self.pid, self._pty, self._pidfd = held.pid, held.pty, held.pidfd
        os.set_blocking(self._pty, False)
        self._alive = True
        self._loop.add_reader(self._pty, self._readable)
        self._loop.add_reader(self._pidfd, self._gone)

    def _readable(self) -> None:
        """Read once, some 4 KiB, and let the loop look at the debug sessions: with 16 reads they took 3 times as long.

        Who reads without a pause is also the last to be woken by the kernel when a packet comes (on one CPU, seen), so there
        are rests in a flood while a debugger is busy. OpenOCD goes on meanwhile: a pty holds 19 KB.
        """
        if data := self._read():
            self._on_output(data)
            self._portion += len(data)
            if self._portion >= PORTION:
                self._have_rest()

    def _have_rest(self) -> None:
        now = self._loop.time()
        flood = now - self._since < FLOOD_S
        self._portion, self._since = 0, now
        if flood and self._lively():
            self._loop.remove_reader(self._pty)
            self._rest = self._loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        self._rest, self._since = None, self._loop.time()
        self._loop.add_reader(self._pty, self._readable)

    def _read(self) -> bytes:
        try:
            data = os.read(self._pty, READ)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self._loop.remove_reader(self._pty)  # every copy of the slave side is closed: the exit follows
        return data

    def _gone(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        while data := self._read():  # ends: the kernel has hung the terminal up, so nobody can print any more
            self._on_output(data)
        self._loop.remove_reader(self._pty)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._alive = False
        if self._child is None:
            os.close(self._pty)
            self._on_exit("exit code unknown")
            return
        status = _reap(self._child)
        self._child.close()
        self._on_exit(status)

    def leave(self) -> None:
        """Let it run on without us: somebody else holds its terminal."""
        if self._alive:
            self._alive = False
            if self._rest is not None:
                self._rest.cancel()
            self._loop.remove_reader(self._pty)
            self._loop.remove_reader(self._pidfd)
            if self._child is not None:  # pexpect ends what it closes
                self._child.closed = self._child.ptyproc.closed = True
            self.held.close()

    def signal(self, number: signal.Signals) -> None:
        """Signal this very process; a process that is gone is not an error."""
        if self._alive:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def _spawn(argv: Sequence[str], env: Mapping[str, str], *, outlives: bool) -> Any:  # pexpect's stubs miss `ptyproc`
    if shutil.which(argv[0], path=env.get("PATH", os.defpath)) is None:
        raise not_runnable(argv[0])
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork beside threads. Ours only look at /proc and sysfs and hold no lock, and
            # the child does little but prctl and exec.
            warnings.simplefilter("ignore", DeprecationWarning)
            child: Any = pexpect.spawn(
                argv[0],
                list(argv[1:]),
                timeout=None,
                maxread=READ,
                echo=False,
                env=dict(env),
                preexec_fn=_first(guard.begin if outlives else _die_with(os.getpid())),
            )
    except (pexpect.ExceptionPexpect, OSError) as error:
        traceback.clear_frames(error.__traceback__)  # lets go of a half-made child: its pty is closed, its zombie reaped
        raise _failure(argv[0], error) from None
    child.ptyproc.delayafterclose = 0
    child.ptyproc.delayafterterminate = 0
    return child


def _watch(child: Any, program: str) -> int:
    """A descriptor that tells the exit. Without one nobody would notice it, so then the child is ended again."""
    try:
        return os.pidfd_open(child.pid)
    except OSError as error:
        child.kill(signal.SIGKILL)
        child.wait()
        child.close()
        raise _failure(program, error) from error


def not_runnable(program: str, hint: str = _HINT_BINARY) -> BackendError:
    """The error for a program that `shutil.which` does not find, with the reason."""
    if "/" not in program:
        return BackendError(f"start {program}", "there is no such program on the PATH", hint)
    if not os.path.exists(program):
        return BackendError(f"start {program}", "there is no such file", hint)
    if os.path.isdir(program):
        return BackendError(f"start {program}", "it is a directory", hint)
    return BackendError(f"start {program}", "it is not an executable file", f"run `chmod +x {program}`, or {hint}")


def _failure(program: str, error: Exception) -> BackendError:
    number = getattr(error, "errno", None)
    why = os.strerror(number) if number else (str(error).splitlines() or [type(error).__name__])[0]
    return BackendError(f"start {program}", why, _HINT_LIMITS if number in _SHORT else _HINT_BINARY)


def _reap(child: Any) -> str:
    """Collect the exit status; before close(), which would otherwise fail on an unreaped child."""
    try:
        child.isalive()
    except pexpect.ExceptionPexpect:  # somebody else has collected it: SIGCHLD was ignored when the daemon was started
        child.ptyproc.terminated = True
        child.terminated = True
    return _status(child.exitstatus, child.signalstatus)


def _status(code: int | None, number: int | None) -> str:
    if number is not None:
        return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return "exit code unknown" if code is None else f"exit code {code}"
