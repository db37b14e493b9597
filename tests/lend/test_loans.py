"""A loan from its first to its last moment: who gets the probe, how it comes back, what everybody is told."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pexpect
import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import SERIAL, Program, is_alive, until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, gone
from tests.lend.test_tools import attach

if TYPE_CHECKING:
    from tests.bench.rig import Rig, Sim

OCDSUP = [sys.executable, "-m", "ocdsup"]
FLASH = 0x08000000


def lend(rig: Rig, *words: str) -> Program:
    """`ocdsup lend one …`, running beside the test."""
    return rig.start("lend", [*OCDSUP, "lend", "one", *words])


def lent(rig: Rig) -> dict[str, object]:
    """Wait until the probe is lent; the loan as the status shows it."""
    loan = rig.until("lend the probe", lambda bench: bench["phase"] == "lent")["loan"]
    assert isinstance(loan, dict)
    return loan


def program(sim: Sim, elf: Path, *more: str) -> list[str]:
    """A real OpenOCD of the borrower's own that writes `elf`."""
    words = ["gdb_port disabled", "tcl_port disabled", "telnet_port disabled", f"hla_stlink_backend tcp {sim.port}"]
    argv = ["openocd", "-f", "interface/stlink.cfg", *(part for word in words for part in ("-c", word))]
    return [
        *argv,
        "-f",
        "target/stm32f4x.cfg",
        "-c",
        f"program {elf} verify",
        *(part for word in more for part in ("-c", word)),
    ]


def traffic(sim: Sim) -> int:
    """Commands that the probe has carried out."""
    return sum(sim.control.log()["counts"].values())


def flash_words(rig: Rig) -> str:
    """The first words of the board's flash, as OpenOCD reads them."""
    return rig.tcl(f"mdw {FLASH:#x} 16")


def code(program: Program) -> int:
    """Exit code of a program that ends by itself."""
    return program._process.wait(PATIENCE)


def test_the_command_learns_which_probe_and_its_exit_code_comes_back(rig: Rig, sim: Sim) -> None:
    script = "import json, os, sys; print(json.dumps(dict(os.environ))); sys.exit(7)"
    done = rig.ocdsup("lend", "one", "--", sys.executable, "-c", script)
    env = json.loads(done.stdout)
    assert done.returncode == 7
    assert {name: env.get(name) for name in ("OCDSUP_PROBE_SERIAL", "OCDSUP_PROBE_VID_PID", "OCDSUP_LEASE")} == {
        "OCDSUP_PROBE_SERIAL": SERIAL,
        "OCDSUP_PROBE_VID_PID": "0483:374b",
        "OCDSUP_LEASE": "one",
    }
    assert env["PROBE_RS_PROBE"] == f"0483:374b:{SERIAL}"
    assert env["OCDSUP_PROBE_SERVER"] == f"127.0.0.1:{sim.port}"
    assert rig.ready()["loan"] is None


def test_status_and_journal_say_who_has_the_probe_since_when(rig: Rig, sim: Sim) -> None:
    borrower = lend(rig, "--for", "10m", "--", "sleep", "600")
    loan = lent(rig)
    assert str(loan["borrower"]).startswith(f"sleep 600 (PID {borrower.pid}, ")
    assert 0 < float(str(loan["left_s"])) <= 600
    assert "lent to sleep 600" in rig.ocdsup("status").stdout
    assert " left\n" in rig.ocdsup("status").stdout
    assert re.search(r"ocdsup: OpenOCD is away: lent.* to sleep 600 \(PID", rig.telnet("targets"))
    borrower._process.terminate()
    assert code(borrower) == 128 + signal.SIGTERM
    rig.ready()
    assert [record["event"] for record in rig.log() if record["event"] in {"lent", "lend_ended"}] == ["lent", "lend_ended"]


def test_borrowers_are_served_in_their_order_without_an_openocd_in_between(rig: Rig, sim: Sim) -> None:
    first = lend(rig, "--", "sleep", "600")
    lent(rig)
    second = lend(rig, "--", "echo", "second")
    second.await_line("1 borrower before this one")
    third = lend(rig, "--", "echo", "third")
    third.await_line("2 borrowers before this one")
    launches = rig.launches()
    first._process.terminate()
    second.await_line("second")
    third.await_line("third")
    assert (code(second), code(third)) == (0, 0)
    rig.ready()
    assert rig.launches() == launches + 1
    served = [str(record["borrower"]).split()[1] for record in rig.log("lent") + rig.log("passed_on")]
    assert served == ["600", "second", "third"]


def test_a_loan_that_is_over_ends_the_whole_group_of_its_borrower(rig: Rig, sim: Sim) -> None:
    """SIGTERM is not enough for this one, and its child has ignored it as well."""
    script = 'trap "" TERM; echo child $$; sh -c \'trap "" TERM; echo grandchild $$; while :; do sleep 1; done\''
    borrower = lend(rig, "--for", "500ms", "--", "sh", "-c", script)
    pid = int(borrower.await_line("grandchild").split()[1])
    assert code(borrower) == 128 + signal.SIGKILL
    assert not is_alive(pid)
    borrower.await_line("its 0.5 s are over")
    rig.ready()


