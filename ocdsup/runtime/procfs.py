"""Reads what is needed from /proc (proc(5)), of a system full of processes that come and go while it is read.

Blocking; meant for a thread. The root is an argument, so a test can lay out its own. A process that disappears, or may
not be looked at, is an ordinary answer here (None, or an entry in `Scan.denied`), not an error.
"""

import os
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from time import monotonic

from ocdsup.probes.holders import CLOSE_WAIT, ESTABLISHED, LISTEN, Endpoint, Socket

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
KTHREAD = 0x00200000
"""PF_KTHREAD in the flags of stat (include/linux/sched.h): a kernel thread has no open files to hide."""
INIT_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO (include/linux/proc_ns.h): the PID namespace of the whole machine."""
TCP_STATES = {"01": ESTABLISHED, "08": CLOSE_WAIT, "0A": LISTEN}
"""Those that tell something here, of include/net/tcp_states.h."""
NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse.", "fuseblk", "9p", "afs", "ceph")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that matter here."""

    comm: str
    state: str
    ppid: int
    terminal: int
    flags: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Targets:
    """What to look for among open files: paths by device number, paths by file, and socket inodes.

    `files` (device and inode of the node itself) finds nodes whose file is not the device: umockdev, some FUSE mounts.
    """

    devices: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[tuple[int, int], str] = field(default_factory=dict)
    sockets: Collection[int] = ()

    def node(self, status: os.stat_result) -> str | None:
        """Return the path of the device node that this open file is, None if it is none of those."""
        if stat.S_ISCHR(status.st_mode) and (path := self.devices.get(status.st_rdev)):
            return path
        return self.files.get((status.st_dev, status.st_ino)) if self.files else None

    def socket(self, status: os.stat_result) -> int | None:
        """Return the inode if this open file is one of the sockets."""
        return status.st_ino if stat.S_ISSOCK(status.st_mode) and status.st_ino in self.sockets else None


@dataclass(slots=True)
class Scan:
    """Open files of all processes that lead to the devices and sockets asked for.

    `nodes` and `sockets` map a PID to what it has open of these; `denied` are the processes we may not look at.
    """

    nodes: dict[int, set[str]] = field(default_factory=dict)
    sockets: dict[int, set[int]] = field(default_factory=dict)
    denied: list[int] = field(default_factory=list)
    looked_at: int = 0
    in_time: bool = True


def read_stat(pid: int, proc: Path = PROC) -> Stat | None:
    """Return the process's status line, None if there is no such process. The name may hold spaces and brackets."""
    try:
        text = (proc / str(pid) / "stat").read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    words = tail.split()
    return Stat(head.partition("(")[2], words[0], int(words[1]), int(words[4]), int(words[6]), int(words[19]))


def read_exe(pid: int, proc: Path = PROC) -> str | None:
    """Return the path of the executable, None without the right to see it."""
    try:
        return os.readlink(proc / str(pid) / "exe")
    except OSError:
        return None


def read_cmdline(pid: int, proc: Path = PROC) -> tuple[str, ...]:
    """Return the command line as its words; anybody may read it, and the process may have rewritten it."""
    try:
        raw = (proc / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(raw.decode("utf-8", "replace").removesuffix("\0").split("\0")) if raw else ()


def read_uid(pid: int, proc: Path = PROC) -> int | None:
    """Return the effective uid, which is what the kernel compares when it is signalled."""
    try:
        text = (proc / str(pid) / "status").read_text("utf-8", "replace")
    except OSError:
        return None
    return next((int(line.split()[2]) for line in text.splitlines() if line.startswith("Uid:")), None)


def read_waits(pid: int, proc: Path = PROC) -> int | None:
    """Return how often the process has waited for something (voluntary_ctxt_switches of proc(5)); its first thread only."""
    try:
        text = (proc / str(pid) / "status").read_text("utf-8", "replace")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("voluntary_ctxt_switches:")), None)


def read_uptime(proc: Path = PROC) -> float:
    """Return the seconds since the kernel is up, suspend included, the clock of start times."""
    return float((proc / "uptime").read_text().split()[0])


def read_boot_time(proc: Path = PROC) -> float:
    """Return when the kernel came up, seconds of wall clock since 1970."""
    lines = (proc / "stat").read_text().splitlines()
    return float(next((line.split()[1] for line in lines if line.startswith("btime ")), "0"))


def namespace(pid: int | str, kind: str, proc: Path = PROC) -> str | None:
    """Return the name of a process's namespace (`pid:[4026531836]`), None without the right to see it."""
    try:
        return os.readlink(proc / str(pid) / "ns" / kind)
    except OSError:
        return None


