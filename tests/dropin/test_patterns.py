"""Every tool that insists on starting `openocd` itself: its own words, what it waits for, and a real GDB behind it.

The command lines are those of the tools (Cortex-Debug src/openocd.ts, Eclipse Embedded CDT's OpenOCD plug-in, Zephyr's
runners/openocd.py, esp-idf's debug_ext.py, ESP-IDF for VS Code, MIEngine, elmot's plug-in for CLion, VisualGDB, PlatformIO,
arduino-cli); the board's files are those of the bench, where each has its own.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import Program, until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, SERIAL, Rig

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
DROPIN = [sys.executable, "-m", "ocdsup.cli.openocd"]
FILES = "-f interface/stlink.cfg -f target/stm32f4x.cfg"
# What the file of Cortex-Debug defines: commands only, for later `-c` and `monitor`.
HELPERS = """proc CDSWOConfigure {CDCPUFreqHz CDSWOFreqHz CDSWOOutput} { return "swo" }
proc CDRTOSConfigure {rtos} { foreach t [target names] { $t configure -rtos $rtos } }
proc CDLiveWatchSetup {} { foreach t [target names] { catch { $t configure -gdb-max-connections 2 } } }
"""


@dataclass(frozen=True)
class Server:
    """`waits` is what the tool looks for, `end` how it ends; {g} {t} {c}: ports, {s}: serial, {h}: helpers, {e}: a firmware."""

    name: str
    line: str
    waits: str
    end: signal.Signals = signal.SIGTERM


SERVERS = (
    Server(
        "Cortex-Debug",
        "-f {h} -c 'gdb_port {g}' -c 'tcl_port {c}' -c 'telnet_port {t}' -s /tmp -c 'adapter speed 4000' "
        f"{FILES} -c 'CDRTOSConfigure auto' -d1 -c 'echo launch' -c CDLiveWatchSetup",
        r"(?i)Info\s:[^\n]*Listening on port \d+ for gdb connection",
    ),
    Server(
        "Eclipse Embedded CDT",
        f"""-c 'gdb_port {{g}}' -c 'telnet_port {{t}}' -c 'tcl_port {{c}}' {FILES} -c 'echo "Started by GNU MCU Eclipse"'""",
        r"(?m)^Started by GNU (MCU|ARM) Eclipse$",
    ),
    Server(
        "PlatformIO with debug_server",
        f"-s /tmp {FILES} -c 'gdb_port {{g}}; tcl_port {{c}}; telnet_port {{t}}' -c 'transport select hla_swd'",
        r"Listening on port \d+ for gdb connections",
    ),
    Server(
        "west debugserver",
        "-s /tmp -s /usr/share/openocd/scripts -c 'set _ZEPHYR_BOARD_SERIAL {s}' " + FILES + " -c 'tcl_port {c}' "
        "-c 'telnet_port {t}' -c 'gdb_port {g}' '-c init' '-c targets' '-c halt'",
        r"Listening on port \d+ for gdb connections",
        signal.SIGINT,
    ),
    Server(
        "idf.py openocd",
        f"{FILES} -c 'gdb_port {{g}}' -c 'telnet_port {{t}}' -c 'tcl_port {{c}}'",
        r"Listening on port \d+ for gdb",
    ),
    Server(
        "ESP-IDF for VS Code",
        "-d2 -c 'adapter serial {s}' " + FILES + " -c 'gdb_port {g}' -c 'telnet_port {t}' -c 'tcl_port {c}'",
        r"Listening on port \d+ for gdb connections",
        signal.SIGKILL,
    ),
    Server(
        "cpptools with debugServerPath",
        f"{FILES} -c 'gdb_port {{g}}' -c 'telnet_port {{t}}' -c 'tcl_port {{c}}' -c init -c 'reset init'",
        r"Info : .*cores have|Listening on port",
        signal.SIGKILL,
    ),
    Server(
        "CLion",
        f"-c 'tcl_port disabled' -s /usr/share/openocd/scripts -c 'gdb_port {{g}}' -c 'telnet_port {{t}}' {FILES} "
        "-c 'program \"{e}\"' -c 'reset halt'",
        r"\*\* Programming Finished \*\*[\s\S]*Listening on port \d+ for gdb",
    ),
    Server(
        "VisualGDB",
        f"-c 'gdb_port {{g}}' -c 'telnet_port {{t}}' -c 'tcl_port {{c}}' {FILES} -c init -c 'reset init' "
        "-c 'echo VisualGDB_OpenOCD_Ready'",
        r"(?m)^VisualGDB_OpenOCD_Ready$",
    ),
)
PIPES = {
    "PlatformIO": "-s /pkg -c 'gdb_port pipe; tcl_port disabled; telnet_port disabled' -s /pkg/openocd/scripts "
    "-f interface/stlink.cfg -c 'transport select hla_swd' -f target/stm32f4x.cfg",
    "arduino-cli": "-s /usr/share/openocd/scripts --file interface/stlink.cfg --file target/stm32f4x.cfg "
    "-c 'gdb_port pipe' -c 'telnet_port 0'",
}
ONCE = {
    "PlatformIO upload": f"-d2 -s /pkg {FILES} -c 'transport select hla_swd' -c 'adapter speed 4000' "
    "-c 'program {{{e}}}  verify reset; shutdown;'",
    "west flash": f"-s /tmp {FILES} '-c init' '-c targets' -c 'reset init' -c 'flash write_image erase {{e}}' "
    "-c 'reset halt' -c 'verify_image {e}' -c 'reset run' -c shutdown",
    "labgrid": "--search /tmp --command 'adapter serial {s}' --file interface/stlink.cfg --file target/stm32f4x.cfg "
    "--command init --command 'reset halt' --command 'flash write_image erase {e}' --command shutdown",
    "CLion": f"-c 'tcl_port disabled' -s /usr/share/openocd/scripts {FILES} -c 'program \"{{e}}\"' -c reset -c shutdown",
    "Makefile": f"{FILES} -c 'program {{e}} verify reset exit'",
}


@pytest.fixture(scope="module")
def shared(shared: Rig) -> Rig:
    """The bench of all tools in turn, with a file that one of them brings."""
    (shared.folder / "openocd-helpers.tcl").write_text(HELPERS)
    return shared


def words(rig: Rig, line: str) -> tuple[list[str], dict[str, int]]:
    """The command line of a tool with ports that are free, and these."""
    chosen = {}
    for letter in "gtc":
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            chosen[letter] = int(sock.getsockname()[1])
    text = line.format(s=SERIAL, h=rig.folder / "openocd-helpers.tcl", e=firmware(), **chosen)
    return shlex.split(text), chosen


def debug(gdb: Gdb, target: str) -> None:
    """Attach, and see the firmware stop in blink()."""
    gdb.command(f"-target-select extended-remote {target}")
    gdb.command("-break-insert -h blink")
    gdb.command("-exec-continue")
    assert "breakpoint-hit" in gdb.wait_stop()


def await_expression(program: Program, expression: str) -> str:
    """Wait as the tool does."""
    until(f"print {expression}", lambda: re.search(expression, program.output.read_text()), PATIENCE, alive=program._process)
    return program.output.read_text()


@pytest.mark.parametrize("tool", SERVERS, ids=lambda tool: tool.name)
def test_a_server_of_every_tool_is_ready_in_its_words_and_debugs(shared: Rig, tool: Server) -> None:
    argv, ports = words(shared, tool.line)
    program = shared.start("dropin", [*DROPIN, *argv])
    text = await_expression(program, tool.waits)
    assert not re.search(r"(?m)^Error: (?!ocdsup)", text), text
    with Gdb(firmware()) as gdb:
        debug(gdb, f"localhost:{ports['g']}")
    os.kill(program.pid, tool.end)
    assert program._process.wait(PATIENCE) in {-tool.end, 128 + tool.end}
    shared.ready()
    assert shared.log("fault") == []


@pytest.mark.parametrize("name", PIPES)
def test_the_pipe_of_every_tool_debugs_and_its_end_leaves_the_bench_as_it_was(
    shared: Rig, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv, _ = words(shared, PIPES[name])
    launches = shared.launches()
    monkeypatch.setenv("OCDSUP_SOCKET", str(shared.socket))  # GDB starts the drop-in itself
    with Gdb(firmware()) as gdb:
        debug(gdb, f"| {shlex.join([*DROPIN, *argv])}")
        assert shared.status()["targets"][0]["gdb_sessions"] == 1
    shared.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)
    assert shared.launches() == launches
    assert shared.ready()["phase"] == "ready"
    assert shared.log("fault") == []


@pytest.mark.parametrize("name", ONCE)
def test_the_upload_of_every_tool_is_written_and_ends_with_nought(shared: Rig, name: str) -> None:
    argv, _ = words(shared, ONCE[name])
    done = subprocess.run(
        [*DROPIN, *argv], capture_output=True, text=True, timeout=PATIENCE, env=shared.environment(), check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert re.search(r"wrote \d+ bytes from file|\*\* Programming Finished \*\*", done.stderr)
    shared.ready()
    image, read = Path(firmware()).with_suffix(".bin").read_bytes(), shared.folder / "read.bin"
    shared.tcl(f"dump_image {read} 0x08000000 {len(image)}")
    assert read.read_bytes() == image
