"""A program of its own: ends the OpenOCD that it is a child of when nobody holds its terminal any more.

One that outlives the daemon (`adopt: true`) gets the hang-up as its end, but OpenOCD 0.12 catches SIGHUP and leaves at the next
turn of its loop: blocked in a transfer or in a script it would keep the probe for good (seen with both). So this stands by,
beside the daemon and beside systemd, because no daemon may follow; it goes with its OpenOCD.

Run as `python -I -S guard.py PID`, with the terminal as standard input; started in `launcher`, between fork and exec.
"""

import os
import select
import signal
import sys
from contextlib import suppress

GRACE_S = 5.0  # from the hang-up to SIGKILL: a healthy OpenOCD takes some milliseconds to let go of its target


def begin() -> None:
    """Start the guard of this very process, as its child and in a session of its own. Raises OSError when there is no room."""
    pid = os.getpid()
    if os.fork() == 0:
        try:  # nothing of this must come back into the code of the daemon
            os.setsid()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, str(pid)])  # noqa: S606 - a shell is not wanted
        finally:
            os._exit(1)


def watch(pid: int, terminal: int, grace_s: float) -> None:
    """Wait for the end of a process; when its terminal hangs up before that, it is killed `grace_s` later."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    either = select.poll()
    either.register(process, select.POLLIN)
    either.register(terminal, 0)  # POLLHUP always counts (poll(2)), and nobody writes to OpenOCD's terminal
    if os.getppid() != pid:
        return  # it had ended, and the number may be another's
    either.poll()
    either.unregister(terminal)
    if not either.poll(grace_s * 1000):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)


if __name__ == "__main__":
    watch(int(sys.argv[1]), 0, GRACE_S)
