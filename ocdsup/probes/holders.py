"""Holders: the processes that have a bench's probe open, joined from snapshots of processes, devices and sockets.

A holder is who has the device open (by device number; a TCP probe by an established connection), never who is called
openocd. What cannot be seen for lack of rights is said, with the right that is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import basename

from ocdsup.probes import tools
from ocdsup.probes.serials import printable

LISTEN, ESTABLISHED, CLOSE_WAIT = "LISTEN", "ESTABLISHED", "CLOSE_WAIT"
LOOPBACK = ("127.0.0.1", "::1")
WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that listen on loopback too, and how to reach them there."""
OPENOCD_PORTS = {"telnet": 4444, "tcl": 6666}
MAX_TARGETS = 16
"""OpenOCD gives its targets the GDB ports after the first (0.12 gdb_server.c); so many are taken for GDB ports."""

REAPERS = frozenset({"systemd", "init", "(sd-pam)", "tini", "docker-init", "dumb-init", "catatonit", "s6-svscan", "launchd"})
"""Processes that adopt the children of a dead parent: PID 1, a user's systemd, a container's init."""
WRAPPERS = frozenset({"sh", "bash", "dash", "zsh", "ash", "busybox", "env", "timeout", "stdbuf", "nice", "sudo"})
"""Programs that start another one and wait for it, on behalf of whoever started them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP address; IPv4-mapped IPv6 addresses are written as IPv4."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Socket:
    """One row of /proc/PID/net/tcp or tcp6."""

    inode: int
    local: Endpoint
    remote: Endpoint
    state: str
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc tells about one process that holds the probe.

    `state` is the letter of proc(5): R S D T t Z. `age_s` includes time in suspend. `sockets` are the TCP sockets this
    process has open. `service` says whether systemd itself started it; `same_namespace` whether its PID and network
    namespaces are ours. None, here and for `exe`: could not be read. `lease` is the bench of the loan in which it was started,
    by its environment, empty without one.
    """

    pid: int
    start_ticks: int
    ppid: int
    uid: int
    state: str
    comm: str
    exe: str | None
    cmdline: tuple[str, ...]
    started_at: float
    age_s: float
    nodes: tuple[str, ...] = ()
    sockets: tuple[Socket, ...] = ()
    user: str = ""
    service: bool | None = None
    same_namespace: bool | None = None
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """The process that started a holder, as far as it is still alive, and what started that, up to PID 1.

    `terminal`: it has a controlling terminal. `service`, whether systemd itself started it, is read only for wrappers.
    """

    pid: int
    name: str
    cmdline: tuple[str, ...] = ()
    terminal: bool = False
    ppid: int = 0
    service: bool | None = None
    parent: Parent | None = None
    user: str = ""


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The TCP ports a holder listens on, by role. `unknown` may be anything, also a GDB port: never talk to those."""

    gdb: tuple[int, ...] = ()
    telnet: Endpoint | None = None
    tcl: Endpoint | None = None
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the probe open.

    `gdb_connected` None: a client is connected to a port of unknown role. `console_clients` counts telnet and Tcl
    clients. `half_closed` counts clients that have sent all they want (`nc -N`), or are gone: OpenOCD sees that at its next
    turn, so one that is still there waits for a command to end. The last five are filled by asking (`tcl_answers`: also
    on its telnet port, where it has no Tcl port; `target_dead`; and of one that does not answer `works`: it is busy with its
    probe) and by watching (`history.py`, monotonic seconds); None means not known.
    """

    pid: int
    start_ticks: int
    started_at: float
    age_s: float
    exe: str | None
    cmdline: tuple[str, ...]
    uid: int
    user: str
    state: str
    kind: str
    title: str
    nodes: tuple[str, ...]
    parent: Parent | None
    orphaned: bool | None
    ports: ServerPorts
    gdb_connected: bool | None
    console_clients: int = 0
    half_closed: int = 0
    guest: bool = False
    same_namespace: bool | None = True
    lease: str | None = None
    tcl_answers: bool | None = None
    target_dead: bool | None = None
    works: bool | None = None
    idle_since: float | None = None
    stuck_since: float | None = None

    @property
    def name(self) -> str:
        """The short name shown in `status`: the executable's name, else the kind."""
        return printable(basename(self.exe.removesuffix(" (deleted)"))) if self.exe else self.kind

    @property
    def since(self) -> str:
        """When the process was started, ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.started_at, UTC).isoformat(timespec="seconds")

    @property
    def ancestry(self) -> Iterator[Parent]:
        """The processes it descends from, nearest first, up to whatever adopts the children of the dead."""
        one = self.parent
        while one is not None and one.pid > 1 and one.name not in REAPERS:
            yield one
            one = one.parent

    def descends_from(self, pids: Collection[int]) -> bool:
        """Tell whether it is one of these processes, or was started by one, however many wrappers stand in between."""
        return self.pid in pids or any(one.pid in pids for one in self.ancestry)

    @property
    def gdb_port(self) -> int | None:
        """The GDB port of its first target, None if it has none that we know."""
        return self.ports.gdb[0] if self.ports.gdb else None

    @property
    def tcl_port(self) -> int | None:
        """Its Tcl port, None if it has none on loopback."""
        return self.ports.tcl.port if self.ports.tcl else None

    def __str__(self) -> str:
        parent = "its parent is gone" if self.orphaned else f"from {self.parent.name}" if self.parent else "parent unknown"
        gdb = {True: "GDB attached", False: "no GDB", None: "GDB unknown"}[self.gdb_connected]
        stopped = ", stopped" if self.state in "Tt" else ", in uninterruptible sleep" if self.state == "D" else ""
        return f"PID {self.pid} {self.name} ({self.user or self.uid}, {parent}, since {self.since}, {gdb}{stopped})"


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something about holders that could not be looked at: why, and the capability or setting that is missing."""

    reason: str
    capability: str

    def __str__(self) -> str:
        return f"{self.reason}; needs {self.capability}"


