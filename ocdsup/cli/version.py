"""`ocdsup --version --json`: what a report of a problem has to name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from ocdsup import __version__

PATIENCE_S = 5.0


def show() -> int:
    """Print one line of JSON."""
    print(json.dumps(versions()))
    return 0


def versions() -> dict[str, str | None]:
    """Versions of ocdsup, Python, the kernel and the `openocd` of the PATH (None without one)."""
    kernel = os.uname()
    return {
        "ocdsup": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "openocd": openocd(),
    }


def openocd() -> str | None:
    """First line of `openocd --version`; OpenOCD prints it to stderr."""
    program = shutil.which("openocd")
    if program is None:
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next((line.strip() for line in (said.stderr + said.stdout).splitlines() if line.strip()), None)
