"""The configuration is read by a child that ends: its answer, its problems, and what happens when it has none."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from ocdsup.config.exchange import Checked
from ocdsup.errors import ConfigError
from ocdsup.runtime import config_file

GOOD = """\
version: 1
benches:
  nucleo:
    probe: {serial: "066BFF555185754867211234"}
    openocd: {config: [interface/stlink.cfg, target/stm32f4x.cfg]}
    ports: {gdb: 0, telnet: 0}
"""
BAD = """\
version: 1
control: 7
benches:
  Nucleo:
    opnocd: {}
    ports: {gdb: 99999}
"""

Read = Callable[[str], Awaitable[Checked]]


async def _read_blocking(file: str) -> Checked:
    return config_file.read(file)


@pytest.fixture(params=["first", "again"])
def read(request: pytest.FixtureRequest) -> Read:
    """Return both ways to read: at the start, and for a reload."""
    return _read_blocking if request.param == "first" else config_file.read_again


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that only its owner may write."""
    made = tmp_path / "ocdsup.yaml"
    made.write_text(GOOD)
    made.chmod(0o600)
    return made


def spoil(file: Path, content: bytes) -> None:
    """Put something else into the file."""
    file.write_bytes(content)


def child_is(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let another program stand in for the validator."""
    monkeypatch.setattr(config_file, "_command", lambda _file: [sys.executable, "-S", "-c", code])


async def test_a_good_file_becomes_a_configuration(read: Read, file: Path) -> None:
    """What was written is what comes back, with defaults filled in."""
    checked = await read(str(file))
    (bench,) = checked.config.benches
    assert (bench.name, bench.ports.gdb, bench.recovery.failures) == ("nucleo", 0, 3)
    assert checked.warnings == ()


async def test_a_bad_file_is_refused_with_every_problem_at_its_place(read: Read, file: Path) -> None:
    """All at once, each with file, line and column."""
    spoil(file, BAD.encode())
    with pytest.raises(ConfigError) as caught:
        await read(str(file))
    problems = caught.value.problems
    assert {problem.file for problem in problems} == {str(file)}
    assert {problem.line for problem in problems} >= {2, 5, 6}
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


@pytest.mark.parametrize("kind", ["absent", "directory", "not text"])
async def test_a_file_that_cannot_be_read_is_a_problem_of_the_configuration(read: Read, file: Path, kind: str) -> None:
    """It is named, and nothing else is raised."""
    match kind:
        case "absent":
            os.unlink(file)
        case "directory":
            file = file.parent
        case _:
            spoil(file, b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as caught:
        await read(str(file))
    assert str(caught.value).startswith(str(file))


async def test_a_name_that_looks_like_an_option_is_a_file(read: Read, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ocdsup run -c -h` names a file called `-h`."""
    monkeypatch.chdir(file.parent)
    os.rename(file, "-h")
    assert (await read("-h")).config.benches[0].name == "nucleo"


async def test_modules_in_the_working_directory_are_not_run(read: Read, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firmware project may hold a yaml.py or json.py; it is not the validator's."""
    monkeypatch.chdir(file.parent)
    for name in ("yaml", "json", "pydantic"):
        (file.parent / f"{name}.py").write_text("raise SystemExit('somebody else')")
    assert (await read(str(file))).config.benches[0].name == "nucleo"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.kill(os.getpid(), 9)",
        "raise RuntimeError('broken')",
        "print('{\"config\": {}}')",
        "print('{\"config\": ')",
        "import sys; sys.stdout.buffer.write(bytes(1000))",
        "pass",
    ],
    ids=["killed", "raises", "no config", "half an answer", "junk", "silent"],
)
async def test_a_child_without_an_answer_is_a_problem_and_not_a_crash(
    read: Read, file: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The running daemon keeps what it has."""
    child_is(monkeypatch, code)
    with pytest.raises(ConfigError, match="gave no answer") as caught:
        await read(str(file))
    assert caught.value.unread


async def test_a_child_that_hangs_is_ended(read: Read, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a pipe or a dead mount takes for ever, and no child is left."""
    monkeypatch.setattr(config_file, "TIMEOUT_S", 0.2)
    child_is(monkeypatch, "import signal; signal.pause()")
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ConfigError, match=r"took more than 0\.2 s"):
        await read(str(file))
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_pc_that_cannot_start_the_child_keeps_its_configuration(
    read: Read, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of processes or memory: the same error as any other."""
    monkeypatch.setattr(config_file, "_command", lambda _file: [str(file.parent / "no-python")])
    with pytest.raises(ConfigError, match="could not be started: No such file") as caught:
        await read(str(file))
    assert caught.value.unread


async def test_reading_again_does_not_hold_the_loop_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else goes on while the child works: here it waits for what only the loop can do."""
    gate = file.parent / "gate"
    os.mkfifo(gate)
    child_is(monkeypatch, f"open({str(gate)!r}).read()")
    reading = asyncio.ensure_future(config_file.read_again(str(file)))
    writer = None
    async with asyncio.timeout(20):
        while writer is None:
            await asyncio.sleep(0)
            writer = _open_for_writing(gate)
    os.close(writer)
    with pytest.raises(ConfigError, match="gave no answer"):
        await reading


def _open_for_writing(gate: Path) -> int | None:
    """Open the pipe as soon as the child reads it."""
    try:
        return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_a_reload_that_is_given_up_leaves_no_child(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon may end while it reads."""
    child_is(monkeypatch, "import signal; signal.pause()")
    own = psutil.Process()
    before = {child.pid for child in own.children()}
    reading = asyncio.ensure_future(config_file.read_again(str(file)))
    async with asyncio.timeout(20):
        while {child.pid for child in own.children()} <= before:  # noqa: ASYNC110  # the child announces itself to nobody
            await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert {child.pid for child in own.children()} <= before
