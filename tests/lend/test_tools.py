"""Other people's flash tools in a loan: the line that the documentation has for each, run by the tool itself.

No tool but OpenOCD can drive the simulated probe. What is shown for the others is all that happens around them: the probe is
free for them, they hear which one it is, they fail because it is on no bus, and the probe and the debug session are back.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import SERIAL, until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, gone

if TYPE_CHECKING:
    from tests.bench.rig import Rig, Sim

DOCUMENTED = Path(__file__).parents[2] / "ocdsup" / "dropin" / "README.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocdsup-tests"
# A runner, as `.cargo/config.toml` names one: it gets the program's path and drives the probe, here with an OpenOCD.
RUNNER = """#!/bin/sh
echo "runner $PROBE_RS_PROBE $1"
exec openocd -f interface/stlink.cfg -c 'hla_stlink_backend tcp {port}' -c 'gdb_port disabled; tcl_port disabled' \\
    -c 'telnet_port disabled' -f target/stm32f4x.cfg -c init -c '{last}'
"""
CARGO = """#!/bin/sh
[ "$1" = run ] || exit 64
echo "Finished dev profile"
runner target/thumbv7em-none-eabihf/debug/app &
wait $!
"""


def documented(tool: str) -> str:
    """The line of the documentation's table for a tool."""
    rows = [line.split("|") for line in DOCUMENTED.read_text().splitlines() if line.startswith(f"| {tool} ")]
    assert len(rows) == 1, f"{tool} has {len(rows)} lines in {DOCUMENTED.name}"
    return rows[0][2].split("`")[1]


def scripts(folder: Path, **texts: str) -> Path:
    """Programs of these names in a folder of their own."""
    home = folder / "bin"
    home.mkdir()
    for name, text in texts.items():
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    return home


def environment(rig: Rig, *folders: Path) -> dict[str, str]:
    """As a user has it: `ocdsup` and these tools in PATH."""
    paths = [*map(str, folders), str(Path(sys.executable).parent), os.environ["PATH"]]
    return rig.environment(PATH=os.pathsep.join(paths))


def run_documented(rig: Rig, tool: str, folder: Path, *tools: Path) -> subprocess.CompletedProcess[str]:
    """Run the documented line in a folder with something to flash, as a person types it; the bench's name apart."""
    (folder / "app.bin").write_bytes(bytes(64))
    (folder / "app.hex").write_text(":020000040800F2\n:0400000001020304F2\n:00000001FF\n")
    line = documented(tool).replace("lend nucleo", "lend one")
    env = environment(rig, *tools)
    return subprocess.run(
        line,
        shell=True,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def attach(rig: Rig, gdb: Gdb) -> None:
    """A debug session on the bench, its core running."""
    gdb.command(f"-target-select extended-remote localhost:{rig.status()['ports']['gdb'][0]}")
    gdb.command("-break-insert -h blink")
    gdb.command("-exec-continue")
    gdb.wait_stop()
    gdb.command("-break-disable 1")
    gdb.command("-exec-continue")


def still_debugs(rig: Rig, gdb: Gdb) -> None:
    """The session was told of the loan, and goes on."""
    rig.ready()
    assert any("the probe is lent to" in line for line in gdb.log), gdb.log
    until("hear that the probe is back", lambda: any("had the probe" in line for line in gdb.log), PATIENCE)
    gdb.wait_stop()
    gdb.command("-break-enable 1")
    gdb.command("-exec-continue")
    assert "breakpoint-hit" in gdb.wait_stop(), gdb.log


@pytest.mark.parametrize(
    "tool", ["`cargo run` with probe-rs", "STM32_Programmer_CLI", "st-flash", "pyOCD", "PlatformIO", "OpenOCD"]
)
def test_the_documentation_has_a_line_for_every_tool(tool: str) -> None:
    assert documented(tool).startswith("ocdsup lend nucleo -- ")


def test_cargo_run_hears_which_probe_it_has_and_its_exit_code_comes_back(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    home = scripts(tmp_path, cargo=CARGO, runner=RUNNER.format(port=sim.port, last="shutdown error"))
    with Gdb(firmware()) as gdb:
        attach(rig, gdb)
        done = run_documented(rig, "`cargo run` with probe-rs", tmp_path, home)
        assert f"runner 0483:374b:{SERIAL} target/thumbv7em-none-eabihf/debug/app" in done.stdout
        assert done.returncode == 1, done.stderr
        still_debugs(rig, gdb)
    assert len(rig.log("lent")) == 1


def test_kill_9_of_cargo_ends_the_runner_that_holds_the_probe_before_it_comes_back(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    """Cargo is the borrower; the runner is its child, has the probe open, and hears nothing of cargo's end."""
    home = scripts(tmp_path, cargo=CARGO, runner=RUNNER.format(port=sim.port, last="echo running"))
    borrower = rig.start("lend", ["ocdsup", "lend", "one", "--", "cargo", "run"], PATH=environment(rig, home)["PATH"])
    borrower.await_line("running", PATIENCE)
    (runner,) = [pid for pid in rig.openocds() if pid != rig.status()["backend"]]
    cargo = int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(cargo, signal.SIGKILL)
    assert borrower._process.wait(PATIENCE) == 128 + signal.SIGKILL
    gone(runner)
    assert rig.ready()["counters"]["evictions"] == 0


# The tools themselves: Debian packages, and one of PyPI in an environment of its own -----------------------------------


def installed(tool: str, package: str) -> None:
    """The tool is there; `./dev system` sees to it."""
    assert shutil.which(tool), f"{tool} is missing: apt-get install {package}"


@pytest.fixture(scope="session")
def pyocd() -> Path:
    """The folder of a pyOCD, installed once into a cache of the tests."""
    home = CACHE / "pyocd"
    if not (home / "bin" / "pyocd").exists():
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", "pyocd==0.46.0"], check=True, timeout=300)
    return home / "bin"


@pytest.mark.system
def test_st_flash_fails_for_lack_of_a_probe_and_the_bench_goes_on(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    installed("st-flash", "stlink-tools")
    with Gdb(firmware()) as gdb:
        attach(rig, gdb)
        done = run_documented(rig, "st-flash", tmp_path)
        assert "Couldn't find any ST-Link devices" in done.stdout + done.stderr
        assert done.returncode == 255
        still_debugs(rig, gdb)


@pytest.mark.system
@pytest.mark.timeout(400)
def test_pyocd_fails_for_lack_of_a_probe_and_the_bench_goes_on(rig: Rig, sim: Sim, tmp_path: Path, pyocd: Path) -> None:
    with Gdb(firmware()) as gdb:
        attach(rig, gdb)
        done = run_documented(rig, "pyOCD", tmp_path, pyocd)
        assert f"No connected debug probe matches unique ID '{SERIAL}'" in done.stdout + done.stderr
        assert done.returncode == 1
        still_debugs(rig, gdb)
