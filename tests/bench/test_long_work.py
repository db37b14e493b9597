"""OpenOCD does one thing at a time: while a person has it write flash, its silence is no hang, and nothing cuts it off."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Bench, Rig, connect, read_until

HANG_S = 1.0
MEASURED_S = 4.0  # where work has to be measured first: two heartbeats of it, on a machine that may be busy
LINE = "program_slowly"  # of the kind that writes flash; this one blocks OpenOCD until it is let go
DONE = "programmed"


class Slow:
    """A bench whose `program_slowly` takes until it is told to finish."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.fifo = folder / "fifo"
        os.mkfifo(self.fifo)
        sim = rig.sim()
        commands = [f"proc {name} {{}} {{exec cat {self.fifo}}}" for name in (LINE, "ponder")]
        rig.run(one=rig.bench(sim, openocd={"commands": commands}, recovery={"hang_timeout": f"{HANG_S:g}s"}))
        self.pid = self.status()["backend"]["pid"]
        self._writer: int | None = None

    def status(self) -> Bench:
        """The bench, ready."""
        return self.rig.ready()

    def begun(self) -> None:
        """Wait until the command is carried out."""
        self._writer = until("see it begin", self._open, PATIENCE)

    def _open(self) -> int | None:
        with suppress(OSError):  # ENXIO: nobody reads yet
            return os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        return None

    def finish(self) -> None:
        """Let the command end, if it has begun."""
        if self._writer is not None:
            with suppress(BrokenPipeError):  # it was ended
                os.write(self._writer, DONE.encode())
            os.close(self._writer)
            self._writer = None

    def outlast(self) -> None:
        """Let the time pass after which a silent OpenOCD counts as hung, three times over."""
        began = monotonic()
        until("let the time pass", lambda: monotonic() - began > 3 * HANG_S, PATIENCE)


@pytest.fixture
def slow(rig: Rig, tmp_path: Path) -> Iterator[Slow]:
    """The bench, ready."""
    slow = Slow(rig, tmp_path)
    yield slow
    slow.finish()


