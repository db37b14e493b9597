"""A debug session outlives the daemon: `systemctl restart` and `kill -9`, with the real OpenOCD, GDB and board (simulated)."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import until
from ocdsup.rsp.parked import SLOT
from tests.bench.rig import PATIENCE, Rig, Sim, connect, read_until
from tests.sessions.desk import value
from tests.systemd.manager import Manager

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
ELF = Path(__file__).parents[2] / "ocdsup/sim/firmware/blink-f4.elf"


class Desk:
    """A developer on a service: the manager, the daemon of the moment, and one GDB that stays."""

    def __init__(self, folder: Path, board: str = "stm32f407", **changes: Any) -> None:
        self.rig = Rig(folder)
        self.manager = Manager(folder)
        self.sim: Sim = self.rig.sim(board=board)
        self.port, self.telnet = free_ports()
        ports = {"gdb": self.port, "telnet": self.telnet}
        self.rig.write(one=self.rig.bench(self.sim, ports=ports, bind=["127.0.0.1"], **changes))
        self.gdb = Gdb(ELF)
        self.start()
        self.rig.ready()

    def start(self) -> None:
        """Start a daemon as the manager does."""
        argv = self.manager.argv("-m", "ocdsup", "run", "-c", str(self.rig.config_file))
        self.rig.daemon = self.rig.start("daemon", argv, NOTIFY_SOCKET=self.manager.notify_address)
        until("answer", lambda: self.rig.socket.exists() and self.rig.log("daemon_started"), PATIENCE)

    def attach(self) -> None:
        """A session that stands at a breakpoint in the firmware."""
        self.gdb.command(f"-target-select extended-remote 127.0.0.1:{self.port}")
        self.gdb.command("-break-insert -h blink")
        self.gdb.command("-exec-continue")
        self.gdb.wait_stop()

    def sessions(self) -> int:
        """Debug sessions, as the daemon of the moment counts them."""
        return int(self.rig.status()["targets"][0]["gdb_sessions"])

    def close(self) -> None:
        """End everything, the manager's threads also when something else does not end well."""
        try:
            self.gdb.close()
            self.rig.close()
        finally:
            self.manager.close()


