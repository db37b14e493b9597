"""Real processes: who holds a device or a TCP probe."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from ocdsup.probes.eviction import Decision, How, Rules, judge
from ocdsup.probes.holders import Endpoint
from ocdsup.runtime import procfs, procs
from ocdsup.runtime.ending import evict
from ocdsup.runtime.procs import Wanted, find_holders, still_holds, wanted
from tests.runtime.holding import HOLD, HURRY, IMPATIENT, NODE, WAIT, Start, holder_of, is_running, pids, until

# Finding -----------------------------------------------------------------------------------------------------------


def test_a_holder_is_found_by_the_device_it_has_open(start: Start) -> None:
    pid = start(HOLD + WAIT)
    holder = holder_of(pid, wanted([NODE]))
    assert holder.nodes == (NODE,)
    assert holder.exe == os.path.realpath(sys.executable)
    assert holder.uid == os.geteuid()
    assert holder.parent
    assert holder.parent.pid == os.getpid()
    assert holder.orphaned is False


def test_a_node_is_the_same_device_under_another_name(start: Start, tmp_path: Path) -> None:
    alias = tmp_path / "004"
    alias.symlink_to(NODE)
    pid = start(f"import signal\nprobe = open({str(alias)!r})\n{WAIT}")
    assert pid in pids(find_holders(wanted([NODE]), budget_s=10))
    assert holder_of(pid, wanted([alias])).nodes == (str(alias),)


def test_who_has_another_device_open_or_only_mentions_this_one_is_no_holder(start: Start) -> None:
    other = start("import signal\nprobe = open('/dev/zero')\n" + WAIT, NODE)
    assert other not in pids(find_holders(wanted([NODE]), budget_s=10))


def test_a_node_that_does_not_exist_is_held_by_nobody(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.touch()
    assert wanted([tmp_path / "none", plain]) == Wanted()
    assert not find_holders(Wanted(), budget_s=10).holders


def test_a_forked_child_holds_the_probe_too(start: Start) -> None:
    code = """
        import os, signal
        probe = open('/dev/full')
        child = os.fork()
        if child:
            print('ready', child, flush=True)
            try:
                signal.pause()
            finally:
                os.kill(child, 9)
        signal.pause()
    """
    pid = start(code)
    children = {h.pid for h in find_holders(wanted([NODE]), budget_s=10).holders if h.parent and h.parent.pid == pid}
    try:
        assert len(children) == 1
        assert pid in pids(find_holders(wanted([NODE]), budget_s=10))
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_what_may_not_be_looked_at_is_said_with_the_missing_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "scan", lambda *_: procfs.Scan(denied=[os.getpid()]))
    report = find_holders(wanted([NODE]))
    assert not report.complete
    assert any("CAP_SYS_PTRACE" in str(unseen) and "1 process of" in str(unseen) for unseen in report.unseen)


def test_a_connection_whose_process_is_not_visible_is_said_with_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "scan", lambda *_: procfs.Scan())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        report = find_holders(wanted(servers=[server.getsockname()[1]]))
    assert any("is connected to 127.0.0.1" in unseen.reason for unseen in report.unseen)


def test_a_scan_without_time_says_so() -> None:
    report = find_holders(wanted([NODE]), budget_s=-1.0)
    assert any("ran out of time" in unseen.reason for unseen in report.unseen)


def test_a_tcp_holder_is_who_is_connected_to_the_server_not_the_server(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        pid = start(
            "import signal, socket, sys\nprobe = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n" + WAIT, str(port)
        )
        link, _ = server.accept()
        with link:
            report = find_holders(wanted(servers=[port]), budget_s=10)
            assert pids(report) == {pid}
            assert report.holders[0].nodes == (f"tcp:127.0.0.1:{port}",)
            assert not find_holders(wanted(servers=[port + 1 if port < 65535 else 1024]), budget_s=10).holders


def test_listening_ports_and_clients_of_a_holder_are_seen(start: Start) -> None:
    code = """
        import signal, socket
        probe = open('/dev/full')
        server = socket.create_server(('127.0.0.1', 0))
        print('ready', server.getsockname()[1], flush=True)
        link = server.accept()
        signal.pause()
    """
    pid = start(code)
    holder = holder_of(pid, wanted([NODE]))
    (port,) = holder.ports.unknown
    assert holder.gdb_connected is False
    with socket.create_connection(("127.0.0.1", port)):
        until(lambda: holder_of(pid, wanted([NODE])).gdb_connected is None)


def test_a_client_that_has_sent_all_it_wants_is_counted_apart(start: Start) -> None:
    """`nc -N` waits for the answer of a flash write: it is no client that a debugger would be, and it is not nobody."""
    code = """
        import signal, socket
        probe = open('/dev/full')
        server = socket.create_server(('127.0.0.1', 0))
        print('ready', flush=True)
        link = server.accept()
        signal.pause()
    """
    pid = start(code)
    port = holder_of(pid, wanted([NODE])).ports.unknown[0]
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.shutdown(socket.SHUT_WR)
        until(lambda: holder_of(pid, wanted([NODE])).half_closed == 1)
        assert holder_of(pid, wanted([NODE])).gdb_connected is False


def test_a_client_that_waits_to_be_accepted_counts_when_a_holder_is_looked_at_again(start: Start) -> None:
    """Its holder may be about to accept it; of one that is wedged nothing is to be hoped. Ours is none of its clients."""
    code = """
        import signal, socket
        probe = open('/dev/full')
        server = socket.create_server(('127.0.0.1', 0))
        print('ready', flush=True)
        signal.pause()
    """
    pid = start(code)
    holder = holder_of(pid, wanted([NODE]))
    with socket.create_connection(("127.0.0.1", holder.ports.unknown[0])) as link:
        for now, our_port, connected in (
            (holder, None, None),
            (holder, link.getsockname()[1], False),
            (replace(holder, tcl_answers=False), None, False),
        ):
            seen = procs.look_again(now, our_port=our_port)
            assert seen is not None
            assert seen.gdb_connected is connected


# A real foreign OpenOCD --------------------------------------------------------------------------------------------


class Wire:
    """The far end of a remote_bitbang adapter on loopback: answers every read with a one, or nothing at all."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.mute = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.server.accept()
                with link:
                    self._answer(link)

    def _answer(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chars := link.recv(4096):
                if not self.mute.is_set() and (reads := chars.count(b"R")):
                    link.sendall(b"1" * reads)

    def close(self) -> None:
        """End the thread: a shutdown wakes its accept."""
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(10)


@pytest.fixture
def wire() -> Iterator[Wire]:
    far_end = Wire()
    yield far_end
    far_end.close()


IDE = """
    import subprocess, sys
    server = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in server.stderr:
        if 'tcl connections' in line:
            break
    print('ready', server.pid, flush=True)
    sys.stdin.read()
"""


class Ide:
    """A program that starts an OpenOCD and may die without taking it along."""

    def __init__(self, wire: Wire, *wrapper: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.tcl: int = probe.getsockname()[1]
        settings = (f"tcl_port {self.tcl}", "telnet_port disabled", "gdb_port disabled", "adapter driver remote_bitbang")
        link = (f"remote_bitbang port {wire.port}", "remote_bitbang host 127.0.0.1", "transport select jtag")
        argv = [*wrapper, "openocd", *(word for command in (*settings, *link, "init") for word in ("-c", command))]
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(IDE), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.process.stdout.readline()
        (holder,) = find_holders(wanted(servers=[wire.port]), budget_s=10, ask=False).holders
        self.openocd = holder.pid
        self.pidfd = os.pidfd_open(self.openocd)

    def die(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End what is left, by the descriptor of exactly the OpenOCD that was started here."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        select.select([self.pidfd], [], [], 10)
        os.close(self.pidfd)
        self.die()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


@pytest.fixture
def ide(wire: Wire) -> Iterator[Ide]:
    started = Ide(wire)
    yield started
    started.close()


@pytest.mark.bench
async def test_a_left_over_openocd_is_found_by_its_connection_judged_stale_and_ended_over_tcl(wire: Wire, ide: Ide) -> None:
    what = wanted(servers=[wire.port])
    (holder,) = (await asyncio.to_thread(find_holders, what, budget_s=10)).holders
    assert (holder.pid, holder.kind, holder.tcl_port, holder.tcl_answers) == (ide.openocd, "openocd", ide.tcl, True)
    assert judge(holder, Rules("nucleo"), monotonic()).decision is Decision.LEAVE, "its IDE is alive"

    ide.die()
    until(lambda: holder_of(ide.openocd, what).orphaned is True)
    (holder,) = (await asyncio.to_thread(find_holders, what, budget_s=10)).holders
    verdict = judge(holder, Rules("nucleo"), monotonic())
    assert verdict.decision is Decision.EVICT
    assert "gone" in verdict.reason

    result = await evict(holder, what, HURRY)
    assert (result.how, result.pid) == (How.SHUTDOWN, ide.openocd)
    assert not find_holders(what, budget_s=10).holders


@pytest.mark.bench
async def test_an_openocd_whose_ide_died_is_left_over_even_if_a_shell_still_waits_for_it(wire: Wire) -> None:
    ide = Ide(wire, "sh", "-c", '"$@"; exit $?', "sh")
    try:
        what = wanted(servers=[wire.port])
        before = await asyncio.to_thread(holder_of, ide.openocd, what)
        assert before.parent
        assert (before.parent.name, before.orphaned) == ("sh", False)
        ide.die()
        until(lambda: holder_of(ide.openocd, what).orphaned is True)
        after = await asyncio.to_thread(holder_of, ide.openocd, what)
        assert judge(after, Rules("nucleo"), monotonic()).decision is Decision.EVICT
        assert (await evict(after, what, HURRY)).how is How.SHUTDOWN
    finally:
        ide.close()


@pytest.mark.bench
async def test_a_stopped_openocd_counts_as_wedged_and_is_ended(wire: Wire, ide: Ide) -> None:
    os.kill(ide.openocd, signal.SIGSTOP)
    what = wanted(servers=[wire.port])
    until(lambda: holder_of(ide.openocd, what, ask=False).state == "T")
    holder = await asyncio.to_thread(holder_of, ide.openocd, what)
    assert holder.tcl_answers is False
    assert "stopped" in judge(holder, Rules("nucleo"), monotonic()).reason
    assert (await evict(holder, what, HURRY)).how is How.TERM
    assert not find_holders(what, budget_s=10).holders


@pytest.mark.bench
async def test_an_openocd_blocked_by_its_adapter_is_found_wedged_and_killed(wire: Wire, ide: Ide) -> None:
    """A bit-bang read that is never answered blocks OpenOCD's only thread: no Tcl answer, no reaction to SIGTERM."""
    wire.mute.set()
    with socket.create_connection(("127.0.0.1", ide.tcl)) as console:
        console.sendall(b"jtag arp_init\x1a")
        what = wanted(servers=[wire.port])
        until(lambda: procs.ask_tcl(Endpoint("127.0.0.1", ide.tcl), 0.2) is False)
    until(lambda: holder_of(ide.openocd, what, ask=False).tcl_port == ide.tcl)
    holder = await asyncio.to_thread(holder_of, ide.openocd, what)
    assert (holder.tcl_answers, holder.works) == (False, False)
    verdict = judge(replace(holder, console_clients=0, age_s=20.0), Rules("nucleo"), monotonic())
    assert "wedged" in verdict.reason
    assert (await evict(holder, what, IMPATIENT)).how is How.KILL
    assert not find_holders(what, budget_s=10).holders


@pytest.mark.bench
def test_a_dead_tcl_port_says_nothing_about_an_openocd() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert procs.ask_tcl(Endpoint("127.0.0.1", port), 0.2) is None


def test_a_connection_that_is_never_answered_is_a_wedged_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert procs.ask_tcl(Endpoint("127.0.0.1", server.getsockname()[1]), 0.2) is False


# Other users and other namespaces (these need root) ------------------------------------------------------------------

AS_NOBODY = """
    import asyncio, concurrent.futures.thread, os, sys
    from ocdsup.probes.holders import Process, describe
    from ocdsup.runtime import ending, procfs, procs
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    what = procs.wanted([sys.argv[1]])
    report = procs.find_holders(what, budget_s=10)
    print(int(sys.argv[2]) in {holder.pid for holder in report.holders})
    print(*report.unseen, sep=" | ")
    pid = int(sys.argv[2])
    holder = describe(Process(pid, procfs.read_stat(pid).start_ticks, 1, 0, "S", "x", sys.executable, (), 0.0, 0.0), None)
    print(asyncio.run(ending.evict(holder, what)).how)
    print(ending.send(os.pidfd_open(pid), ["TERM"]))
"""


@pytest.mark.system
def test_without_rights_a_holder_of_another_user_is_neither_seen_nor_ended_and_the_missing_right_is_named(
    start: Start,
) -> None:
    pid = start(HOLD + WAIT)
    argv = [sys.executable, "-c", textwrap.dedent(AS_NOBODY), NODE, str(pid)]
    source = str(Path(__file__).parents[2])
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", env={"PYTHONPATH": source}, check=False)
    seen, unseen, how, text = done.stdout.splitlines() or [done.stderr] * 4
    assert seen == "False"
    assert "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE" in unseen
    assert how == "refused"
    assert "CAP_KILL" in text
    assert is_running(pid)


@pytest.fixture
def container() -> Iterator[int]:
    """Hold the node in PID and network namespaces of its own; the PID is that of what started them."""
    argv = ["unshare", "--pid", "--net", "--fork", "--kill-child", sys.executable, "-c", HOLD + WAIT]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ready")
        yield process.pid
        process.kill()


@pytest.mark.system
async def test_a_holder_in_a_container_cannot_be_judged_but_can_be_ended_when_forced(container: int) -> None:
    what = wanted([NODE])
    report = await asyncio.to_thread(find_holders, what, budget_s=10)
    holder = next(holder for holder in report.holders if holder.parent and holder.parent.pid == container)
    openocd = replace(holder, kind="openocd", gdb_connected=False, orphaned=True)
    assert holder.same_namespace is False
    assert judge(openocd, Rules("nucleo"), monotonic()).decision is Decision.CANNOT_TELL
    assert judge(holder, Rules("nucleo", force=True), monotonic()).decision is Decision.EVICT
    assert (await evict(holder, what, IMPATIENT)).ended
    assert not is_running(holder.pid)


@pytest.mark.parametrize("look", [procs._own_sockets, lambda pid, proc: still_holds(pid, Wanted(), proc)])
def test_a_holders_files_on_a_network_file_system_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[int, Path], object]
) -> None:
    """Its server may be dead: who asks for a file there waits for ever, and with it one of the few threads for looks."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text("30 1 0:40 / /mnt/build rw - nfs4 server:/x rw\n")
    files = tmp_path / "812" / "fd"
    files.mkdir(parents=True)
    (files / "3").symlink_to("/mnt/build/elf")
    (files / "4").symlink_to("/dev/full")
    asked: list[str] = []

    def stat(path: str) -> os.stat_result:
        asked.append(os.readlink(path))
        raise FileNotFoundError

    with monkeypatch.context() as only_here:
        only_here.setattr(os, "stat", stat)
        look(812, tmp_path)
    assert asked == ["/dev/full"]