@pytest.mark.parametrize(
    ("leader", "ended"),
    [
        ("setsid sleep 600 & echo stray $!; wait", 128 + signal.SIGTERM),
        ("(setsid sleep 600 & echo stray $!); exit 3", 3),
    ],
)
def test_what_left_the_group_is_ended_with_the_loan(rig: Rig, sim: Sim, leader: str, ended: int) -> None:
    borrower = lend(rig, "--for", "1s", "--", "sh", "-c", leader)
    pid = int(borrower.await_line("stray").split()[1])
    assert code(borrower) == ended
    rig.ready()
    assert not is_alive(pid)


def test_kill_9_of_the_command_line_ends_the_borrower_before_the_probe_comes_back(rig: Rig, sim: Sim) -> None:
    borrower = lend(rig, "--", "sh", "-c", "echo pid $$; exec sleep 600")
    pid = int(borrower.await_line("pid").split()[1])
    os.kill(borrower.pid, signal.SIGKILL)
    borrower._process.wait()
    rig.ready()
    assert not is_alive(pid)


def test_a_daemon_that_dies_does_not_take_a_running_command_with_it(rig: Rig, sim: Sim) -> None:
    """It may be writing flash. The next daemon finds the probe held, and waits."""
    go = rig.folder / "go"
    os.mkfifo(go)
    borrower = lend(rig, "--", "sh", "-c", f"echo begun; read line < {go}; echo finished; exit 5")
    borrower.await_line("begun")
    rig.kill()
    borrower.await_line("goes on")
    go.write_text("now\n")
    assert code(borrower) == 5
    assert "finished" in borrower.tail()


def test_a_daemon_that_ends_in_order_lets_a_borrower_finish_and_starts_nothing(rig: Rig, sim: Sim) -> None:
    """`systemctl restart` in the middle of a flash write of somebody's tool: nobody needs the probe back."""
    go = rig.folder / "go"
    os.mkfifo(go)
    borrower = lend(rig, "--", "sh", "-c", f"echo begun; read line < {go}; echo finished; exit 5")
    borrower.await_line("begun")
    launches = rig.launches()
    assert rig.daemon is not None
    log = rig.daemon.output
    assert rig.stop() == 0
    borrower.await_line("goes on")
    go.write_text("now\n")
    assert code(borrower) == 5
    assert "finished" in borrower.tail()
    assert log.read_text().count('"event": "launched"') == launches


def test_ctrl_c_reaches_the_command_and_the_terminal_comes_back(rig: Rig, sim: Sim) -> None:
    """On a terminal, as a person has it: the command is the foreground job, Ctrl-Z does not put a loan aside."""
    env = rig.environment()
    shell = pexpect.spawn("sh", env=cast("os._Environ[str]", env), timeout=PATIENCE, encoding="utf-8", echo=False)
    try:
        shell.sendline("PS1='sh''> '")
        shell.expect_exact("sh> ")
        command = "print(input('say: ')); input('again: ')"
        shell.sendline(shlex.join([*OCDSUP, "lend", "one", "--", sys.executable, "-c", command]))
        shell.expect_exact("say: ")
        shell.sendline("hello")
        shell.expect_exact("again: ")
        shell.sendcontrol("z")
        shell.expect_exact("a borrower cannot be put into the background")
        shell.sendcontrol("c")
        shell.expect_exact("KeyboardInterrupt")
        shell.expect_exact("sh> ")
        shell.sendline("echo code $?; read line; echo read $line")
        shell.expect_exact("code 130")
        shell.sendline("back")
        shell.expect_exact("read back")
    finally:
        shell.close(force=True)
    assert rig.ready()["loan"] is None


def test_kill_9_of_the_guard_ends_the_borrower_too(rig: Rig, sim: Sim) -> None:
    borrower = lend(rig, "--", "sh", "-c", "echo pid $$ guard $PPID; exec sleep 600")
    line = borrower.await_line("guard").split()
    os.kill(int(line[3]), signal.SIGKILL)
    assert code(borrower) == 128 + signal.SIGKILL
    gone(int(line[1]))
    rig.ready()


def test_without_a_command_the_probe_is_free_until_ctrl_c(rig: Rig, sim: Sim) -> None:
    borrower = lend(rig)
    borrower.await_line("is free; Ctrl-C gives it back")
    assert rig.status()["phase"] == "lent"
    os.kill(borrower.pid, signal.SIGINT)
    assert code(borrower) == 0
    rig.ready()


def test_a_command_that_cannot_be_started_gives_the_probe_back(rig: Rig, sim: Sim) -> None:
    done = rig.ocdsup("lend", "one", "--", "/nonexistent/tool")
    assert done.returncode == 127
    assert "cannot run /nonexistent/tool: No such file or directory" in done.stderr
    rig.ready()