@contextmanager
def by_telnet(slow: Slow, line: str) -> Iterator[Callable[[], str]]:
    """Typed at the console."""
    with connect(slow.status()["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        sock.sendall(f"{line}\n".encode())
        yield lambda: read_until(sock, b"> ").decode()


@contextmanager
def by_monitor(slow: Slow, line: str) -> Iterator[Callable[[], str]]:
    """`monitor` in a GDB."""
    gdb = Gdb(firmware())
    try:
        gdb.command(f"-target-select extended-remote localhost:{slow.status()['ports']['gdb'][0]}", PATIENCE)
        gdb.command('-interpreter-exec console "set remotetimeout 60"')
        gdb.send(f'-interpreter-exec console "monitor echo [{line}]"')

        def answer() -> str:
            gdb.result("monitor", PATIENCE)
            return "".join(gdb.log)

        yield answer
    finally:
        gdb.close()


@contextmanager
def by_dropin(slow: Slow, line: str) -> Iterator[Callable[[], str]]:
    """Through the daemon, as the drop-in `openocd` runs its commands."""
    answers: list[str] = []
    thread = Thread(target=lambda: answers.append(slow.rig.ask("tcl", "one", script=line)["text"]))
    thread.start()

    def answer() -> str:
        thread.join(PATIENCE)
        return "".join(answers)

    try:
        yield answer
    finally:
        thread.join(PATIENCE)


WAYS = {"telnet": by_telnet, "monitor": by_monitor, "drop-in": by_dropin}


@pytest.mark.parametrize("way", WAYS)
def test_an_openocd_that_writes_flash_for_long_is_not_taken_for_hung(slow: Slow, way: str) -> None:
    with WAYS[way](slow, LINE) as answer:
        slow.begun()
        slow.outlast()
        slow.finish()
        assert DONE in answer()
    assert slow.status()["backend"]["pid"] == slow.pid
    assert slow.status()["counters"]["recoveries"] == 0


@pytest.mark.parametrize("way", ["telnet", "monitor"])
def test_a_write_goes_on_to_its_end_when_whoever_asked_for_it_is_gone(slow: Slow, way: str) -> None:
    """The console or GDB was closed: OpenOCD writes on, and nobody takes that for a hang or cuts it off."""
    with WAYS[way](slow, LINE):
        slow.begun()
    slow.outlast()
    assert "one writes flash" in slow.rig.ocdsup("restart", "one").stderr
    assert slow.status()["backend"]["pid"] == slow.pid
    slow.finish()
    until("see it done", lambda: slow.rig.ocdsup("stop", "one").returncode == 0, PATIENCE)
    assert slow.rig.status()["counters"]["recoveries"] == 0


@pytest.mark.parametrize("stays", [True, False], ids=["who asked waits", "who asked is gone"])
def test_a_flash_write_in_a_procedure_of_the_user_is_seen_by_its_work_with_the_probe(
    rig: Rig, tmp_path: Path, stays: bool
) -> None:
    """Nothing in `burn` tells that it writes flash, and OpenOCD says nothing to anybody meanwhile."""
    image, go = tmp_path / "image.bin", tmp_path / "go"
    image.write_bytes(bytes(range(256)) * 64)
    write = f"while {{![file exists {go}]}} {{flash write_image erase {image} 0x08000000}}"
    commands = [f"proc burn {{}} {{reset halt; {write}; echo WRITTEN}}"]
    rig.run(one=rig.bench(rig.sim(), openocd={"commands": commands}, recovery={"hang_timeout": f"{MEASURED_S:g}s"}))
    pid = rig.ready()["backend"]["pid"]
    with connect(rig.status()["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        sock.sendall(b"burn\n")
        read_until(sock, b"device id")
        if not stays:
            sock.close()
        began = monotonic()
        until("let the time pass", lambda: monotonic() - began > 3 * MEASURED_S, PATIENCE)
        go.touch()
        if stays:
            read_until(sock, b"WRITTEN")
    bench = rig.ready()
    assert (bench["backend"]["pid"], bench["counters"]["recoveries"]) == (pid, 0)
    until("see it written", lambda: "WRITTEN" in rig.ocdsup("logs", "one").stdout, PATIENCE)


def test_an_openocd_that_is_silent_in_any_other_command_is_replaced(slow: Slow) -> None:
    """The same silence in a command that ought to be answered at once."""
    with connect(slow.status()["ports"]["telnet"]) as sock:
        read_until(sock, b"> ")
        sock.sendall(b"ponder\n")
        read_until(sock, b"OpenOCD is away")
    assert slow.rig.recovered()["backend"]["pid"] != slow.pid


@pytest.mark.parametrize("words", [("restart", "one"), ("stop", "one"), ("lend", "one", "--for", "1m", "--", "true")])
def test_who_would_cut_the_write_off_is_told_so_and_may_insist(slow: Slow, words: tuple[str, ...]) -> None:
    with by_telnet(slow, LINE):
        slow.begun()
        refused = slow.rig.ocdsup(*words)
        assert refused.returncode == 1
        assert "one writes flash" in refused.stderr
        assert "--force" in refused.stderr
        assert slow.status()["backend"]["pid"] == slow.pid
        assert slow.rig.ocdsup(words[0], words[1], "--force", *words[2:]).returncode == 0
    slow.rig.until("have ended it", lambda bench: (bench["backend"] or {}).get("pid") != slow.pid)


def test_a_reload_that_would_cut_the_write_off_leaves_everything_as_it_is(slow: Slow) -> None:
    before = slow.rig.config_file.read_text()
    with by_telnet(slow, LINE) as answer:
        slow.begun()
        slow.rig.write_text(before.replace('"1s"', '"2s"'))
        refused = slow.rig.ocdsup("reload")
        assert "one writes flash" in refused.stderr
        assert "the running configuration stays" in refused.stderr
        slow.finish()
        assert DONE in answer()
    assert slow.rig.ocdsup("reload").returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_of_the_daemon_waits_for_the_write(slow: Slow, way: str) -> None:
    daemon = slow.rig.daemon
    assert daemon is not None
    with WAYS[way](slow, LINE) as answer:
        slow.begun()
        os.kill(daemon.pid, signal.SIGTERM)
        until("hear that the stop waits", lambda: slow.rig.log("stop_waits_for_flash"), PATIENCE)
        slow.finish()
        assert DONE in answer()
    assert daemon._process.wait(PATIENCE) == 0


def test_a_stop_of_the_daemon_waits_for_a_load_also_between_its_packets(slow: Slow) -> None:
    """GDB has had the sectors erased and has not sent all the data yet; the end finds the whole image in flash."""
    daemon = slow.rig.daemon
    assert daemon is not None
    target = f"target extended-remote localhost:{slow.status()['ports']['gdb'][0]}"
    script = ["set debug remote 1", target, "load", "compare-sections", "detach"]
    argv = ["gdb-multiarch", "--batch", "--nx", *(word for line in script for word in ("-ex", line)), str(firmware())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as gdb:
        assert gdb.stdout is not None
        said = takewhile(lambda line: "vFlashErase" not in line, gdb.stdout)
        assert list(said)
        assert "Packet received: OK" in gdb.stdout.readline()
        os.kill(daemon.pid, signal.SIGTERM)
        rest = gdb.stdout.read()
    assert "Transfer rate" in rest
    assert daemon._process.wait(PATIENCE) == 0
