"""The life of a drop-in beside its bench, its daemon, its clients and other drop-ins, with the real tools."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import Program
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, Sim, connect, gone, read_until
from tests.dropin.test_real_tools import DROPIN, FILES, FLASH, flash_words, free_port, once, serve, stopped_in

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
PIPE = ["-c", "gdb_port pipe; tcl_port disabled; telnet_port disabled"]
PROGRAM = "program {elf} verify reset exit"


def begin(rig: Rig, *words: str, stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start the drop-in with its own stdin and stdout, as GDB does."""
    argv = [*DROPIN, *words]
    return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=rig.environment())


def ended(program: Program) -> tuple[int, str]:
    """The exit code of a drop-in, and what it said."""
    return program._process.wait(PATIENCE), program.output.read_text()


# Clients that end OpenOCD


@pytest.mark.parametrize(
    ("service", "words"), [("tcl", b"shutdown\x1a"), ("telnet", b"shutdown\r\n"), ("tcl", b"catch {shutdown}\x1a")]
)
def test_a_shutdown_on_its_ports_ends_the_drop_in_as_it_would_end_openocd(shared: Rig, service: str, words: bytes) -> None:
    launches = shared.launches()
    program, ports = serve(shared, *FILES)
    with connect(ports[service]) as sock:
        sock.sendall(words)
        code, text = ended(program)
    assert (code, text.splitlines()[-1]) == (0, "shutdown command invoked")
    assert (shared.launches(), shared.faults()) == (launches, [])


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("telnet", b"catch shutdown why; echo $why\r\n"),
        ("telnet", b"::shutdown\r\n"),
        ("telnet", b"if 1 {shutdown}\r\n"),
        ("tcl", b"proc bye {} {shutdown}; bye\x1a"),
        ("tcl", b"lmap x 1 {shutdown}\x1a"),
        ("tcl", b"apply {{} shutdown}\x1a"),
        ("tcl", b"{*}shutdown\x1a"),
        ("tcl", b"set a shut; ${a}down\x1a"),
    ],
)
def test_a_hidden_shutdown_on_its_ports_is_answered_and_ends_nothing(shared: Rig, service: str, words: bytes) -> None:
    launches = shared.launches()
    program, ports = serve(shared, *FILES)
    with connect(ports[service]) as sock:
        sock.sendall(words)
        read_until(sock, b"supervised")
    assert program._process.poll() is None
    program.end()
    shared.ready()
    assert (shared.launches(), shared.faults()) == (launches, [])


def test_monitor_shutdown_ends_the_drop_in_and_not_the_bench(shared: Rig) -> None:
    launches = shared.launches()
    program, ports = serve(shared, *FILES)
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{ports['gdb']}")
        with pytest.raises(GdbError):
            gdb.command('-interpreter-exec console "monitor shutdown"')
    assert ended(program)[0] == 0
    shared.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)
    assert (shared.launches(), shared.faults()) == (launches, [])


def test_other_commands_pass_to_openocd_and_back(shared: Rig) -> None:
    program, ports = serve(shared, *FILES)
    with connect(ports["tcl"]) as sock:
        sock.sendall(b"proc x {} {shutdown}; set y [list {no shutdown}]\x1a")
        assert read_until(sock, b"\x1a") == b"{no shutdown}\x1a"
    program.end()


@pytest.mark.parametrize("own", [True, False], ids=["a port of its own", "the bench's port"])
def test_an_end_that_is_to_come_when_gdb_goes_comes_then(shared: Rig, own: bool) -> None:
    launches, lent = shared.launches(), len(shared.log("lent"))
    port = free_port() if own else shared.status()["ports"]["gdb"][0]
    words = ["-c", f"gdb_port {port}; telnet_port disabled; tcl_port disabled", *FILES]
    event = "$_TARGETNAME configure -event gdb-detach {echo parting; shutdown}"
    program, _ = serve(shared, *words, "-c", event, ports=False)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{port}") == "blink"
        assert program._process.poll() is None
    code, text = ended(program)
    assert (code, text.splitlines()[-2:]) == (0, ["parting", "shutdown command invoked"])
    assert (shared.launches(), len(shared.log("lent")), shared.faults()) == (launches, lent, [])


@pytest.mark.parametrize("words", [["init"], ["init; reset halt"]], ids=["no reset at all", "one before it"])
def test_gdb_behind_an_upload_without_a_reset_finds_the_core_at_its_start(shared: Rig, words: list[str]) -> None:
    """The flash loader's registers are in the core when an OpenOCD ends, and GDB would go on from there."""
    program, ports = serve(shared, *FILES, "-c", *words, "-c", f"program {firmware()} verify")
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
    program.end()