def systemd_started(pid: int, proc: Path = PROC) -> bool | None:
    """Tell whether systemd itself executed this process, None without the right to see it.

    systemd.exec(5): SYSTEMD_EXEC_PID (from 248) holds the PID of the process it executed; children inherit the variable
    but have another PID.
    """
    own = read_variable(pid, "SYSTEMD_EXEC_PID", proc)
    return None if own is None else own == str(pid)


def read_variable(pid: int, name: str, proc: Path = PROC) -> str | None:
    """Return a variable of the environment a process was executed with, empty if it has none, None without the right to see."""
    try:
        environ = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    start = f"{name}=".encode()
    return next((word.removeprefix(start).decode("utf-8", "replace") for word in environ if word.startswith(start)), "")


def pids(proc: Path = PROC) -> list[int]:
    """Return the PIDs of all visible processes."""
    return [int(name) for name in os.listdir(proc) if name.isdecimal()]


def scan(targets: Targets, proc: Path = PROC, budget_s: float = 0.5) -> Scan:
    """Find every process that has one of the targets open, within the time budget in seconds.

    By device number, not by path: a bind mount, a symlink or a container shows the same device under another name, and
    a replugged probe shows another device under the same name.
    """
    found, end, mounts = Scan(), monotonic() + budget_s, slow_mounts(proc)
    for pid in pids(proc):
        if monotonic() > end:
            found.in_time = False
            break
        try:
            _look_at(pid, targets, found, proc, mounts)
        except PermissionError:
            _denied(pid, found, proc)
        except OSError:
            continue  # it ended while we looked
        found.looked_at += 1
    return found


def _look_at(pid: int, targets: Targets, found: Scan, proc: Path, slow: tuple[str, ...]) -> None:
    for status in open_files(pid, proc, slow):
        if (node := targets.node(status)) is not None:
            found.nodes.setdefault(pid, set()).add(node)
        elif (inode := targets.socket(status)) is not None:
            found.sockets.setdefault(pid, set()).add(inode)


def open_files(pid: int, proc: Path = PROC, slow: tuple[str, ...] = ()) -> Iterator[os.stat_result]:
    """Yield the status of every file a process has open. Raises OSError if the process cannot be looked at."""
    base = f"{proc}/{pid}/fd"
    for name in os.listdir(base):
        link = f"{base}/{name}"
        try:
            if slow and os.readlink(link).startswith(slow):
                continue
            yield os.stat(link)
        except FileNotFoundError:
            continue  # closed meanwhile


def _denied(pid: int, found: Scan, proc: Path) -> None:
    status = read_stat(pid, proc)
    if status and not status.flags & KTHREAD and status.state != "Z":
        found.denied.append(pid)


def slow_mounts(proc: Path = PROC) -> tuple[str, ...]:
    """Return the mount points of network and user-space file systems: asking for a file there can block for ever."""
    try:
        text = (proc / "self" / "mountinfo").read_text("utf-8", "replace")
    except OSError:
        return ()
    rows = (line.split() for line in text.splitlines())
    return tuple(f"{row[4]}/" for row in rows if "-" in row and row[row.index("-") + 1].startswith(NETWORK_FILESYSTEMS))


def read_sockets(pid: int | str = "self", proc: Path = PROC) -> tuple[Socket, ...]:
    """Return the TCP sockets in the network namespace of a process that listen, are connected or half closed."""
    rows: list[Socket] = []
    for name in ("tcp", "tcp6"):
        try:
            text = (proc / str(pid) / "net" / name).read_text()
        except OSError:
            continue
        rows += filter(None, map(_socket, text.splitlines()[1:]))
    return tuple(rows)


def _socket(line: str) -> Socket | None:
    """Parse one row: sl local remote st tx:rx tr:tm retrnsmt uid timeout inode (proc_net_tcp.rst of the kernel)."""
    words = line.split()
    state = TCP_STATES.get(words[3]) if len(words) > 9 else None
    if state is None:
        return None
    return Socket(int(words[9]), _endpoint(words[1]), _endpoint(words[2]), state, int(words[7]))


def _endpoint(text: str) -> Endpoint:
    """Parse ADDRESS:PORT in hexadecimal; the address is written as 32-bit words in the byte order of the machine."""
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    host = ip_address(raw)
    if isinstance(host, IPv6Address) and host.ipv4_mapped:
        host = host.ipv4_mapped
    return Endpoint(str(host), int(port, 16))


def sees_all_processes(proc: Path = PROC) -> str:
    """Return what keeps this process from seeing every process of the machine, empty if nothing does."""
    own = namespace("self", "pid", proc)
    if own and own != f"pid:[{INIT_PID_NAMESPACE}]":
        return "this daemon runs in a container and sees only the processes in it"
    try:
        mounts = (proc / "self" / "mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    hidden = any(f" {PROC} " in line and "hidepid=" in line and "hidepid=0" not in line for line in mounts)
    return "/proc is mounted with hidepid and hides other users' processes" if hidden and os.geteuid() != 0 else ""
