"""`python -m ocdsup` is the command line."""

import subprocess
import sys


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "ocdsup", "frobnicate"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'frobnicate'" in done.stderr
