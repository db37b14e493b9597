"""The real GDB on the real gdbserver: through the proxy it prints what it prints without it."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocdsup.rsp.policy import TRANSPARENT
from tests.rsp.throwaway_edge import Edge, edge

pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]

PROGRAM = """
#include <stdio.h>
#include <unistd.h>
volatile int counter;
static char block[40000];
int work(int n) { counter += n; return counter; }
int main(void) {
    for (int i = 0; i < 5; i++) { work(i); block[i] = '#' + i; }
    puts("done");
    return counter;
}
"""
HIT_AND_STEP = [
    "break work", "continue", "bt", "info registers rip", "stepi", "stepi", "finish", "x/8xb block", "watch counter",
    "continue", "delete", "print counter", "set var counter = 1000", "break work", "continue", "info breakpoints", "detach",
]  # fmt: skip
RUN_TO_THE_END = ["break main", "continue", "delete", "continue"]
TRANSFER = [
    "break main", "continue", "dump binary memory {tmp}/block.bin block block+40000",
    "restore {tmp}/junk.bin binary block", "dump binary memory {tmp}/back.bin block block+40000", "kill",
]  # fmt: skip
NON_STOP = ["break work", "continue", "info threads", "next", "print counter", "delete", "continue"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the debuggee."""
    folder = tmp_path_factory.mktemp("debuggee")
    (folder / "debuggee.c").write_text(PROGRAM)
    gcc = shutil.which("gcc")
    assert gcc is not None, "gcc is needed to build the program that is debugged"
    subprocess.run([gcc, "-g", "-O0", "-no-pie", "-o", "debuggee", "debuggee.c"], cwd=folder, check=True)
    (folder / "junk.bin").write_bytes(bytes(range(256)) * 150 + b"#$}*" * 100)
    return folder / "debuggee"


@asynccontextmanager
async def gdbserver(*arguments: str) -> AsyncIterator[int]:
    """Start gdbserver on a free port."""
    process = await asyncio.create_subprocess_exec(
        "gdbserver", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while True:
            line = await process.stderr.readline()
            found = re.search(rb"Listening on port (\d+)", line)
            if found:
                break
            assert line, "gdbserver ended before it listened"
        yield int(found[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def gdb(program: Path, port: int, commands: list[str], *, extended: bool = False, before: tuple[str, ...] = ()) -> str:
    """Run GDB and return what it printed, without what differs from run to run."""
    connect = f"target {'extended-remote' if extended else 'remote'} 127.0.0.1:{port}"
    lines = ["set confirm off", "set sysroot /", "set height 0", *before, connect]
    lines += [command.format(tmp=program.parent, program=program) for command in commands]
    arguments = [part for line in lines for part in ("-ex", line)]
    process = await asyncio.create_subprocess_exec(
        "gdb-multiarch", "-nx", "-batch", *arguments, str(program),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    printed, _ = await process.communicate()
    return re.sub(r"(process|Thread|LWP|pid) [\d.]+|127\.0\.0\.1:\d+", r"\1 N", printed.decode(errors="replace"))


async def both(program: Path, commands: list[str], server: list[str], **how: object) -> tuple[str, str, Edge]:
    """Return what GDB prints directly and through the proxy."""
    extended, before = bool(how.get("extended")), tuple(str(line) for line in _lines(how.get("before")))
    async with gdbserver(*server) as port:
        direct = await gdb(program, port, commands, extended=extended, before=before)
    async with gdbserver(*server) as port, edge(TRANSPARENT, "127.0.0.1", port) as (there, listening):
        through = await gdb(program, listening, commands, extended=extended, before=before)
    return direct, through, there


def _lines(given: object) -> tuple[object, ...]:
    return given if isinstance(given, tuple) else ()


@pytest.mark.parametrize("commands", [HIT_AND_STEP, RUN_TO_THE_END], ids=["hit-and-step", "run-to-the-end"])
async def test_gdb_prints_the_same_through_the_proxy(program: Path, commands: list[str]) -> None:
    """Breakpoints, steps, watchpoints, writes, detach and the end of the program look the same."""
    direct, through, there = await both(program, commands, ["--once", "localhost:0", str(program)])
    assert "Breakpoint 1, " in direct
    assert through == direct
    assert there.requests


async def test_binary_transfers_arrive_byte_by_byte(program: Path) -> None:
    """What is written with `X` and read back is the same, escapes and runs included."""
    direct, through, _ = await both(program, TRANSFER, ["--once", "localhost:0", str(program)])
    assert through == direct
    assert (program.parent / "back.bin").read_bytes()[:38800] == (program.parent / "junk.bin").read_bytes()[:38800]


async def test_an_extended_session_starts_programs(program: Path) -> None:
    """`vRun`, `!` and a program that ends and is started again work as without the proxy."""
    commands = ["set remote exec-file {program}", "break work", "run", "bt", "kill", "run", "delete", "continue"]
    direct, through, _ = await both(program, commands, ["--once", "--multi", "localhost:0"], extended=True)
    assert direct.count("Breakpoint 1, ") == 2
    assert through == direct


async def test_non_stop_notifications_pass(program: Path) -> None:
    """In non-stop mode stops come as notifications, and GDB sees the same."""
    how = ("set pagination off", "set non-stop on")
    direct, through, _ = await both(program, NON_STOP, ["--once", "localhost:0", str(program)], before=how)
    assert "Breakpoint 1, " in direct
    assert through == direct


async def test_with_acknowledgements_on_gdb_prints_the_same(program: Path) -> None:
    """A GDB that is forbidden to switch acknowledgements off works too."""
    how = ("set remote noack-packet off",)
    direct, through, _ = await both(program, HIT_AND_STEP, ["--once", "localhost:0", str(program)], before=how)
    assert "Breakpoint 1, " in direct
    assert through == direct
