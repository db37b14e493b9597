"""Reading /proc, from a tree laid out for the purpose and from the real one."""

import os
import socket
from pathlib import Path

import pytest

from ocdsup.probes.holders import Endpoint
from ocdsup.runtime import procfs

STAT = "{pid} ({comm}) {state} {ppid} 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0\n"


def lay(root: Path, pid: int, comm: str = "openocd", **fields: object) -> Path:
    values = {"state": "S", "ppid": 1, "flags": 4194304, "start": 777, **fields}
    home = root / str(pid)
    (home / "fd").mkdir(parents=True)
    (home / "stat").write_text(STAT.format(pid=pid, comm=comm, **values))
    return home


@pytest.mark.parametrize("comm", ["openocd", "a b", "x) S 1 (y", ""])
def test_a_status_line_is_read_whatever_the_process_calls_itself(tmp_path: Path, comm: str) -> None:
    lay(tmp_path, 812, comm, state="T", ppid=700)
    status = procfs.read_stat(812, tmp_path)
    assert status
    assert (status.comm, status.state, status.ppid, status.start_ticks) == (comm, "T", 700, 777)


def test_a_process_that_is_gone_is_none_and_not_an_error(tmp_path: Path) -> None:
    assert procfs.read_stat(812, tmp_path) is None
    assert procfs.read_exe(812, tmp_path) is None
    assert procfs.read_cmdline(812, tmp_path) == ()
    assert procfs.read_uid(812, tmp_path) is None
    assert procfs.read_waits(812, tmp_path) is None
    assert procfs.systemd_started(812, tmp_path) is None


def test_a_command_line_keeps_its_words(tmp_path: Path) -> None:
    (lay(tmp_path, 812) / "cmdline").write_bytes(b"openocd\0-c\0gdb_port 3333\0\xff\0")
    assert procfs.read_cmdline(812, tmp_path) == ("openocd", "-c", "gdb_port 3333", "\ufffd")


@pytest.mark.parametrize(
    ("environ", "started"),
    [(b"A=1\0SYSTEMD_EXEC_PID=812\0", True), (b"SYSTEMD_EXEC_PID=81\0", False), (b"", False)],
)
def test_a_service_is_who_systemd_itself_executed(tmp_path: Path, environ: bytes, started: bool) -> None:
    (lay(tmp_path, 812) / "environ").write_bytes(environ)
    assert procfs.systemd_started(812, tmp_path) is started


@pytest.mark.parametrize(
    ("environ", "value"), [(b"A=1\0OCDSUP_LEASE=one\0", "one"), (b"OCDSUP_LEASES=one\0", ""), (None, None)]
)
def test_a_variable_is_read_from_the_environment_as_it_was_at_the_start(
    tmp_path: Path, environ: bytes | None, value: str | None
) -> None:
    folder = lay(tmp_path, 812)
    if environ is not None:
        (folder / "environ").write_bytes(environ)
    assert procfs.read_variable(812, "OCDSUP_LEASE", tmp_path) == value


def test_the_scan_finds_devices_through_links_and_survives_dangling_ones(tmp_path: Path) -> None:
    files = lay(tmp_path, 812) / "fd"
    (files / "3").symlink_to("/dev/full")
    (files / "4").symlink_to("/nowhere/at/all")
    lay(tmp_path, 813)
    number = os.stat("/dev/full").st_rdev
    found = procfs.scan(procfs.Targets({number: "/dev/x"}), tmp_path, 10)
    assert found.nodes == {812: {"/dev/x"}}
    assert (found.looked_at, found.in_time, found.denied) == (2, True, [])


def test_files_on_network_file_systems_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    rows = ("30 1 0:40 / /mnt/build rw - nfs4 server:/x rw\n", "31 1 0:41 / / rw shared:1 - ext4 /dev/vda rw\n")
    (tmp_path / "self" / "mountinfo").write_text("".join(rows))
    (lay(tmp_path, 812) / "fd" / "3").symlink_to("/mnt/build/elf")
    assert procfs.slow_mounts(tmp_path) == ("/mnt/build/",)
    assert not list(procfs.open_files(812, tmp_path, procfs.slow_mounts(tmp_path)))


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("0100007F:1C10", Endpoint("127.0.0.1", 7184)),
        ("00000000:0D05", Endpoint("0.0.0.0", 3333)),
        ("00000000000000000000000001000000:1C10", Endpoint("::1", 7184)),
        ("0000000000000000FFFF00000100007F:1C10", Endpoint("127.0.0.1", 7184)),
        ("00000000000000000000000000000000:0001", Endpoint("::", 1)),
    ],
)
def test_socket_rows_of_both_families_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, endpoint: Endpoint
) -> None:
    monkeypatch.setattr("sys.byteorder", "little")
    (tmp_path / "self" / "net").mkdir(parents=True)
    row = f"  0: {address} {address} 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0\n"
    (tmp_path / "self" / "net" / "tcp").write_text(f"header\n{row}garbage\n{row.replace(' 0A ', ' 06 ')}")
    (sock,) = procfs.read_sockets("self", tmp_path)
    assert (sock.local, sock.state, sock.inode, sock.uid) == (endpoint, "LISTEN", 4242, 1000)


def test_our_own_sockets_are_among_the_rows_of_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode, port = os.fstat(server.fileno()).st_ino, server.getsockname()[1]
        (row,) = (sock for sock in procfs.read_sockets() if sock.inode == inode)
    assert (row.local, row.state) == (Endpoint("127.0.0.1", port), "LISTEN")


def test_a_daemon_in_a_container_says_that_it_sees_only_the_container(tmp_path: Path) -> None:
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to("pid:[4026532999]")
    assert "container" in procfs.sees_all_processes(tmp_path)


def test_the_real_proc_is_read() -> None:
    me = os.getpid()
    status = procfs.read_stat(me)
    assert status
    assert status.ppid == os.getppid()
    assert procfs.read_uid(me) == os.geteuid()
    assert 0 < status.start_ticks / procfs.TICKS <= procfs.read_uptime()
    assert procfs.read_boot_time() > 0
    assert procfs.namespace("self", "pid") == os.readlink("/proc/self/ns/pid")
    assert me in procfs.pids()


def test_a_process_that_may_not_be_looked_at_is_counted_unless_it_is_the_kernel_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, 812)
    lay(tmp_path, 2, "kthreadd", flags=procfs.KTHREAD)
    lay(tmp_path, 813, state="Z")
    real = os.listdir

    def refuse(path: str) -> list[str]:
        if str(path).endswith("/fd"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert procfs.scan(procfs.Targets(), tmp_path, 10).denied == [812]


def test_a_node_is_found_by_its_own_inode_where_the_open_file_is_no_device(tmp_path: Path) -> None:
    fake = tmp_path / "dev-004"
    fake.touch()
    (lay(tmp_path / "proc", 812) / "fd" / "3").symlink_to(fake)
    status = fake.stat()
    targets = procfs.Targets(files={(status.st_dev, status.st_ino): "/dev/bus/usb/001/004"})
    assert procfs.scan(targets, tmp_path / "proc", 10).nodes == {812: {"/dev/bus/usb/001/004"}}