@dataclass(frozen=True, slots=True)
class Report:
    """Who holds the probe, and what could not be seen; `took_s` is the time the look took."""

    holders: tuple[Holder, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    took_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether an empty list of holders means that nobody holds the probe."""
        return not self.unseen


def join(processes: Iterable[Process], parents: Mapping[int, Parent]) -> tuple[Holder, ...]:
    """Return the holders, oldest first. `parents` maps the PID of a parent to what is known of it."""
    holders = (describe(process, parents.get(process.ppid)) for process in processes)
    return tuple(sorted(holders, key=lambda holder: (holder.start_ticks, holder.pid)))


def describe(process: Process, parent: Parent | None) -> Holder:
    """Return one holder: what it is, whose it is, which ports it serves and whether a GDB uses them."""
    tool = tools.recognise(process.exe, process.cmdline)
    orphaned = _orphaned(process.ppid, parent, process.service)
    ports = _ports(tool, process)
    return Holder(
        pid=process.pid,
        start_ticks=process.start_ticks,
        started_at=process.started_at,
        age_s=process.age_s,
        exe=process.exe,
        cmdline=process.cmdline,
        uid=process.uid,
        user=process.user,
        state=process.state,
        kind=tool.kind,
        title=tool.title,
        nodes=process.nodes,
        parent=parent,
        orphaned=orphaned,
        ports=ports,
        gdb_connected=_gdb_connected(tool, process, ports, orphaned),
        console_clients=_clients(process.sockets, _console_ports(ports)),
        half_closed=sum(sock.state == CLOSE_WAIT and sock.local.port in _all_ports(ports) for sock in process.sockets),
        guest=tool.guest,
        same_namespace=process.same_namespace,
        lease=process.lease,
    )


def _orphaned(ppid: int, parent: Parent | None, service: bool | None) -> bool | None:
    """A process whose parent died hangs under a reaper; one that systemd itself started belongs there.

    A shell that only waits for its command outlives the IDE that started it: then the shell's own parent counts.
    """
    if ppid == 0 or (parent is None and ppid > 1):  # started from outside our PID namespace (docker exec), or unreadable
        return None
    if ppid == 1 or parent is None or parent.name in REAPERS:
        return None if service is None else not service
    if parent.name in WRAPPERS and not parent.terminal:
        return _orphaned(parent.ppid, parent.parent, parent.service)
    return False


def _ports(tool: tools.Tool, process: Process) -> ServerPorts:
    listening = {sock.local.port: sock.local for sock in process.sockets if sock.state == LISTEN}
    if tool is not tools.OPENOCD:
        port = tools.gdb_port_of(tool, process.cmdline)
        gdb = tuple(p for p in listening if p == port)
        return ServerPorts(gdb=gdb, unknown=tuple(sorted(listening.keys() - set(gdb))))
    declared = tools.declared_ports(process.cmdline)
    telnet, tcl = (_number(declared.get(role), default) for role, default in OPENOCD_PORTS.items())
    first = _number(declared.get("gdb"), tools.OPENOCD.gdb_port or 0)
    gdb = tuple(
        sorted(port for port in listening if first <= port < first + MAX_TARGETS and port not in {telnet, tcl} and first)
    )
    known = {*gdb, telnet, tcl}
    return ServerPorts(
        gdb, _reachable(listening.get(telnet)), _reachable(listening.get(tcl)), tuple(sorted(listening.keys() - known))
    )


def _number(declared: str | None, default: int) -> int:
    """Port 0 (any free one), `disabled`, `pipe` and file names have no number that could be recognised: 0."""
    return default if declared is None else int(declared) if declared.isdecimal() else 0


def _reachable(endpoint: Endpoint | None) -> Endpoint | None:
    if endpoint is None:
        return None
    host = WILDCARD.get(endpoint.host, endpoint.host)
    return Endpoint(host, endpoint.port) if host in LOOPBACK else None


def _console_ports(ports: ServerPorts) -> set[int]:
    return {endpoint.port for endpoint in (ports.telnet, ports.tcl) if endpoint}


def _all_ports(ports: ServerPorts) -> set[int]:
    return {*ports.gdb, *ports.unknown, *_console_ports(ports)}


def _clients(sockets: Iterable[Socket], ports: Collection[int]) -> int:
    return sum(sock.state == ESTABLISHED and sock.local.port in ports for sock in sockets)


def _gdb_connected(tool: tools.Tool, process: Process, ports: ServerPorts, orphaned: bool | None) -> bool | None:
    if _clients(process.sockets, ports.gdb) or tool.kind == "gdb":
        return True
    if tool is tools.OPENOCD and tools.declared_ports(process.cmdline).get("gdb") == "pipe":
        return orphaned is not True  # GDB is the parent at the other end of stdin (PlatformIO, arduino-cli)
    return None if _clients(process.sockets, ports.unknown) else False
