"""The version of OpenOCD: asked of the program once, and again when it is another file."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from ocdsup.errors import BackendError
from ocdsup.runtime import versions
from ocdsup.runtime.versions import Versions


def program(path: Path, *says: str) -> str:
    """Write a program that counts its runs and says these lines on stderr, as OpenOCD does."""
    lines = "\n".join(f"echo '{line}' >&2" for line in says)
    path.write_text(f"#!/bin/sh\necho run >>{path}.runs\n{lines}\n")
    path.chmod(0o755)
    return str(path)


def runs(binary: str) -> int:
    return Path(f"{binary}.runs").read_text().count("run")


async def test_the_program_is_asked_once(tmp_path: Path) -> None:
    asked = Versions()
    binary = program(tmp_path / "openocd", "Open On-Chip Debugger 0.11.0")
    assert asked.known(binary) is None
    first = await asked.ask(binary)
    assert (str(first), await asked.ask(binary), asked.known(binary), runs(binary)) == (str(first), first, first, 1)
    assert "0.11" in str(first)


async def test_the_program_is_asked_again_when_the_file_changes(tmp_path: Path) -> None:
    """An upgrade under a daemon that runs for months."""
    asked = Versions()
    binary = program(tmp_path / "openocd", "Open On-Chip Debugger 0.11.0")
    old = await asked.ask(binary)
    program(tmp_path / "openocd", "Open On-Chip Debugger 0.12.0")
    os.utime(binary, ns=(1, 1))  # the same size; the time tells
    assert asked.known(binary) is None
    assert await asked.ask(binary) != old
    assert runs(binary) == 2


async def test_the_installed_openocd_answers() -> None:
    assert str(await Versions().ask("openocd")).startswith("0.1")


@pytest.mark.parametrize(
    ("says", "why"),
    [((), "version"), (("hello world",), "version"), (("Open On-Chip Debugger 0.9.0",), "0.10")],
    ids=["nothing", "another program", "too old"],
)
async def test_a_program_that_will_not_do_is_refused_with_the_reason(tmp_path: Path, says: tuple[str, ...], why: str) -> None:
    asked = Versions()
    binary = program(tmp_path / "openocd", *says)
    with pytest.raises(BackendError, match=why):
        await asked.ask(binary)
    assert asked.known(binary) is None


async def test_a_missing_program_is_named_and_what_to_do_about_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-openocd")
    assert Versions().known(missing) is None
    with pytest.raises(BackendError, match=r"no-openocd: there is no such file; install OpenOCD 0\.10 or newer"):
        await Versions().ask(missing)
    with pytest.raises(BackendError, match=r"no-openocd: there is no such program on the PATH; install OpenOCD 0\.10 or newer"):
        await Versions().ask("no-openocd")


async def test_a_file_that_is_no_program_is_named_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "openocd").write_text("not executable")
    with pytest.raises(BackendError, match=r"it is not an executable file; run `chmod \+x .*openocd`, or install OpenOCD"):
        await Versions().ask(str(tmp_path / "openocd"))
    with pytest.raises(BackendError, match=r"it is a directory; install OpenOCD"):
        await Versions().ask(str(tmp_path))


async def test_a_program_that_the_kernel_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    """`Exec format error`: the image of another processor, an empty file."""
    binary = tmp_path / "openocd"
    binary.write_bytes(b"\x7fELF nonsense")
    binary.chmod(0o755)
    with pytest.raises(BackendError, match="Exec format error"):
        await Versions().ask(str(binary))


async def test_a_silent_program_costs_the_limit_and_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "TIMEOUT_S", 0.2)
    binary = tmp_path / "openocd"
    binary.write_text("#!/bin/sh\nexec sleep 1000\n")
    binary.chmod(0o755)
    with pytest.raises(BackendError, match=r"no answer within 0\.2 s"):
        await Versions().ask(str(binary))


async def test_a_silent_program_behind_a_wrapper_is_ended_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell of a script without `exec` goes; what it started would hold the answer's pipe open."""
    monkeypatch.setattr(versions, "TIMEOUT_S", 0.5)
    binary = tmp_path / "openocd"
    binary.write_text(f"#!/bin/sh\nsh -c 'echo $$ >{tmp_path}/pid; exec sleep 1000'\n")
    binary.chmod(0o755)
    with pytest.raises(BackendError, match=r"no answer within 0\.5 s"):
        async with asyncio.timeout(20):
            await Versions().ask(str(binary))
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_question_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    binary = tmp_path / "openocd"
    fifo = tmp_path / "began"
    os.mkfifo(fifo)
    binary.write_text(f"#!/bin/sh\necho began >{fifo}\nexec sleep 1000\n")
    binary.chmod(0o755)
    asking = asyncio.create_task(Versions().ask(str(binary)))
    began = await asyncio.to_thread(fifo.read_text)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert began == "began\n"
