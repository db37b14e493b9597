"""The drop-in between real tools and a supervised bench: real GDB, real OpenOCD, a simulated probe."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import Program
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE
from tests.sessions.desk import function, reason

if TYPE_CHECKING:
    from tests.bench.rig import Rig, Sim

DROPIN = [sys.executable, "-m", "ocdsup.cli.openocd"]
FILES = ["-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg"]
FLASH = 0x08000000
C_WRITE = ["-c", "flash write_image erase {elf}", "-c", "verify_image {elf}"]


def free_port() -> int:
    """A port nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def once(rig: Rig, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the drop-in to its end."""
    return rig.done([*DROPIN, *words], **env)


def serve(rig: Rig, *words: str, ports: bool = True) -> tuple[Program, dict[str, int]]:
    """Start the drop-in as a server on ports of its own; returns when GDB may come."""
    chosen = {service: free_port() for service in ("gdb", "telnet", "tcl")}
    asked = [part for service, port in chosen.items() for part in ("-c", f"{service}_port {port}")] if ports else []
    program = rig.start("dropin", [*DROPIN, *asked, *words])
    program.await_line("for telnet connections" if ports else "for gdb connections", PATIENCE)
    return program, chosen


def stopped_in(gdb: Gdb, target: str) -> str:
    """Attach, set a breakpoint in blink() and let the firmware run; returns the function in which a breakpoint stops it."""
    gdb.command(f"-target-select extended-remote {target}")
    gdb.command("-break-insert -h blink")
    gdb.command("-exec-continue")
    stop = gdb.wait_stop()
    assert reason(stop) == "breakpoint-hit", stop
    return function(stop)


def flash_words(rig: Rig, count: int = 64) -> bytes:
    """Bytes of the board's flash, as the bench's own OpenOCD reads them."""
    text = rig.tcl(f"mdw {FLASH:#x} {count}")
    found = re.findall(r"^0x[0-9a-f]{8}:((?: [0-9a-f]{8})+)", text, re.MULTILINE)
    return b"".join(bytes.fromhex(word)[::-1] for line in found for word in line.split())


@pytest.mark.parametrize("wait_for", [r"Info\s:[^\n]*Listening on port \d+ for gdb connection", "Started by GNU MCU Eclipse"])
def test_gdb_works_through_the_port_an_ide_asked_for(rig: Rig, sim: Sim, wait_for: str) -> None:
    program, ports = serve(rig, *FILES, "-c", 'echo "Started by GNU MCU Eclipse"')
    assert re.search(wait_for, program.output.read_text())
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
        assert rig.status()["targets"][0]["gdb_sessions"] == 1
    program._process.terminate()
    assert program._process.wait(PATIENCE) == -signal.SIGTERM
    assert rig.launches() == 1


def test_the_telnet_and_tcl_ports_an_ide_asked_for_reach_the_bench(rig: Rig, sim: Sim) -> None:
    _, ports = serve(rig, *FILES)
    with socket.create_connection(("::1", ports["tcl"]), PATIENCE) as tcl:
        tcl.sendall(b"target names\x1a")
        assert tcl.recv(100) == b"stm32f4x.cpu\x1a"
    nc = ["nc", "-q", "1", "localhost", str(ports["telnet"])]
    told = subprocess.run(
        nc, input="targets\nocdsup status\nexit\n", capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "hla_target" in told.stdout
    assert "one: ready" in told.stdout


def test_the_benchs_own_stable_port_is_served_already(rig: Rig, sim: Sim) -> None:
    """The usual case: the IDE asks for 3333, and 3333 is the bench's."""
    ports = rig.status()["ports"]
    words = ["-c", f"gdb_port {ports['gdb'][0]}", "-c", f"telnet_port {ports['telnet']}", "-c", "tcl_port 0"]
    program, _ = serve(rig, *words, *FILES, ports=False)
    assert f"Listening on port {ports['gdb'][0]} for gdb connections" in program.output.read_text()
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb'][0]}") == "blink"


def test_ctrl_c_ends_the_server(rig: Rig, sim: Sim) -> None:
    program, _ = serve(rig, *FILES)
    os.kill(program.pid, signal.SIGINT)
    assert program._process.wait(PATIENCE) in {130, -signal.SIGINT}


def test_kill_9_of_the_drop_in_hurts_nothing(rig: Rig, sim: Sim) -> None:
    program, ports = serve(rig, *FILES)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
        os.kill(program.pid, signal.SIGKILL)
        program._process.wait()
    rig.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)
    assert rig.launches() == 1
    again, ports = serve(rig, *FILES)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
    again.end()


