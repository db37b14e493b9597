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
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pexpect

from ocdsup.errors import BackendError

READ = 64 * 1024
READS_PER_TURN = 16  # a pty read returns 4095 bytes at most: 64 KiB a turn, then the loop may do other things
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


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


class Process:
    """A running OpenOCD, to be made on the main thread: its life is bound to the thread that forked it.

    `on_output(data)` gets every byte it prints, `on_exit(status)` is called once, after the last byte.

    `status` reads like `exit code 1` or `SIGSEGV`. Raises BackendError when the program cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[str], None],
    ) -> None:
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._child = _spawn(argv, env)
        self.pid: int = self._child.pid
        self._pty: int = self._child.child_fd
        os.set_blocking(self._pty, False)
        self._pidfd = os.pidfd_open(self.pid)
        self._alive = True
        self._loop.add_reader(self._pty, self._readable)
        self._loop.add_reader(self._pidfd, self._gone)

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            data = self._read()
            if not data:
                return
            self._on_output(data)

    def _read(self) -> bytes:
        try:
            return os.read(self._pty, READ)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._loop.remove_reader(self._pty)  # every copy of the slave side is closed: the exit follows
            return b""

    def _gone(self) -> None:
        while data := self._read():
            self._on_output(data)
        self._loop.remove_reader(self._pty)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._alive = False
        self._child.isalive()  # reaps; before close(), which would otherwise fail on an unreaped child
        self._child.close()
        self._on_exit(_status(self._child.exitstatus, self._child.signalstatus))

    def signal(self, number: signal.Signals) -> None:
        """Signal this very process; a process that is gone is not an error."""
        if self._alive:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def _spawn(argv: Sequence[str], env: Mapping[str, str]) -> Any:  # its stubs miss `ptyproc`, which holds the delays
    try:
        child: Any = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            timeout=None,
            maxread=READ,
            echo=False,
            env=dict(env),
            preexec_fn=_die_with(os.getpid()),
        )
    except (pexpect.ExceptionPexpect, OSError) as error:
        why = str(error).splitlines()[0]
        raise BackendError(f"start {argv[0]}", why, "install OpenOCD or set openocd.binary to its path") from error
    child.ptyproc.delayafterclose = 0
    child.ptyproc.delayafterterminate = 0
    return child


def _status(code: int | None, number: int | None) -> str:
    if number is not None:
        return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"exit code {code}"