# The pipe


def test_a_pipe_that_gdb_closes_at_once_ends_well(shared: Rig) -> None:
    done = begin(shared, *PIPE, *FILES, stdin=subprocess.DEVNULL)
    _, said = done.communicate(timeout=PATIENCE)
    assert (done.returncode, b"Traceback" in said) == (0, False)


def test_a_pipe_that_nobody_reads_ends_well(shared: Rig) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = begin(shared, *PIPE, *FILES, stdout=writing)
    os.close(writing)
    _, said = done.communicate(b"+$qSupported:multiprocess+#c6$?#3f", timeout=PATIENCE)
    assert (done.returncode, b"Traceback" in said) == (0, False)
    shared.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_pipe(shared: Rig, number: signal.Signals) -> None:
    done = begin(shared, *PIPE, *FILES)
    assert done.stdin is not None
    assert done.stdout is not None
    done.stdin.write(b"$qSupported#37")
    done.stdin.flush()
    assert done.stdout.read(1)  # the bench's port answers: the pipe is in use
    done.send_signal(number)
    done.communicate(timeout=PATIENCE)
    assert done.returncode in {-number, 128 + number}
    shared.until("lose the session", lambda bench: bench["targets"][0]["gdb_sessions"] == 0)


def test_gdb_on_the_pipe_waits_for_a_bench_that_is_away(rig: Rig, sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDB gives up after six seconds without an answer; the bench's own port keeps it patient, and nothing else does."""
    sim.control.break_("silent")
    rig.until("be away", lambda bench: bench["phase"] in {"recovering", "backoff"})
    monkeypatch.setenv("OCDSUP_SOCKET", str(rig.socket))
    with Gdb(firmware()) as gdb:
        select = f"-target-select extended-remote | {shlex.join([*DROPIN, *PIPE, *FILES])}"
        gdb.send(select)
        rig.until("have a GDB", lambda bench: any(target["gdb_sessions"] for target in bench["targets"]))
        sim.control.heal()
        gdb.result(select)
        gdb.command("-break-insert -h blink")
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()


# The bench and the daemon


def test_a_bench_that_is_lent_is_waited_for_and_that_is_said(shared: Rig) -> None:
    lend = shared.start("lend", [sys.executable, "-m", "ocdsup", "lend", "one", "--", "sleep", "600"])
    shared.until("be lent", lambda bench: bench["phase"] == "lent")
    program = shared.start("dropin", [*DROPIN, "-c", f"gdb_port {free_port()}; telnet_port 0; tcl_port 0", *FILES])
    program.await_line("Info : ocdsup: one is lent: waiting for it", PATIENCE)
    assert "Listening" not in program.output.read_text()
    lend.end()
    program.await_line("for gdb connections", PATIENCE)
    program.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_drop_in_that_waits_for_its_turn_can_be_ended(shared: Rig, number: signal.Signals) -> None:
    lend = shared.start("lend", [sys.executable, "-m", "ocdsup", "lend", "one", "--", "sleep", "600"])
    shared.until("be lent", lambda bench: bench["phase"] == "lent")
    program = shared.start("dropin", [*DROPIN, *FILES, "-c", "init; shutdown"])
    program.await_line("1 borrower before this one", PATIENCE)
    os.kill(program.pid, number)
    assert program._process.wait(PATIENCE) in {-number, 128 + number}
    shared.until("leave the queue", lambda bench: bench["loan"]["waiting"] == [])
    lend.end()
    shared.ready()


def test_a_daemon_that_is_restarted_is_waited_for(rig: Rig, sim: Sim) -> None:
    program, ports = serve(rig, *FILES)
    rig.kill()
    program.await_line("the daemon has gone; waiting for it", PATIENCE)
    rig.run(one=rig.bench(sim))
    rig.ready()
    program.await_line("the daemon is back", PATIENCE)
    assert program._process.poll() is None
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"


def test_a_daemon_that_stays_away_ends_the_drop_in(rig: Rig, sim: Sim) -> None:
    program, _ = serve(rig, *FILES)
    assert rig.stop() == 0
    code, text = ended(program)
    assert (code, text.splitlines()[-1]) == (1, "Error: ocdsup: the daemon has gone")


def test_a_daemon_that_ends_ends_the_pipe_and_that_is_said(rig: Rig, sim: Sim) -> None:
    done = begin(rig, *PIPE, *FILES)
    assert done.stdin is not None
    assert done.stdout is not None
    done.stdin.write(b"$qSupported#37")
    done.stdin.flush()
    assert done.stdout.read(1)
    rig.kill()
    assert done.wait(PATIENCE) == 1
    assert done.stderr is not None
    assert b"Error: ocdsup: the daemon has gone" in done.stderr.read()
    for end in (done.stdin, done.stdout, done.stderr):
        end.close()


# Several at once


def test_two_servers_on_one_bench_have_a_port_each_and_not_the_same(shared: Rig) -> None:
    first, ports = serve(shared, *FILES)
    done = once(shared, "-c", f"gdb_port {ports['gdb']}; telnet_port 0; tcl_port 0", *FILES)
    assert done.returncode == 1
    assert f"couldn't bind gdb to socket on port {ports['gdb']}: Address already in use" in done.stderr
    second, others = serve(shared, *FILES)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{others['gdb']}") == "blink"
    first.end()
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{others['gdb']}") == "blink"
    second.end()


def test_two_uploads_at_once_come_one_after_the_other(shared: Rig) -> None:
    both = [begin(shared, *FILES, "-c", PROGRAM.format(elf=firmware()), stdin=subprocess.DEVNULL) for _ in range(2)]
    for one in both:
        _, said = one.communicate(timeout=PATIENCE)
        assert (one.returncode, b"** Verified OK **" in said) == (0, True)
    shared.ready()
    assert shared.faults() == []


def test_an_upload_beside_a_debug_session_leaves_the_session(shared: Rig) -> None:
    """GDB is told the truth first, a stop at the reset that ends the upload; then its breakpoint is hit again."""
    program, ports = serve(shared, *FILES)
    with Gdb(firmware()) as gdb:
        assert stopped_in(gdb, f"localhost:{ports['gdb']}") == "blink"
        done = once(shared, *FILES, "-c", PROGRAM.format(elf=firmware()))
        assert done.returncode == 0, done.stderr
        shared.ready()
        stops = list[str]()
        while len(stops) < 3 and not any("breakpoint-hit" in stop for stop in stops):
            gdb.command("-exec-continue")
            stops.append(gdb.wait_stop())
        assert "breakpoint-hit" in stops[-1]
    program.end()


# Uploads


@pytest.mark.parametrize("name", ["my file", "b[r]k", "do$l", "semi;colon", "a{b}c", 'quo"te', "ünï", "#hash"])
def test_an_image_with_an_awkward_name_is_written(shared: Rig, name: str) -> None:
    image = shared.folder / f"{name}.bin"
    image.write_bytes(bytes((len(name) * i + ord(name[0])) % 256 for i in range(512)))
    done = once(shared, *FILES, "-c", f"program {{{image}}} {FLASH:#x} verify reset exit")
    assert done.returncode == 0, done.stderr
    shared.ready()
    assert flash_words(shared) == image.read_bytes()[:256]


def test_a_flash_that_refuses_is_a_failed_upload(rig: Rig, sim: Sim) -> None:
    sim.control.break_("flash-error", erase=0)
    done = once(rig, *FILES, "-c", PROGRAM.format(elf=firmware()))
    assert done.returncode == 1
    assert "** Programming Failed **" in done.stderr
    sim.control.heal()
    rig.ready()


def test_a_verify_that_fails_is_a_failed_upload(shared: Rig) -> None:
    image = shared.folder / "other.bin"
    image.write_bytes(b"\x55" * 64)
    done = once(shared, *FILES, "-c", "init; reset halt", "-c", f"verify_image {image} {FLASH:#x}", "-c", "shutdown")
    assert done.returncode == 1
    assert "diff 0 address 0x08000000" in done.stderr
    shared.ready()


def test_kill_9_in_the_middle_of_an_upload_ends_its_openocd_and_gives_the_probe_back(shared: Rig) -> None:
    image = shared.folder / "large.bin"
    image.write_bytes(os.urandom(256 * 1024))
    program = shared.start("dropin", [*DROPIN, *FILES, "-c", f"program {image} {FLASH:#x} exit"])
    program.await_line("** Programming Started **", PATIENCE)
    (pid,) = shared.openocds()
    os.kill(program.pid, signal.SIGKILL)
    program._process.wait(PATIENCE)
    gone(pid)
    shared.ready()
    assert once(shared, *FILES, "-c", PROGRAM.format(elf=firmware())).returncode == 0
    shared.ready()


# What the command line says


def test_a_log_file_gets_the_lines_and_one_that_cannot_be_made_stops_nothing(shared: Rig) -> None:
    log = shared.folder / "openocd.log"
    log.write_text("of yesterday\n")
    program = shared.start(
        "dropin", [*DROPIN, "-c", f"gdb_port {free_port()}; telnet_port 0; tcl_port 0", *FILES, "-l", str(log)]
    )
    shared.until("fill the log", lambda _: "for gdb connections" in log.read_text())
    assert "of yesterday" not in log.read_text()
    assert "Listening" not in program.output.read_text()
    program.end()
    program, _ = serve(shared, *FILES, "-l", "/nonexistent/openocd.log")
    assert "Error: failed to open output log '/nonexistent/openocd.log'" in program.output.read_text()
    program.end()


@pytest.mark.parametrize("commands", [[], ["-c", "init"]], ids=["OpenOCD's own init", "its own"])
def test_the_lines_come_in_openocds_order(shared: Rig, commands: list[str]) -> None:
    """Behind an `init` of the command line GDB's port is the first, else the last (0.12: server_init comes before init)."""
    program, _ = serve(shared, *FILES, *commands)
    text = program.output.read_text()
    order = sorted(("gdb", "tcl", "telnet"), key=lambda service: text.index(f"for {service} connections"))
    assert order == (["gdb", "tcl", "telnet"] if commands else ["tcl", "telnet", "gdb"])
    program.end()


def test_what_commands_print_and_log_is_seen_as_openocd_would_show_it(shared: Rig) -> None:
    """An echo inside a procedure, several lines in one -c, a tab, log lines of the target: an IDE may wait for any of them."""
    script = 'proc greet {name} {\n  echo "hello $name"\n  echo bye\n}\nforeach\tn {one two} {greet $n}'
    program, _ = serve(
        shared, *FILES, "-c", "init", "-c", script, "-c", "reset halt", "-c", "puts [target names]", "-c", "mdw 0x0"
    )
    text = program.output.read_text()
    assert "\nhello one\nbye\nhello two\nbye\n" in text
    assert "\n[stm32f4x.cpu] halted due to debug-request" in text
    assert "\nstm32f4x.cpu\n" in text
    assert "\n0x00000000: " in text
    program.end()


def test_a_port_may_be_written_in_hexadecimal(shared: Rig) -> None:
    port = free_port()
    program, _ = serve(shared, "-c", f"gdb_port {port:#x}; telnet_port disabled; tcl_port disabled", *FILES, ports=False)
    assert f"Listening on port {port} for gdb connections" in program.output.read_text()
    program.end()


@pytest.mark.parametrize("port", ["70000", "abc", "-1", "$P"])
def test_what_is_no_port_is_refused(shared: Rig, port: str) -> None:
    done = once(shared, "-c", f"gdb_port {port}", *FILES)
    assert done.returncode == 1
    assert f"Error: ocdsup: cannot open the gdb port: '{port}' is no port" in done.stderr


@pytest.mark.parametrize("words", [["-dx"], ["-d9"], ["-d", "2"], ["-p"], ["--pipe"], ["-h"], ["-vx"]], ids=" ".join)
def test_what_openocd_answers_itself_is_answered_by_openocd(shared: Rig, words: list[str]) -> None:
    real = subprocess.run(
        ["openocd", *words], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False
    )
    done = once(shared, *words)
    assert (done.returncode, done.stdout) == (real.returncode, real.stdout)
    assert done.stderr.splitlines()[-1] == real.stderr.splitlines()[-1]


def test_helpers_that_may_not_be_read_are_named_and_left_out(rig: Rig, tmp_path: Path) -> None:
    rig.run(one=rig.bench(rig.sim(), monitor="safe"))
    rig.ready()
    helpers = tmp_path / "openocd-helpers.tcl"
    helpers.write_text("proc CDRTOSConfigure {rtos} {foreach t [target names] {$t configure -rtos $rtos}}\n")
    ports = ["-c", f"gdb_port {free_port()}; telnet_port disabled; tcl_port disabled"]
    program, _ = serve(rig, "-f", str(helpers), *ports, *FILES, "-c", "CDRTOSConfigure auto", ports=False)
    text = program.output.read_text()
    assert "openocd-helpers.tcl is not read, and its commands are left out" in text
    assert "'CDRTOSConfigure auto' is left out" in text


def test_the_real_one_is_found_without_a_daemon_and_that_is_said(tmp_path: Path) -> None:
    env = {**os.environ, "OCDSUP_SOCKET": str(tmp_path / "nobody.sock")}
    argv = [*DROPIN, "-c", "echo hello; shutdown"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, env=env, check=False)
    assert done.returncode == 0
    assert "nobody listens there" in done.stderr
    assert "the real OpenOCD runs without supervision" in done.stderr
    assert "\nhello\n" in done.stderr