def test_a_session_through_the_drop_in_outlives_a_restart_of_openocd(rig: Rig, sim: Sim) -> None:
    _, ports = serve(rig, *FILES)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
        os.kill(rig.status()["backend"]["pid"], signal.SIGKILL)
        rig.recovered()
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()


def test_gdb_works_on_the_pipe_of_platformio(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    command = [*DROPIN, "-s", "/pkg", "-c", "gdb_port pipe; tcl_port disabled; telnet_port disabled", "-s", "/pkg/scripts"]
    command += ["-f", "interface/stlink.cfg", "-c", "transport select hla_swd", "-f", "target/stm32f4x.cfg"]
    os.environ["OCDSUP_SOCKET"] = str(rig.socket)  # GDB starts the drop-in itself
    try:
        with Gdb(firmware()) as gdb:
            assert stopped_in(gdb, f"| {shlex.join(command)}") == "blink"
            gdb.command('-interpreter-exec console "monitor reset halt"')
            gdb.command("-exec-continue")
            assert "breakpoint-hit" in gdb.wait_stop()
    finally:
        del os.environ["OCDSUP_SOCKET"]
    rig.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)
    assert rig.launches() == 1


def test_program_verify_reset_exit_writes_the_flash_and_says_so(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    """Read back by the bench's own OpenOCD, and compared with the image."""
    image = tmp_path / "image.bin"
    image.write_bytes(bytes((7 * i + 3) % 256 for i in range(4096)))
    elf = os.path.relpath(image)  # a path relative to the caller's folder, as Makefiles write it
    done = once(rig, *FILES, "-c", f"program {elf} {FLASH:#x} verify reset exit")
    assert done.returncode == 0, done.stderr
    assert "** Verified OK **" in done.stderr
    assert done.stdout == ""
    rig.ready()
    assert flash_words(rig) == image.read_bytes()[:256]


@pytest.mark.parametrize(
    "commands",
    [
        ["-c", "program {elf} verify reset; shutdown;"],
        ["-c init", "-c targets", "-c", "reset init", *C_WRITE, "-c", "reset run", "-c", "shutdown"],
    ],
    ids=["PlatformIO upload", "west flash"],
)
def test_upload_commands_run_to_their_end(rig: Rig, sim: Sim, commands: list[str]) -> None:
    done = once(rig, *FILES, *(word.replace("{elf}", str(firmware())) for word in commands))
    assert done.returncode == 0, done.stderr
    assert rig.ready()["targets"][0]["state"] == "running"


def test_a_failed_upload_has_the_exit_code_and_the_words_of_openocd(rig: Rig, sim: Sim) -> None:
    done = once(rig, *FILES, "-c", "program /nonexistent.elf verify reset exit")
    assert done.returncode == 1
    assert "** Programming Failed **" in done.stderr
    rig.ready()


def test_clions_flash_write_comes_before_the_server(rig: Rig, sim: Sim) -> None:
    program, ports = serve(rig, *FILES, "-c", f'program "{firmware()}"', "-c", "reset halt")
    text = program.output.read_text()
    assert text.index("** Programming Finished **") < text.index("for gdb connections")
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"


def test_echoes_come_in_their_order_behind_the_work_before_them(rig: Rig, sim: Sim) -> None:
    program, _ = serve(rig, *FILES, "-c", "init", "-c", "reset init", "-c", "echo VisualGDB_OpenOCD_Ready", "-c", "targets")
    text = program.output.read_text()
    assert text.index("for gdb connections") < text.index("VisualGDB_OpenOCD_Ready") < text.index("TargetName")
    assert rig.status()["targets"][0]["state"] == "halted"


def test_helpers_of_cortex_debug_are_read_and_their_words_run(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    helpers = tmp_path / "openocd-helpers.tcl"
    helpers.write_text('proc CDRTOSConfigure {rtos} {set ::cd_rtos $rtos; return "rtos $rtos"}\n')
    program, _ = serve(rig, "-f", str(helpers), *FILES, "-c", "CDRTOSConfigure FreeRTOS")
    assert "rtos FreeRTOS" in program.output.read_text()
    assert rig.tcl("set ::cd_rtos") == "FreeRTOS"


def test_the_version_is_answered_by_the_real_one(rig: Rig) -> None:
    done = once(rig, "--version")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"\d+\.\d+\.\d+", done.stderr.split()[3].split("-")[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-x"], "invalid option -- 'x'"),
        (["board.cfg"], "Unexpected command line argument: board.cfg"),
        (["-f", "interface/cmsis-dap.cfg", "-f", "target/rp2040.cfg", "-c", "init"], "CMSIS-DAP"),
        ([*FILES, "-c", "adapter serial 0000", "-c", "init"], "0000"),
    ],
    ids=["unknown option", "argument", "another probe and chip", "another serial"],
)
def test_what_is_not_for_a_bench_is_done_by_the_real_openocd(rig: Rig, sim: Sim, words: list[str], said: str) -> None:
    done = once(rig, *words)
    assert done.returncode != 0
    assert said in done.stderr or "open failed" in done.stderr
    assert rig.launches() == 1


def test_a_command_that_openocd_does_not_know_is_an_error(rig: Rig, sim: Sim) -> None:
    done = once(rig, *FILES, "-c", f"gdb_port {free_port()}", "-c", "init", "-c", "no_such_command")
    assert done.returncode == 1
    assert 'invalid command name "no_such_command"' in done.stderr


def test_a_chip_of_another_kind_borrows_the_probe_it_would_take(rig: Rig, sim: Sim) -> None:
    """No serial is named, so the real OpenOCD would take the first ST-LINK, which is the supervised one."""
    done = once(rig, "-f", "interface/stlink.cfg", "-f", "target/stm32h7x.cfg", "-c", "shutdown")
    assert done.returncode == 0, done.stderr
    assert "lends its probe meanwhile" in done.stderr
    assert len(rig.log("lent")) == 1
    rig.ready()


def test_two_benches_that_fit_are_not_guessed_between(rig: Rig) -> None:
    sim = rig.sim("0671FF000000000000000001", "0671FF000000000000000002")
    both = {name: rig.bench(sim, f"0671FF00000000000000000{n}") for n, name in ((1, "one"), (2, "two"))}
    rig.run(**both)
    rig.ready("one")
    rig.ready("two")
    done = once(rig, *FILES, "-c", "init; shutdown")
    assert done.returncode == 1
    assert "cannot choose between one, two" in done.stderr
    done = once(rig, *FILES, "-c", "adapter serial 0671FF000000000000000002", "-c", "init; shutdown")
    assert done.returncode == 0, done.stderr
    assert [record["bench"] for record in rig.log("lent")] == ["two"]


def test_a_bench_that_cannot_be_used_is_said_at_once(rig: Rig, sim: Sim) -> None:
    rig.ask("stop", "one")
    done = once(rig, *FILES)
    assert done.returncode == 1
    assert "Listening" not in done.stderr
    assert "Error: ocdsup: cannot use one" in done.stderr


def test_a_port_of_somebody_else_is_an_error_as_openocd_says_it(rig: Rig, sim: Sim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = once(rig, *FILES, "-c", f"gdb_port {port}")
    assert done.returncode == 1
    assert f"couldn't bind gdb to socket on port {port}: Address already in use" in done.stderr


def test_without_a_daemon_the_real_openocd_runs(rig: Rig) -> None:
    done = once(rig, "-c", "shutdown")
    assert "the real OpenOCD runs without supervision" in done.stderr


def test_a_command_line_without_an_adapter_ends_as_openocd_ends_it(rig: Rig, sim: Sim) -> None:
    done = once(rig, "-c", "echo hi", "-c", "shutdown")
    assert done.returncode == 0, done.stderr
    assert "\nhi\nshutdown command invoked\n" in done.stderr


def test_installed_as_openocd_it_never_starts_itself(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    """First in PATH under the name it stands in for, beside a script that leads back to it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "openocd").write_text(f'#!/bin/sh\n# ocdsup\nexec {shlex.join(DROPIN)} "$@"\n')
    (folder / "openocd").chmod(0o755)
    argv = ["openocd", *FILES, "-c", f"program {firmware()} verify reset exit"]
    env = rig.environment(PATH=f"{folder}:{os.environ['PATH']}")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert "** Verified OK **" in done.stderr
    alone = subprocess.run(
        ["openocd", "--version"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**env, "PATH": _without_openocd(folder)},
        check=False,
    )
    assert alone.returncode == 1
    assert "cannot find the real OpenOCD" in alone.stderr


def _without_openocd(folder: Path) -> str:
    """A PATH with the wrapper, its interpreter and shell, and no OpenOCD."""
    for name in ("sh",):
        (folder / name).symlink_to(str(shutil.which(name)))
    return str(folder)


def test_inside_a_loan_it_is_the_real_one(rig: Rig, sim: Sim) -> None:
    words = ["-c", "gdb_port disabled; tcl_port disabled; telnet_port disabled", "-f", "interface/stlink.cfg"]
    words += ["-c", f"hla_stlink_backend tcp {sim.port}", "-f", "target/stm32f4x.cfg", "-c", "init; targets; shutdown"]
    done = rig.ocdsup("lend", "one", "--", *DROPIN, *words)
    assert done.returncode == 0, done.stderr
    assert len(rig.log("lent")) == 1


def test_monitor_safe_keeps_tcl_from_the_drop_in(rig: Rig) -> None:
    sim = rig.sim()
    rig.run(one=rig.bench(sim, monitor="safe"))
    rig.ready()
    done = once(rig, *FILES, "-c", f"gdb_port {free_port()}", "-c", "init", "-c", "exec id")
    assert done.returncode == 1
    assert "`monitor: safe` of the configuration" in done.stderr
    program, _ = serve(rig, *FILES, "-c", f"gdb_port {free_port()}", "-c", "init", "-c", "reset halt", ports=False)
    assert "no Tcl port" in program.output.read_text() or program.await_line("no Tcl port")


def test_nothing_that_a_server_is_told_is_passed_over_in_silence(rig: Rig, sim: Sim, tmp_path: Path) -> None:
    """What the bench's configuration decides is named, files too; an echo of what only OpenOCD knows is echoed here."""
    (tmp_path / "mine.cfg").write_text("adapter speed 100\n")
    words = ["-d2", *FILES, "-f", str(tmp_path / "mine.cfg"), "-f", "board/nowhere.cfg", "-c", "adapter speed 4000"]
    program, _ = serve(rig, *words, "-c", "init", "-c", "echo [target names]", "-c", 'echo "one: [llength [target names]]"')
    text = program.output.read_text()
    for part in (
        "'-d2' is left to the configuration of one",
        "'adapter speed 4000' is left to the configuration of one",
        "mine.cfg is not read: it sets OpenOCD up",
        "board/nowhere.cfg is not read: it is not found",
    ):
        assert part in text
    assert "interface/stlink.cfg is not read" not in text
    assert re.search(r"(?m)^stm32f4x\.cpu$", text)
    assert re.search(r"(?m)^one: 1$", text)
    assert "100" not in rig.tcl("adapter speed")
