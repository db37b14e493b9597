"""The command that borrows a probe, and the guard that makes sure of its end.

    ocdsup lend ── forks ──> guard ── forks ──> the command, in a process group of its own
        └── a pipe ────────────┘

The guard is the command's parent and holds the connection to the daemon, so the loan ends only after the command has. It ends
the command's group (SIGTERM, after a moment SIGKILL) when the loan is over or when the pipe breaks, that is when `ocdsup lend`
was killed. If the guard itself is killed, the kernel ends the command (prctl(2), PR_SET_PDEATHSIG). Processes that left the
group come back to the guard as a subreaper (PR_SET_CHILD_SUBREAPER), and are ended as well. Nothing else is ever signalled.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from ocdsup.errors import OcdsupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocdsup.cli.client import Client

TERM_S = 3.0  # from SIGTERM to SIGKILL: OpenOCD closes its adapter within it
KILL_S = 2.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LIBC = ctypes.CDLL(None, use_errno=True)


class CannotStartError(OcdsupError):
    """The command could not be executed; `code` is what a shell would return, 127 (not found) or 126."""

    def __init__(self, what: str, why: str, code: int) -> None:
        super().__init__(what, why, "check the command behind `--`")
        self.code = code
        self.args = (what, why, code)


class Borrower:
    """Runs one command while the loan lasts."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], client: Client, news: Iterator[Any]) -> None:
        self._command = list(command)
        self._env = dict(env)
        self._client = client
        self._news = news

    def run(self) -> int:
        """Return the command's exit code, 128 + N when signal N ended it. Raises CannotStartError."""
        read_end, write_end = os.pipe()
        errors_read, errors_write = os.pipe()
        guard = os.fork()
        if guard == 0:
            os.close(write_end)
            os.close(errors_read)
            os._exit(_Guard(self._command, self._env, self._news, read_end, errors_write).run())
        os.close(read_end)
        os.close(errors_write)
        before = {number: signal.signal(number, lambda which, _frame: _pass_on(write_end, which)) for number in _PASSED_ON}
        code = os.waitstatus_to_exitcode(os.waitpid(guard, 0)[1])
        with open(errors_read, "rb") as errors:
            failed = errors.read()
        for number, usual in before.items():  # a drop-in goes on as a server, which its IDE must be able to end
            signal.signal(number, usual)
        os.close(write_end)
        self._client.close()
        if failed:
            cause = int(failed)
            raise CannotStartError(f"run {self._command[0]}", os.strerror(cause), 127 if cause == errno.ENOENT else 126)
        return code if code >= 0 else 128 - code


def _pass_on(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, bytes([number]))


class _Guard:
    """The process in between."""

    def __init__(self, command: list[str], env: dict[str, str], news: Iterator[Any], control: int, errors: int) -> None:
        self._command = command
        self._env = env
        self._news = news
        self._control = control
        self._errors = errors
        self._child = 0
        self._ending = threading.Event()

    def run(self) -> int:
        """Start the command, wait for it, leave nothing of it behind; returns its exit code."""
        front = os.getpgrp()
        for number in (*_PASSED_ON, signal.SIGTTOU, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        os.setpgid(0, 0)  # a signal for the command's group, or for ours, must not meet the guard
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # Held back until the command takes them again: what comes while it is still our copy, which ignores them, is not lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        self._child = os.fork()
        if self._child == 0:
            self._become_command(front)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        with contextlib.suppress(OSError):
            os.setpgid(self._child, self._child)
        os.close(self._errors)
        threading.Thread(target=self._hear_the_daemon, daemon=True).start()
        threading.Thread(target=self._hear_the_front, daemon=True).start()
        code = self._wait()
        _give_terminal(front)
        self._end_rest()
        return code if code >= 0 else 128 - code

    def _become_command(self, front: int) -> None:
        """In the child: what a shell does for a foreground job, then exec."""
        guard = os.getppid()
        try:
            os.setpgid(0, 0)
            if _is_foreground(front):
                _give_terminal(os.getpgrp())
            for number in (*_PASSED_ON, signal.SIGTTOU, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard:  # the guard died between fork and prctl
                os._exit(1)
            os.execvpe(self._command[0], self._command, self._env)  # noqa: S606  # a shell is what this must not go through
        except OSError as error:
            os.write(self._errors, str(error.errno or 1).encode())
        os._exit(127)

    def _wait(self) -> int:
        """The command's end; one that is stopped from the keyboard goes on, because a loan cannot be put aside."""
        while True:
            _pid, status = os.waitpid(self._child, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)
            if not self._ending.is_set():
                print("ocdsup: a borrower cannot be put into the background; it goes on", file=sys.stderr, flush=True)
            self._signal(signal.SIGCONT)

    def _hear_the_daemon(self) -> None:
        """A daemon that went away takes nothing back: the command may be writing flash, and the next daemon will see it."""
        try:
            for event in self._news:
                match event.get("step"):
                    case "over":
                        self._end(f"the loan is over: {event['why']}")
                        return
                    case "let-go":
                        self._goes_on(event["why"])
                        return
        except OcdsupError as error:
            self._goes_on(error)

    def _goes_on(self, why: object) -> None:
        print(f"ocdsup: {why}; {self._command[0]} goes on", file=sys.stderr, flush=True)

    def _hear_the_front(self) -> None:
        while byte := os.read(self._control, 1):
            self._signal(signal.Signals(byte[0]))
        self._end("")  # `ocdsup lend` was killed

    def _end(self, why: str) -> None:
        """SIGTERM, and SIGKILL if that is not enough."""
        self._ending.set()
        if why:
            print(f"ocdsup: {why}; ending {self._command[0]}", file=sys.stderr, flush=True)
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        timer = threading.Timer(TERM_S, self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, number)

    def _end_rest(self) -> None:
        """Whatever the command left running would keep the probe: its group, and children that came back to us."""
        for number, patience_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
            deadline = monotonic() + patience_s
            while self._reap() and monotonic() < deadline:
                self._signal(number)
                _signal_children(number)
                select.select([], [], [], 0.02)

    def _reap(self) -> bool:
        """Collect the dead; return whether any child of ours still lives."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return True
        return False


def _signal_children(number: signal.Signals) -> None:
    """Signal our own children, by proc(5) `children`; they cannot be reused PIDs, because only we can reap them."""
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), number)


def _is_foreground(group: int) -> bool:
    with contextlib.suppress(OSError):
        return os.isatty(0) and os.tcgetpgrp(0) == group
    return False


def _give_terminal(group: int) -> None:
    with contextlib.suppress(OSError):
        if os.isatty(0):
            os.tcsetpgrp(0, group)
