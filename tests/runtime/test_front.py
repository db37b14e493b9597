"""`ocdsup front` as a process, between the real GDB and the real gdbserver: what GDB prints is what it prints without it."""

from __future__ import annotations

import asyncio
import filecmp
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocdsup.rsp.framing import encode
from tests.rsp import test_real_gdb as scenes

pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]
program = scenes.program


@asynccontextmanager
async def front(server: int, log: int | None = None) -> AsyncIterator[int]:
    """`ocdsup front` on a free port; it ends with exit code 0 on SIGTERM and prints one line. `log` gets its stderr."""
    argv = [sys.executable, "-m", "ocdsup", "front", f"127.0.0.1:{server}"]
    process = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    line = await process.stdout.readline()
    found = re.fullmatch(rb"Listening on port (\d+) for gdb connections\n", line)
    assert found, line
    try:
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
        assert (rest, process.returncode) == (b"", 0)


async def both(
    program: Path, commands: list[str], server: list[str], *, extended: bool = False, before: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Run the same session without and with the front; return what GDB printed."""
    async with scenes.gdbserver(*server) as port:
        direct = await scenes.gdb(program, port, commands, extended=extended, before=before)
    async with scenes.gdbserver(*server) as port, front(port) as listening:
        through = await scenes.gdb(program, listening, commands, extended=extended, before=before)
    return direct, through


FILES = ["remote put {program} {tmp}/there", "remote get {tmp}/there {tmp}/back", "remote delete {tmp}/there", "kill"]
SCENES = {
    "hit and step": (scenes.HIT_AND_STEP, {}),
    "to the end": (scenes.RUN_TO_THE_END, {}),
    "binary": (scenes.TRANSFER, {}),
    "non-stop": (scenes.NON_STOP, {"before": ("set pagination off", "set non-stop on")}),
    "acknowledged": (scenes.HIT_AND_STEP, {"before": ("set remote noack-packet off",)}),
    "files": (FILES, {}),
}


@pytest.mark.parametrize("scene", SCENES)
async def test_gdb_prints_the_same(program: Path, scene: str) -> None:
    """Hits, steps, ends, binary writes, notifications, acknowledgements and file transfers look as they do without it."""
    commands, more = SCENES[scene]
    server = ["--once", "localhost:0", str(program)]
    direct, through = await both(program, commands, server, **more)  # type: ignore[arg-type]  # a table of keywords
    assert through == direct
    assert direct.strip()
    if scene == "files":
        assert filecmp.cmp(program.parent / "back", program, shallow=False)


async def test_an_extended_session_starts_programs(program: Path) -> None:
    """`vRun`, `!`, a program that ends and is started again."""
    commands = ["set remote exec-file {program}", "break work", "run", "bt", "kill", "run", "delete", "continue"]
    direct, through = await both(program, commands, ["--once", "--multi", "localhost:0"], extended=True)
    assert direct.count("Breakpoint 1, ") == 2
    assert through == direct


async def test_the_last_bytes_of_a_server_arrive_before_the_end() -> None:
    """A server that answers and closes at once, in the middle of a session: GDB gets the answer, then the end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"#")
        writer.write(b"+" + encode(b"l" + b"x" * 200_000))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, front(server.sockets[0].getsockname()[1]) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening)
        writer.write(encode(b"qXfer:features:read:target.xml:0,30d40"))
        got = await reader.read()
        writer.close()
    assert got == b"++" + encode(b"l" + b"x" * 200_000) or got == b"+" + encode(b"l" + b"x" * 200_000)


async def test_a_taken_port_is_said(program: Path) -> None:
    """Exit code 1 and one sentence that names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        argv = [sys.executable, "-m", "ocdsup", "front", "localhost:1", "--listen", str(number)]
        done = await asyncio.create_subprocess_exec(*argv, stderr=subprocess.PIPE, env=dict(os.environ))
        _, said = await done.communicate()
    assert done.returncode == 1
    assert f"port {number}" in said.decode()
