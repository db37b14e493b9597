"""`ocdsup front`: the command line; what it serves is tested in `tests/runtime/test_front.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("yaml", "pydantic", "structlog", "psutil", "pexpect", "unicorn")


@pytest.mark.parametrize("server", ["nowhere", "localhost:", "localhost:0", "localhost:70000", ":x"])
def test_a_server_that_is_no_address_is_a_usage_error(server: str) -> None:
    """Exit code 2 and an example of what is meant."""
    argv = [sys.executable, "-m", "ocdsup", "front", server]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


def test_it_imports_nothing_heavy() -> None:
    """It may be started hundreds of times in a row."""
    script = f"import ocdsup.cli.front, ocdsup.runtime.front, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf"])
def test_a_wait_that_is_no_time_is_a_usage_error(wait: str) -> None:
    """Exit code 2, and the option is named."""
    argv = [sys.executable, "-m", "ocdsup", "front", "localhost:1", "--wait", wait]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--wait" in done.stderr
