"""What the daemon may do, its children may not: with real capabilities, in a user namespace that needs no root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import subprocess, sys, threading
from ocdsup.runtime.privileges import keep_to_ourselves

def caps(text):
    return " ".join(line.split()[1] for line in text.splitlines() if line.startswith(("CapInh", "CapEff", "CapAmb")))

if "--keep" in sys.argv:
    keep_to_ourselves()
print("daemon", caps(open("/proc/thread-self/status").read()))
status = []
thread = threading.Thread(target=lambda: status.append(subprocess.check_output(["cat", "/proc/self/status"], text=True)))
thread.start()
thread.join()
print("child", caps(status[0]))
"""
NONE = "0000000000000000"


def sets(*arguments: str) -> dict[str, list[str]]:
    """Inheritable, effective and ambient set of a daemon that got every capability as a unit gives them, and of its child."""
    command = ["unshare", "--user", "--keep-caps", sys.executable, "-c", SCRIPT, *arguments]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: line.split()[1:] for line in said.splitlines()}


def test_a_child_would_get_the_ambient_capabilities() -> None:
    """What the next test shows is our doing: without it they pass on."""
    assert sets()["child"].count(NONE) == 0


def test_no_capability_reaches_a_child_and_the_daemon_keeps_its_own() -> None:
    """Also one that a thread made later starts."""
    found = sets("--keep")
    assert found["child"] == [NONE, NONE, NONE]
    inheritable, effective, ambient = found["daemon"]
    assert (inheritable, ambient) == (NONE, NONE)
    assert effective != NONE