def free_ports() -> tuple[int, int]:
    """A port for GDB whose next one, for a second core, is free as well, and one for telnet."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as gdb, socket.create_server(("127.0.0.1", 0)) as telnet:
            first, other = gdb.getsockname()[1], telnet.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", first + 1)).close()
            except (OSError, OverflowError):
                continue
            return first, other


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Desk(tmp_path)) as made:
        yield made


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_session_that_stands_goes_on(desk: Desk, end: str) -> None:
    """The same GDB, the same connection: it reads, and its breakpoint, set again by the next daemon, is hit again."""
    desk.attach()
    before = desk.gdb.command("-data-evaluate-expression counter")
    desk.rig.stop() if end == "restart" else desk.rig.kill()
    desk.start()
    desk.rig.ready()
    assert desk.rig.log("session_taken_up"), desk.rig.tail()
    assert desk.gdb.command("-data-evaluate-expression counter") == before
    desk.gdb.command("-exec-continue")
    assert "blink" in desk.gdb.wait_stop()
    assert desk.sessions() == 1


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_session_that_runs_goes_on(desk: Desk, end: str) -> None:
    """GDB waits for a stop meanwhile, sees none that is made up, and its interrupt reaches the board."""
    desk.attach()
    desk.gdb.command("-break-delete")
    desk.gdb.command("-exec-continue")
    desk.rig.stop() if end == "restart" else desk.rig.kill()
    desk.start()
    desk.rig.ready()
    assert desk.gdb.no_stop_waiting()
    desk.gdb.send("-exec-interrupt")
    assert "SIGINT" in desk.gdb.wait_stop()
    assert desk.sessions() == 1


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_telnet_connection_goes_on(desk: Desk, end: str) -> None:
    """Whoever sits at a prompt is told what happened, and the next line is answered by the next OpenOCD."""
    with connect(desk.telnet) as sock:
        read_until(sock, b"> ")
        desk.rig.stop() if end == "restart" else desk.rig.kill()
        desk.start()
        read_until(sock, b"the supervisor was restarted")
        read_until(sock, b"OpenOCD is back")
        sock.sendall(b"targets\r\n")
        assert b"stm32f4x.cpu" in read_until(sock, b"little")
    until("drop it", lambda: not [name for name in desk.manager.store if name.startswith("ocdsup.telnet.")], PATIENCE)


def test_a_stop_ends_the_session(desk: Desk) -> None:
    """`systemctl stop`: the manager drops what it holds, GDB sees the end, nothing of it comes back."""
    desk.attach()
    desk.rig.stop()
    desk.manager.drop()
    with pytest.raises(GdbError, match="Remote connection closed"):
        desk.gdb.command("x/1x 0x20000000")
    desk.start()
    desk.rig.ready()
    assert desk.rig.log("session_taken_up") == []


@pytest.mark.parametrize("damage", [b"ocdsup-session 00000099 ", b"\0" * 64], ids=["another version", "broken"])
def test_a_record_that_is_none_is_a_clean_start(desk: Desk, damage: bytes) -> None:
    """The session ends, GDB is told by the end of its connection, and a new one works as if nothing had been."""
    desk.attach()
    desk.rig.kill()
    (stored,) = (held for name, held in desk.manager.store.items() if name.startswith("ocdsup.gdb."))
    for number in stored:
        if "memfd" in os.readlink(f"/proc/self/fd/{number}"):
            for at in (0, SLOT):
                os.pwrite(number, damage, at)
    desk.start()
    until("give the session up", lambda: desk.rig.log("session_given_up"), PATIENCE)
    desk.rig.ready()
    until("drop it", lambda: not [name for name in desk.manager.store if name.startswith("ocdsup.gdb.")], PATIENCE)
    with Gdb(ELF) as gdb:
        gdb.command(f"-target-select extended-remote 127.0.0.1:{desk.port}")
        assert gdb.command("-data-evaluate-expression counter")


def test_whoever_connects_between_two_daemons_waits(desk: Desk) -> None:
    """The listener is kept as well: no connection is refused while there is no daemon."""
    desk.rig.kill()
    with socket.create_connection(("127.0.0.1", desk.port), timeout=PATIENCE) as sock:
        desk.start()
        sock.sendall(b"+$?#3f")
        assert sock.recv(1) == b"+"


def test_a_session_that_ended_leaves_the_store(desk: Desk) -> None:
    desk.attach()
    assert [name for name in desk.manager.store if name.startswith("ocdsup.gdb.")]
    desk.gdb.close()
    until("drop it", lambda: not [name for name in desk.manager.store if name.startswith("ocdsup.gdb.")], PATIENCE)


def test_twelve_ends_at_random_moments_and_every_hit_counts(desk: Desk) -> None:
    """`kill -9` and restarts while a breakpoint loop runs: not one hit is lost or invented.

    The firmware counts its calls of `blink`; between two stops there is exactly one.
    """
    desk.attach()
    count = value(desk.gdb, "blinks")
    enough = threading.Event()
    hits: Future[int] = Future()
    debugging = threading.Thread(target=hit_after_hit, args=(desk.gdb, enough, hits))
    debugging.start()
    dice = random.Random(20260102)
    try:
        for _ in range(12):
            enough.wait(dice.uniform(0, 0.25))
            desk.rig.kill() if dice.random() < 0.7 else desk.rig.stop()
            desk.start()
            desk.rig.ready()
            assert desk.rig.log("session_taken_up"), desk.rig.tail()
    finally:
        enough.set()
        debugging.join()
    assert value(desk.gdb, "blinks") == count + hits.result()
    assert desk.sessions() == 1


def hit_after_hit(gdb: Gdb, enough: threading.Event, hits: Future[int]) -> None:
    """Run from one hit of the breakpoint to the next; the result is their number."""
    count = 0
    try:
        while not enough.is_set():
            goes_on(gdb)
            stop = gdb.wait_stop(PATIENCE)
            assert 'reason="breakpoint-hit"' in stop, stop
            count += 1
        hits.set_result(count)
    except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
        hits.set_exception(error)


def goes_on(gdb: Gdb) -> None:
    """Continue; when no daemon has answered for longer than a request may take, GDB says so, and is asked again."""
    while True:
        try:
            gdb.command("-exec-continue", PATIENCE)
        except GdbError as error:
            if "remote failure reply" not in str(error):
                raise
        else:
            return
