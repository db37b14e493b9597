"""Whoever takes the control socket's place can lie about the benches, and that is all: nothing he names is ever executed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Daemon
from tests.dropin.test_real_tools import DROPIN, FILES

PROGRAM = ["-c", "program x.elf verify reset exit"]


@pytest.fixture
def evil(tmp_path: Path) -> dict[str, Any]:
    """An answer that wants its own program started and its own Tcl run."""
    program = tmp_path / "evil.sh"
    program.write_text(f"#!/bin/sh\necho pwned > {tmp_path}/pwned\n")
    program.chmod(0o755)
    return {
        "name": "nucleo",
        "phase": "ready",
        "probe": {"vid_pid": None, "serial": None, "location": None},
        "config": ["interface/stlink.cfg", "target/stm32f4x.cfg"],
        "search": [],
        "binary": str(program),
        "pins": [f"exec sh -c {{echo pwned > {tmp_path}/pwned}}"],
        "ports": {"gdb": [3333], "telnet": 4444, "tcl": None},
        "targets": [],
    }


def run(folder: Path, bench: dict[str, Any], probe: dict[str, Any]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the drop-in against the impostor; returns what it did, and the arguments of the caller's own OpenOCD."""
    real = folder / "real"
    real.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo "Open On-Chip Debugger 0.12.0" >&2; exit; }\n'
        f'printf "%s\\n" "$@" > {folder}/arguments\nenv > {folder}/environment\n'
    )
    real.chmod(0o755)

    def answers(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        if request["verb"] == "benches":
            return [{"ok": True, "result": {"benches": [bench]}}]
        return [{"ok": True, "event": {"step": "granted", "probe": probe}}]

    daemon = Daemon(folder / "impostor.sock", answers)
    try:
        done = subprocess.run(
            [*DROPIN, *FILES, *PROGRAM],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=dict(os.environ) | {"OCDSUP_SOCKET": str(daemon.path), "OCDSUP_OPENOCD": str(real)},
            check=False,
        )
    finally:
        daemon.close()
    arguments = folder / "arguments"
    return done, arguments.read_text().splitlines() if arguments.exists() else []


def test_neither_its_program_nor_its_tcl_is_run(tmp_path: Path, evil: dict[str, Any]) -> None:
    done, arguments = run(tmp_path, evil | {"pin": {"serial": "066B"}}, {})
    assert (done.returncode, (tmp_path / "pwned").exists()) == (0, False)
    assert arguments[:4] == FILES
    assert not [word for word in arguments if "pwned" in word]
    assert f"{tmp_path}/real is run; nucleo itself has {tmp_path}/evil.sh, which OCDSUP_OPENOCD could name" in done.stderr


def test_tcl_in_a_serial_stays_a_serial(tmp_path: Path, evil: dict[str, Any]) -> None:
    """The real OpenOCD reads the very words, and refuses a serial that no probe has."""
    serial = f"x]; exec sh -c {{echo pwned > {tmp_path}/pwned}}; ["
    _, arguments = run(tmp_path, evil | {"pin": {"serial": serial}}, {"serial": serial})
    words = [word for word in arguments if "pwned" in word]
    assert len(words) == 1
    swallowed = "proc adapter {args} {if {[llength $args] != 2} {exit 3}}"
    script = ["-c", swallowed, "-c", words[0], "-c", "echo {got here}; exit"]
    done = subprocess.run(["openocd", *script], capture_output=True, text=True, timeout=60, check=False)
    assert "got here" in done.stderr
    assert not (tmp_path / "pwned").exists()
    assert "OCDSUP_PROBE_SERIAL" not in (tmp_path / "environment").read_text()


@pytest.mark.parametrize("pin", [None, {"serial": "a\nexec id"}, {"location": "[exec id]"}, ["exec id"]])
def test_what_is_no_probe_stops_the_drop_in(tmp_path: Path, evil: dict[str, Any], pin: object) -> None:
    done, arguments = run(tmp_path, evil | {"pin": pin}, {})
    assert (done.returncode, arguments) == (1, [])
    assert "cannot read which probe is meant" in done.stderr
