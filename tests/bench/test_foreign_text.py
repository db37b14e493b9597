"""Whatever OpenOCD or a board prints stays text: no log record, no status field, no prompt, no port can be made of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench.rig import PATIENCE, Rig, connect, read_until

FORGED = '{"event": "bench_ready", "level": "error", "bench": "two", "fault": "forged"}'
# What a program calling itself OpenOCD says before it becomes the real one.
JUNK = f"""\
#!{sys.executable}
import os, sys
if "--version" not in sys.argv:
    out = os.fdopen(2, "wb", 0, closefd=False)
    for text in (
        b"\\x1b[31mError: red\\x1b[0m \\x1b]0;title\\x07 \\x1b[2J\\n",
        {FORGED.encode()!r} + b"\\n",
        b"Error: first\\\\nsecond\\r\\nthird\\rfourth\\n",
        b"> \\n> targets\\n\\r> \\r\\n",
        b"Warn : nul \\0\\0\\0 nul\\n",
        b"Error: \\xff\\xfe not utf-8 \\xc3\\x28\\n",
        b"Error: " + b"x" * 1_000_000 + b"\\n",
        b"ocdsup-ready-0000000000000000 forged.cpu\\n",
        b"Info : Listening on port 9 for telnet connections\\n",
        b"Error: the end of the junk\\n",
    ):
        out.write(text)
os.execvp("openocd", ["openocd", *sys.argv[1:]])
"""


@pytest.fixture
def junk(rig: Rig) -> str:
    """The path of that program."""
    path = rig.folder / "junk-openocd"
    path.write_text(JUNK)
    path.chmod(0o755)
    return str(path)


def control_bytes(text: str) -> set[str]:
    """Characters that steer a terminal."""
    return {char for char in text if not char.isprintable() and char not in "\n\r"}


def test_junk_of_the_program_forges_no_record_and_no_field(rig: Rig, junk: str) -> None:
    """Every line of the daemon's log is one object of ours (read so by every test), and the status is what is true."""
    sim = rig.sim()
    daemon = rig.run(one=rig.bench(sim, openocd={"binary": junk}))
    bench = rig.ready()
    assert [target["name"] for target in bench["targets"]] == ["stm32f4x.cpu"]
    assert "forged" not in json.dumps([record.get("fault") for record in rig.log()])
    assert {record.get("bench", "one") for record in rig.log()} == {"one"}
    assert max(map(len, daemon.output.read_text().splitlines())) < 20_000
    assert control_bytes(daemon.output.read_text()) == set()
    assert len(rig.ask("status")["benches"]) == 1


def test_junk_of_the_program_is_harmless_on_a_terminal(rig: Rig, junk: str) -> None:
    """`logs`, `why`, `status` and the telnet words print it without control characters, long lines cut."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim, openocd={"binary": junk}))
    rig.ready()
    for words in (["logs", "-n", "500"], ["why"], ["status"]):
        shown = rig.ocdsup(*words).stdout
        assert control_bytes(shown) == set()
        assert max(map(len, shown.splitlines())) < 20_000
    assert "the end of the junk" in rig.ocdsup("logs", "-n", "500").stdout
    shown = rig.telnet("ocdsup logs 500", "ocdsup status")
    assert "the end of the junk" in shown
    assert control_bytes(shown) == set()


def test_a_board_that_prints_prompts_does_not_shift_the_answers(rig: Rig) -> None:
    """Text that looks like OpenOCD's prompt, in the answer to a command: the next answers still belong to their lines."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    port = rig.ready()["ports"]["telnet"]
    with connect(port) as sock:
        read_until(sock, b"> ")
        for number in range(3):
            sock.sendall(b'echo "before\\n> \\r> after"\n')
            read_until(sock, b"after\r\n> ")
            sock.sendall(f"expr {{4000 + {number}}}\n".encode())
            assert read_until(sock, b"\r\n> ").endswith(f"{4000 + number}\r\n> ".encode())


@pytest.mark.parametrize("service", ["telnet", "tcl", "gdb"])
def test_a_board_cannot_redirect_the_stable_ports(rig: Rig, service: str) -> None:
    """A line that looks like OpenOCD announcing a port, printed while it runs: clients still reach OpenOCD."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    rig.telnet(f'echo "Info : Listening on port 9 for {service} connections"')
    rig.telnet("halt")
    assert "stm32f4x.cpu" in rig.tcl("targets")
    port = bench["ports"]["gdb"][0]
    argv = [
        "gdb-multiarch",
        "--batch",
        "--nx",
        "-ex",
        f"target extended-remote localhost:{port}",
        "-ex",
        "info registers pc",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "0x8" in done.stdout
    assert rig.status()["backend"]["pid"] == bench["backend"]["pid"]


def test_a_board_cannot_claim_that_openocd_is_ready(rig: Rig) -> None:
    """The readiness token is a new random number for every start."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    tokens = []
    for _ in range(2):
        argv = " ".join(rig.ready()["backend"]["argv"])
        tokens.append(argv.partition("ocdsup-ready-")[2][:16])
        rig.ask("restart", "one")
    assert len(set(tokens)) == 2


def test_a_flood_of_output_freezes_neither_openocd_nor_the_daemon(rig: Rig) -> None:
    """Five thousand lines from one command: all drained, the status is answered meanwhile, nothing restarts."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    bench = rig.ready()
    with connect(bench["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        sock.sendall(b'for {set i 0} {$i < 5000} {incr i} {echo "Error: flood $i of the lines of a busy board"}\n')
        read_until(sock, b"flood 100 ")
        assert rig.status()["phase"] == "ready"
        read_until(sock, b"flood 4999 ")
    assert rig.ready()["backend"]["pid"] == bench["backend"]["pid"]
