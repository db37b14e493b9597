"""The journal: one line a record, nothing forged, nothing raised, and honest about what was lost."""

import errno
import io
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.runtime import logs

INJECTION = "x\n<3>phase_changed new=failed\r\x1b[2J\x00\u2028\u202e\udcff fault=none"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may themselves run as a service."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def file() -> Iterator[IO[str]]:
    """A file to log to."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as made:
        yield made


def content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def board_speaks() -> None:
    raise ValueError(INJECTION)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class Terminal:
    """A pty that is logged to."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w")

    def text(self) -> str:
        """Return what one record printed."""
        return os.read(self._ours, 65536).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal to log to."""
    made = Terminal()
    yield made
    made.close()


def test_a_record_is_one_line_of_json_with_its_fields(file: IO[str]) -> None:
    """What is logged can be read back."""
    logs.set_up(stream=file).bind(bench="nucleo").warning("phase_changed", old="ready", new="degraded", n=2)
    (record,) = records(content(file))
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "phase_changed",
        "level": "warning",
        "bench": "nucleo",
        "old": "ready",
        "new": "degraded",
        "n": 2,
    }


@pytest.mark.parametrize(
    "value", [INJECTION, [INJECTION], (INJECTION,), {INJECTION: INJECTION}, INJECTION.encode("utf-8", "replace")]
)
def test_no_text_of_a_board_becomes_a_line_or_a_field_in_json(file: IO[str], value: object) -> None:
    """Whatever a field holds, the record is one printable line, and has exactly the fields it was given."""
    logs.set_up(stream=file).info("line_seen", text=value)
    text = content(file)
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    (record,) = records(text)
    assert set(record) == {"event", "level", "timestamp", "text"}


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda key: key not in {"self", "event", "exc_info"}), st.text() | st.floats() | st.binary()
    )
)
def test_every_record_can_be_read_back(fields: dict[str, Any]) -> None:
    """One line of strict JSON for any text, also infinities and broken Unicode."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        logs.set_up(stream=file).info("seen", **fields)
        (line,) = content(file).splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(line, parse_constant=refuse)["event"] == "seen"


def test_what_json_cannot_hold_is_shown_as_text(file: IO[str]) -> None:
    """A circle, a key that is no text, an infinite deadline: logging never raises."""
    circle: list[object] = []
    circle.append(circle)
    log = logs.set_up(stream=file)
    log.info("odd", due=float("inf"))
    log.info("odd", table={(1, 2): 3})
    log.info("odd", text="fine")
    assert [record.get("due", record.get("table", record.get("text"))) for record in records(content(file))] == [
        "inf",
        "{(1, 2): 3}",
        "fine",
    ]


def test_a_field_of_a_megabyte_is_cut_and_says_so(file: IO[str]) -> None:
    """The journal is not flooded by a board."""
    logs.set_up(stream=file).info("line_seen", text="A" * 1_000_000, lines=("B" * 1_000_000,))
    (record,) = records(content(file))
    assert len(content(file)) < 3 * logs.LONGEST
    assert record["text"].endswith("… (1000000 characters)")


