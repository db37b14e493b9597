"""What `ocdsup ide` prints, fed to the real GDB on the running daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.rig import Rig

ELF = Path(__file__).parents[2] / "ocdsup/sim/firmware/blink-f4.elf"


def test_gdb_flashes_and_halts_with_the_file_it_was_given(rig: Rig) -> None:
    """The ports are any free ones, so the daemon was asked; `reflash` and `why` are the file's own commands."""
    rig.run(one=rig.bench(rig.sim()))
    rig.ready()
    printed = rig.ocdsup("ide", "gdb", "--elf", str(ELF))
    assert printed.returncode == 0, printed.stderr
    file = rig.folder / "ocdsup.gdb"
    file.write_text(printed.stdout, encoding="utf-8")
    words = ["-x", str(file), "-ex", "reflash", "-ex", "why", "-ex", "tbreak main", "-ex", "continue", "-ex", "bt 1"]
    command = ["gdb-multiarch", "-nx", "-batch", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False)
    assert "Loading section" in done.stdout, done.stdout + done.stderr
    assert "#0  main ()" in done.stdout, done.stdout + done.stderr


def test_platformio_uploads_with_the_command_it_was_given(rig: Rig) -> None:
    """As PlatformIO runs it: the folder and the name of the program put in, the line given to a shell."""
    rig.run(one=rig.bench(rig.sim()))
    rig.ready()
    printed = rig.ocdsup("ide", "platformio").stdout
    (line,) = (line for line in printed.splitlines() if line.startswith("upload_command = "))
    put_in = {"$BUILD_DIR": str(ELF.parent), "${PROGNAME}": ELF.stem}
    command = line.partition(" = ")[2]
    for name, value in put_in.items():
        assert name in command
        command = command.replace(name, value)
    program = rig.folder / "ocdsup-openocd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ocdsup.cli.openocd "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{rig.folder}:{os.environ['PATH']}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=rig.environment(PATH=path), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified OK" in done.stdout + done.stderr
    rig.ready()
