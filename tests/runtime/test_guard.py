"""The guard ends a process whose terminal has hung up, no other one, and goes when that process goes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from ocdsup.demo.stage import is_alive, until
from ocdsup.runtime import guard

# Deaf to the hang-up, as an OpenOCD is that does not come to the next turn of its loop.
DEAF = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('up', flush=True); signal.pause()"
PATIENCE = 30.0


class Guarded:
    """A program on a pty of its own, started as the launcher does it."""

    def __init__(self, code: str) -> None:
        self.process: Any = pexpect.spawn(sys.executable, ["-I", "-S", "-c", code], preexec_fn=guard.begin, timeout=PATIENCE)
        self.process.expect("up")
        self.pid = int(self.process.pid or 0)
        (self.guard,) = children(self.pid)

    def hang_up(self) -> None:
        """Close the last copy of the terminal; pexpect's own `close` would end the program."""
        os.close(self.process.child_fd)

    def ended_by(self) -> int:
        """The signal that ended it."""
        self.process.wait()
        return int(self.process.signalstatus)

    def close(self) -> None:
        self.process.kill(signal.SIGKILL)
        self.process.wait() if self.process.isalive() else None
        until("see the guard end", lambda: not is_alive(self.guard), PATIENCE)
        with suppress(OSError):  # hung up
            self.process.close()


@pytest.fixture
def deaf() -> Iterator[Guarded]:
    made = Guarded(DEAF)
    yield made
    made.close()


def children(pid: int) -> list[int]:
    """The processes that this one is the parent of."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stands_by(guarded: Guarded) -> bool:
    """Whether the guard has begun to wait: it has the terminal open and a descriptor of the process."""
    links = [os.readlink(entry) for entry in Path(f"/proc/{guarded.guard}/fd").iterdir()]
    return "anon_inode:[pidfd]" in links


def test_a_process_that_is_deaf_to_the_hang_up_is_killed(deaf: Guarded) -> None:
    until("stand by", lambda: stands_by(deaf), PATIENCE)
    deaf.hang_up()
    assert deaf.ended_by() == signal.SIGKILL


def test_also_when_the_hang_up_comes_before_the_guard_is_there(deaf: Guarded) -> None:
    deaf.hang_up()
    assert deaf.ended_by() == signal.SIGKILL


def test_it_goes_with_its_process(deaf: Guarded) -> None:
    """It would hold the terminal open, and be one more for every start."""
    until("stand by", lambda: stands_by(deaf), PATIENCE)
    deaf.process.kill(signal.SIGKILL)
    deaf.process.wait()
    until("see the guard end", lambda: not is_alive(deaf.guard), PATIENCE)
    assert not is_alive(deaf.guard)


def test_it_has_nothing_open_but_the_terminal(deaf: Guarded) -> None:
    """A copy of the daemon's sockets would keep its ports busy after its end."""
    until("stand by", lambda: stands_by(deaf), PATIENCE)
    links = sorted(os.readlink(entry) for entry in Path(f"/proc/{deaf.guard}/fd").iterdir())
    kinds = {link.rstrip("0123456789") for link in links}
    assert kinds == {"/dev/null", "/dev/pts/", "anon_inode:[pidfd]"}
    assert os.getsid(deaf.guard) == deaf.guard


def test_it_touches_nobody_while_the_terminal_is_held(deaf: Guarded) -> None:
    """Not even when there is a lot to read."""
    watching, told = select.poll(), os.pidfd_open(deaf.pid)
    watching.register(told, select.POLLIN)
    try:
        until("stand by", lambda: stands_by(deaf), PATIENCE)
        assert watching.poll(int(guard.GRACE_S * 1000) + 1000) == []
    finally:
        os.close(told)


def run(pid: int, terminal: int) -> int:
    """The guard as a program, here not the child of what it is to watch; its exit code."""
    argv = [sys.executable, "-I", "-S", guard.__file__, str(pid)]
    return subprocess.run(argv, stdin=terminal, check=False, timeout=PATIENCE).returncode


def test_a_number_that_belongs_to_another_process_is_left_alone(deaf: Guarded) -> None:
    """The process was gone before the guard had a descriptor of it."""
    terminal, slave = pty.openpty()
    os.close(terminal)  # hung up already
    assert run(deaf.pid, slave) == 0
    assert deaf.process.isalive()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert run(gone.pid, slave) == 0
    os.close(slave)