def test_an_exception_is_kept_in_its_record(file: IO[str]) -> None:
    """With the place it came from, on the one line."""
    log = logs.set_up(stream=file)
    try:
        board_speaks()
    except ValueError:
        log.exception("task_failed")
    (record,) = records(content(file))
    assert record["level"] == "error"
    assert "test_logs.py" in record["exception"]


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2), ("exception", 3)]
)
def test_under_systemd_a_line_begins_with_its_priority(
    file: IO[str], monkeypatch: pytest.MonkeyPatch, level: str, priority: int
) -> None:
    """The journal files the record under the right level, and only the first bytes of a line can say so."""
    status = os.fstat(file.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    getattr(logs.set_up(stream=file, level="debug"), level)("line_seen", text=INJECTION)
    (line,) = content(file).splitlines()
    assert line.startswith(f"<{priority}>{{")
    assert json.loads(line[3:])["event"] == "line_seen"


def test_a_redirected_service_writes_plain_json(file: IO[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is inherited from the unit, but this stream is not the journal."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    logs.set_up(stream=file).info("up")
    assert records(content(file))[0]["event"] == "up"


def test_a_terminal_gets_a_readable_line(terminal: Terminal) -> None:
    """Names and values, and colours where nobody minds."""
    logs.set_up(stream=terminal.stream).warning("phase_changed", new="ready", device="/dev/ttyACM0", text="no answer")
    text = terminal.text()
    assert "\x1b[" in text
    for part in ("phase_changed", "warning", "ready", "/dev/ttyACM0", '"no answer"'):
        assert part in text


@pytest.mark.parametrize(("value", "coloured"), [("1", False), ("0", False), ("", True)])
def test_no_color_is_respected(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, value: str, coloured: bool) -> None:
    """Any value but the empty one (no-color.org)."""
    monkeypatch.setenv("NO_COLOR", value)
    logs.set_up(stream=terminal.stream).info("up", n=1)
    assert ("\x1b" in terminal.text()) is coloured


@pytest.mark.parametrize(
    "value",
    [INJECTION, "\x1b[2J", [INJECTION], {"a": INJECTION}, ValueError(INJECTION), "fault=none"],
    ids=["line", "escape alone", "list", "mapping", "exception", "field"],
)
def test_no_text_of_a_board_moves_the_cursor_or_forges_a_field_on_a_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """One printable line, and what looks like a field stands in quotes."""
    monkeypatch.setenv("NO_COLOR", "1")
    logs.set_up(stream=terminal.stream).info("line_seen", text=value)
    text = terminal.text()
    assert text.endswith("\r\n")
    assert text[:-2].isprintable()
    shown = text.partition("text=")[2]
    assert shown[0] in "\"'[{V" or "=" not in shown


def test_an_exception_on_a_terminal_cannot_look_like_a_record(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are readable, indented and printable."""
    monkeypatch.setenv("NO_COLOR", "1")
    log = logs.set_up(stream=terminal.stream)
    try:
        board_speaks()
    except ValueError:
        log.exception("task_failed")
    first, *rest = terminal.text().rstrip("\r\n").split("\r\n")
    assert "task_failed" in first
    assert len(rest) > 3
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)


def test_levels_below_the_chosen_one_are_not_written(file: IO[str]) -> None:
    """`info` leaves debug out."""
    log = logs.set_up(stream=file, level="warning")
    log.info("quiet")
    log.warning("loud")
    assert [record["event"] for record in records(content(file))] == ["loud"]


class Disk(io.RawIOBase):
    """A disk that is full for a while: `room` bytes may still be written."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.room = 1 << 30

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = bytes(data[: self.room])
        self.data += taken
        self.room -= len(taken)
        return len(taken)


@pytest.fixture
def disk() -> Disk:
    """A disk under the test's control."""
    return Disk()


def on(disk: Disk) -> IO[str]:
    return io.TextIOWrapper(io.BufferedWriter(disk), encoding="utf-8")


def test_a_full_disk_is_survived_and_told_later(disk: Disk) -> None:
    """Lost records are counted, told once, and never come back in the middle of others."""
    stream = on(disk)
    log = logs.set_up(stream=stream)
    other = structlog.get_logger()
    log.info("first")
    disk.room = 0
    log.info("lost")
    other.info("lost")
    disk.room = 1 << 30
    log.info("after")
    log.info("last")
    found = records(disk.data.decode())
    assert [record["event"] for record in found] == ["first", "log_lines_lost", "after", "last"]
    assert found[1]["count"] == 2


def test_a_disk_that_fills_up_within_a_line_spoils_only_that_line(disk: Disk) -> None:
    """What follows begins on a line of its own."""
    log = logs.set_up(stream=on(disk))
    disk.room = 10
    log.info("torn")
    disk.room = 1 << 30
    log.info("after")
    torn, *rest = disk.data.decode().splitlines()
    assert torn == '{"event": '
    assert [json.loads(line)["event"] for line in rest] == ["log_lines_lost", "after"]


def test_a_device_that_is_always_full_never_raises(capfd: pytest.CaptureFixture[str]) -> None:
    """The real /dev/full; nothing is said elsewhere either, which is where logging(3) puts its own tracebacks."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        log = logs.set_up(stream=full)
        for _ in range(3000):
            log.info("lost", text="x" * 100)
    assert capfd.readouterr() == ("", "")


def test_a_stream_that_was_closed_never_raises(file: IO[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Also not the text streams without a raw side."""
    plain = io.StringIO()
    for stream in (file, plain):
        log = logs.set_up(stream=stream)
        log.info("up")
        stream.close()
        log.info("gone")
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_went_away_does_not_end_the_daemon() -> None:
    """`ocdsup run 2>&1 | head`: the pipe is broken, the process goes on and exits as it wants to."""
    code = "from ocdsup.runtime import logs\nlog = logs.set_up()\nfor _ in range(100): log.info('up')\nprint('alive')"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, timeout=30, check=False)
    os.close(writer)
    assert (done.stdout, done.returncode) == (b"alive\n", 0)


def test_logs_go_to_stderr_and_results_stay_alone_on_stdout() -> None:
    """A program that reads our output sees no log."""
    code = "from ocdsup.runtime import logs\nlogs.set_up().info('up')\nprint('result')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert done.stdout == b"result\n"
    assert json.loads(done.stderr)["event"] == "up"


@pytest.mark.parametrize("make", [lambda file: file, lambda _file: io.StringIO()], ids=["file", "text"])
def test_set_up_twice_writes_once(file: IO[str], make: Callable[[IO[str]], IO[str]]) -> None:
    """A second set-up replaces the first."""
    stream = make(file)
    logs.set_up(stream=stream)
    logs.set_up(stream=stream).info("up")
    stream.seek(0)
    assert len(stream.read().splitlines()) == 1