def test_telnet_lends_for_seconds_and_takes_back(rig: Rig, sim: Sim) -> None:
    assert "the probe of one is free for 600 s" in rig.telnet("ocdsup lend 600")
    assert rig.status()["phase"] == "lent"
    assert "telnet) has it" in rig.telnet("ocdsup lend 5")
    assert "the probe is back" in rig.telnet("ocdsup resume")
    rig.ready()
    assert "it is not lent" in rig.telnet("ocdsup resume")


def test_resume_ends_a_command_that_has_the_probe(rig: Rig, sim: Sim) -> None:
    borrower = lend(rig, "--", "sleep", "600")
    lent(rig)
    assert "was told to give the probe back" in rig.telnet("ocdsup resume")
    assert code(borrower) == 128 + signal.SIGTERM
    rig.ready()


def test_a_loan_inside_a_loan_is_the_same_loan(rig: Rig, sim: Sim) -> None:
    """`make flash` in a loan, with a Makefile that lends: the second would wait for the first for ever."""
    done = rig.ocdsup("lend", "one", "--", sys.executable, "-m", "ocdsup", "lend", "one", "--", "echo", "inner")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["inner"]), done.stderr
    rig.ready()


@pytest.mark.parametrize("core", ["halted", "running"])
def test_the_core_is_afterwards_as_it_was_before(rig: Rig, sim: Sim, core: str) -> None:
    """The borrower leaves it the other way round."""
    rig.tcl("halt" if core == "halted" else "resume")
    rig.until(f"be {core}", lambda bench: bench["targets"][0]["state"] == core)
    last = "reset run" if core == "halted" else "reset halt"
    done = rig.ocdsup("lend", "one", "--", *program(sim, firmware(), last, "shutdown"))
    assert done.returncode == 0, done.stderr
    assert rig.ready()["targets"][0]["state"] == core
    assert sim.core() == core


def test_a_flash_tool_works_in_a_loan_with_a_gdb_session_before_during_and_after(rig: Rig, sim: Sim) -> None:
    elf = firmware()
    with Gdb(elf) as gdb:
        attach(rig, gdb)
        done = rig.ocdsup("lend", "one", "--", *program(sim, elf, "reset run", "shutdown"))
        assert done.returncode == 0, done.stderr
        assert "** Verified OK **" in done.stderr
        rig.ready()
        gdb.wait_stop()
        assert any("the probe is lent to openocd" in line for line in gdb.log), gdb.log
        assert any("had the probe" in line for line in gdb.log), gdb.log
        gdb.command("-break-enable 1")
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()
    assert rig.status()["targets"][0]["gdb_sessions"] <= 1


def test_a_continue_during_a_loan_waits_and_is_told_even_after_a_request_that_waited_in_vain(rig: Rig, sim: Sim) -> None:
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{rig.status()['ports']['gdb'][0]}")
        gdb.command("-break-insert -h blink")
        gdb.command("-exec-continue")
        gdb.wait_stop()
        borrower = lend(rig, "--", "sh", "-c", "echo begun; exec sleep 600")
        borrower.await_line("begun")
        with pytest.raises(GdbError, match="Unable to read memory"):
            gdb.command("-data-read-memory-bytes 0x20000000 16")
        gdb.command("-exec-continue")
        until("tell it", lambda: any("goes on when it is back" in line for line in gdb.log), PATIENCE)
        assert gdb.no_stop_waiting()
        borrower._process.terminate()
        gdb.wait_stop()
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()


def test_kill_9_of_a_borrower_in_the_middle_of_its_flash_write_leaves_a_bench_that_works(
    rig: Rig, sim: Sim, tmp_path: Path
) -> None:
    image = tmp_path / "big.bin"
    image.write_bytes(bytes(range(256)) * 3072)  # 768 KiB: long enough to be met half way
    argv = program(sim, image, "shutdown")
    argv[argv.index(f"program {image} verify")] = f"program {image} {FLASH:#x} verify"
    with Gdb(firmware()) as gdb:
        gdb.command(f"-target-select extended-remote localhost:{rig.status()['ports']['gdb'][0]}")
        before_words = flash_words(rig)
        borrower = lend(rig, "--", "sh", "-c", 'echo pid $$; exec "$@"', "sh", *argv)
        pid = int(borrower.await_line("pid").split()[1])
        borrower.await_line("Programming Started")
        before = traffic(sim)
        until("see it write", lambda: traffic(sim) > before + 50, PATIENCE)
        os.kill(pid, signal.SIGKILL)
        assert "Programming Finished" not in borrower.tail()
        assert code(borrower) == 128 + signal.SIGKILL
        rig.ready()
        assert flash_words(rig) != before_words
        done = rig.ocdsup("lend", "one", "--", *program(sim, firmware(), "shutdown"))
        assert done.returncode == 0, done.stderr
        rig.ready()
        assert flash_words(rig) == before_words
        gdb.command("-break-insert -h blink")
        gdb.command('-interpreter-exec console "monitor reset halt"')
        gdb.command("-exec-continue")
        assert "breakpoint-hit" in gdb.wait_stop()
