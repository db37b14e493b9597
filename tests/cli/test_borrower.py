"""The guard of a borrowing command: a loan that is over before the command has begun ends it all the same."""

from __future__ import annotations

import signal
import subprocess
import sys

CODE = """
import sys
from ocdsup.cli.borrower import Borrower

class Client:
    def close(self): pass

sys.exit(Borrower(["sleep", "600"], {"PATH": "/usr/bin:/bin"}, Client(), iter([{"step": "over", "why": "taken back"}])).run())
"""


def test_a_loan_that_is_over_at_once_ends_the_command_politely() -> None:
    """The signal may come before the command's own signals are those of a fresh program: it waits for it, and is not lost."""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", CODE], stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 128 + signal.SIGTERM, done.stderr
