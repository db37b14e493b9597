"""Who holds a probe, asked of the kernel, and of the OpenOCD that does. Blocks; meant for a thread."""

import os
import pwd
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from time import monotonic

from ocdsup.probes import tools
from ocdsup.probes.eviction import SEEING
from ocdsup.probes.holders import (
    ESTABLISHED,
    LISTEN,
    LOOPBACK,
    WRAPPERS,
    Endpoint,
    Holder,
    Parent,
    Process,
    Report,
    ServerPorts,
    Socket,
    Unseen,
    describe,
    join,
)
from ocdsup.probes.respawn import echo
from ocdsup.probes.serials import printable
from ocdsup.runtime import procfs

TCL_END = b"\x1a"
PROMPT = b"> "
TCL_LIMIT = 4096
"""Bytes of a Tcl answer that are read; what we ask is answered in a word."""
WAITS_PER_S = 5.0
"""An OpenOCD that talks to its probe waits more often. Seen with 0.12: 35 times a second while a simulated flash is written and

hundreds of times otherwise, never when the probe does not answer or a script loops; a USB time-out is one wait.
"""
WATCH_S = 0.5
"""Seconds for which that is counted where nothing else takes so long."""
MAX_ANCESTORS = 32
"""How far up it is looked for who started a holder; PIDs that are reused meanwhile could make a circle."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be open in a process for it to count as a holder of the probe.

    `devices` and `files` lead from device numbers, and from the nodes' own inodes, to the paths of the nodes. `servers`
    are the ports of ST-LINK servers on loopback: whoever is connected to one holds its probe.
    """

    devices: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[tuple[int, int], str] = field(default_factory=dict)
    servers: frozenset[int] = frozenset()


def wanted(nodes: Iterable[str | Path] = (), servers: Iterable[int] = ()) -> Wanted:
    """Return what to look for: device nodes (`/dev/bus/usb/001/004`, `/dev/hidraw0`, `/dev/ttyACM0`) and server ports.

    A node that does not exist (any more) is held by nobody and is left out.
    """
    devices, files = {}, {}
    for node in nodes:
        with suppress(OSError):
            status = os.stat(node)
            if stat.S_ISCHR(status.st_mode):
                devices[status.st_rdev] = str(node)
                files[status.st_dev, status.st_ino] = str(node)
    return Wanted(devices, files, frozenset(servers))


def find_holders(what: Wanted, *, proc: Path = procfs.PROC, budget_s: float = 0.5, ask: bool = True) -> Report:
    """Return who holds the probe and what could not be seen. Blocks: the budget in seconds, and 1 s per OpenOCD asked.

    `ask` puts a bare 0x1A and `curstate` to the Tcl port of unused foreign OpenOCDs, to tell the wedged and the dead. Where
    there is none, it waits for the prompt of the telnet port.
    """
    began = monotonic()
    links = _server_links(what.servers, proc)
    targets = procfs.Targets(what.devices, what.files, links.keys())
    found = procfs.scan(targets, proc, budget_s)
    took = monotonic() - began
    holding = sorted({*found.nodes, *found.sockets})
    processes = [_process(pid, _names(pid, found, links), proc) for pid in holding]
    parents = {pid: parent for pid in {p.ppid for p in processes if p} if (parent := _parent(pid, proc))}
    holders = join(filter(None, processes), parents)
    unseen = (*_unseen(found, proc), *_unseen_links(found, links))
    return Report(tuple(map(_asked, holders)) if ask else holders, unseen, took)


def _server_links(ports: frozenset[int], proc: Path) -> dict[int, Socket]:
    """The client ends of connections to an ST-LINK server of this machine, by inode."""
    sockets = procfs.read_sockets("self", proc) if ports else ()
    return {
        sock.inode: sock
        for sock in sockets
        if sock.state == "ESTABLISHED" and sock.remote.port in ports and sock.remote.host in LOOPBACK
    }


def _names(pid: int, found: procfs.Scan, links: Mapping[int, Socket]) -> tuple[str, ...]:
    servers = {f"tcp:{links[inode].remote}" for inode in found.sockets.get(pid, ())}
    return tuple(sorted(found.nodes.get(pid, set()) | servers))


def _process(pid: int, nodes: tuple[str, ...], proc: Path) -> Process | None:
    status, uid = procfs.read_stat(pid, proc), procfs.read_uid(pid, proc)
    if status is None or uid is None:
        return None
    started = status.start_ticks / procfs.TICKS
    return Process(
        pid=pid,
        start_ticks=status.start_ticks,
        ppid=status.ppid,
        uid=uid,
        state=status.state,
        comm=status.comm,
        exe=procfs.read_exe(pid, proc),
        cmdline=procfs.read_cmdline(pid, proc),
        started_at=procfs.read_boot_time(proc) + started,
        age_s=max(0.0, procfs.read_uptime(proc) - started),
        nodes=nodes,
        sockets=_own_sockets(pid, proc),
        user=_user(uid),
        service=procfs.systemd_started(pid, proc),
        same_namespace=_same_namespace(pid, proc),
        lease=procfs.read_variable(pid, "OCDSUP_LEASE", proc),
    )


def _own_sockets(pid: int, proc: Path) -> tuple[Socket, ...]:
    try:
        inodes = {status.st_ino for status in procfs.open_files(pid, proc, procfs.slow_mounts(proc))}
    except OSError:
        return ()
    return tuple(sock for sock in procfs.read_sockets(pid, proc) if sock.inode in inodes)


def _same_namespace(pid: int, proc: Path) -> bool | None:
    theirs = [procfs.namespace(pid, kind, proc) for kind in ("pid", "net")]
    if None in theirs:
        return None
    return theirs == [procfs.namespace("self", kind, proc) for kind in ("pid", "net")]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _parent(pid: int, proc: Path, depth: int = 0) -> Parent | None:
    status = procfs.read_stat(pid, proc)
    if status is None:
        return None
    service = procfs.systemd_started(pid, proc) if status.comm in WRAPPERS else None
    above = _parent(status.ppid, proc, depth + 1) if status.ppid > 0 and depth < MAX_ANCESTORS else None
    name, terminal = printable(status.comm), bool(status.terminal)
    uid = procfs.read_uid(pid, proc)
    user = _user(uid) if uid is not None else ""
    return Parent(pid, name, procfs.read_cmdline(pid, proc), terminal, status.ppid, service, above, user)


def _unseen(found: procfs.Scan, proc: Path) -> Iterable[Unseen]:
    hidden = procfs.sees_all_processes(proc)
    if hidden:
        yield Unseen(hidden, "the host's PID namespace (`--pid host`) or a /proc without hidepid")
    if found.denied:
        users = sorted({_user(uid) for pid in found.denied if (uid := procfs.read_uid(pid, proc)) is not None})
        count = f"{len(found.denied)} process{'es' if len(found.denied) > 1 else ''}"
        yield Unseen(f"{count} of {', '.join(users[:5]) or 'other users'} cannot be looked at", SEEING)
    if not found.in_time:
        yield Unseen(f"the scan ran out of time after {found.looked_at} processes", "a less loaded machine")


def _unseen_links(found: procfs.Scan, links: Mapping[int, Socket]) -> Iterable[Unseen]:
    """A connection whose process was not found tells at least whose it is."""
    for inode in sorted(links.keys() - set().union(*found.sockets.values())):
        sock = links[inode]
        yield Unseen(f"a process of {_user(sock.uid)} that is not visible is connected to {sock.remote}", SEEING)


def look_again(holder: Holder, proc: Path = procfs.PROC, our_port: int | None = None) -> Holder | None:
    """Return this holder as it is now, without asking it anything, None if it is gone.

    A client that waits to be accepted counts, unlike in a first look: one that serves accepts it in a moment. `our_port` is
    the port of a connection of ours, which does not count.
    """
    process = _process(holder.pid, holder.nodes, proc)
    if process is None:
        return None
    waiting = _waiting(process, proc) if _accepts(holder) else ()
    sockets = tuple(sock for sock in (*process.sockets, *waiting) if our_port is None or sock.remote.port != our_port)
    return describe(replace(process, sockets=sockets), holder.parent)


def _accepts(holder: Holder) -> bool:
    return holder.tcl_answers is not False and holder.state not in "Tt"


def _waiting(process: Process, proc: Path) -> tuple[Socket, ...]:
    """Connections to its ports that are complete and not accepted yet: the kernel gives them an inode only then."""
    ports = {sock.local.port for sock in process.sockets if sock.state == LISTEN}
    rows = procfs.read_sockets(process.pid, proc)
    return tuple(sock for sock in rows if sock.inode == 0 and sock.state == ESTABLISHED and sock.local.port in ports)


def still_holds(pid: int, what: Wanted, proc: Path = procfs.PROC) -> bool | None:
    """Tell whether this process has the probe open now, None if it cannot be looked at."""
    links = _server_links(what.servers, proc)
    try:
        files = list(procfs.open_files(pid, proc, procfs.slow_mounts(proc)))
    except (ProcessLookupError, FileNotFoundError):
        return False
    except OSError:
        return None
    targets = procfs.Targets(what.devices, what.files, links.keys())
    return any(targets.node(status) is not None or targets.socket(status) is not None for status in files)


# Asking a foreign OpenOCD ------------------------------------------------------------------------------------------


def _asked(holder: Holder) -> Holder:
    """A session that lives is not disturbed: whether its OpenOCD is well is its own affair."""
    busy, ports = holder.gdb_connected or holder.console_clients, holder.ports
    if holder.kind != tools.OPENOCD.kind or busy or holder.same_namespace is False:
        return holder
    if ports.tcl is None and ports.telnet is None:
        return replace(holder, works=works(holder.pid)) if holder.half_closed and holder.state not in "Tt" else holder
    if holder.state in "DTt":
        return replace(holder, tcl_answers=False)
    before, began = procfs.read_waits(holder.pid), monotonic()
    answers = _answers(ports)
    dead = ask_target(ports.tcl) if answers and ports.tcl is not None else None
    busy_there = _works(holder.pid, before, monotonic() - began) if answers is False else None
    return replace(holder, tcl_answers=answers, target_dead=dead, works=busy_there)


def _answers(ports: ServerPorts) -> bool | None:
    if ports.tcl is not None:
        return ask_tcl(ports.tcl)
    return ask_telnet(ports.telnet) if ports.telnet is not None else None


def works(pid: int, seconds: float = WATCH_S) -> bool | None:
    """Tell an OpenOCD that is busy with its probe from one that is stuck; None if it cannot be looked at. Blocks so long.

    Says nothing about one that waits for clients: that one polls its target, and wakes as often.
    """
    before, began = procfs.read_waits(pid), monotonic()
    Event().wait(seconds)  # in the thread of the look
    return _works(pid, before, monotonic() - began)


def _works(pid: int, before: int | None, seconds: float) -> bool | None:
    after = procfs.read_waits(pid)
    return None if before is None or after is None else after - before >= WAITS_PER_S * seconds


def ask_telnet(telnet: Endpoint, timeout_s: float = 1.0) -> bool | None:
    """Tell whether an OpenOCD greets a telnet client, as 0.10 … master do at once, with a prompt; nothing is said to it.

    False and None as for `ask_tcl`.
    """
    return None if (answer := _exchange(telnet, b"", PROMPT, timeout_s)) is None else PROMPT in answer


def ask_tcl(tcl: Endpoint, timeout_s: float = 1.0) -> bool | None:
    """Tell whether an OpenOCD answers on its Tcl port: a bare 0x1A is answered by 0x1A (0.10 … master).

    False: connected, no answer in time (wedged; the kernel's backlog accepts for a process that never will). None: no
    connection, which says nothing about the process.
    """
    return None if (answer := _tcl(tcl, b"", timeout_s)) is None else answer.endswith(TCL_END)


def ask_target(tcl: Endpoint, timeout_s: float = 1.0) -> bool | None:
    """Tell whether the current target of an OpenOCD is dead: examination or polling fails, its state is `unknown`."""
    answer = _tcl(tcl, b"[target current] curstate", timeout_s)
    return None if not answer or not answer.endswith(TCL_END) else answer == b"unknown" + TCL_END


def tell(tcl: Endpoint, text: str, timeout_s: float = 1.0) -> None:
    """Leave one line in the log of an OpenOCD, where whoever started it reads it."""
    _tcl(tcl, echo(text), timeout_s)


def _tcl(tcl: Endpoint, command: bytes, timeout_s: float) -> bytes | None:
    return _exchange(tcl, command + TCL_END, TCL_END, timeout_s)


def _exchange(place: Endpoint, said: bytes, until: bytes, timeout_s: float) -> bytes | None:
    """One command, one answer; incomplete when time is up, None without a connection. The limit holds for all of it."""
    end = monotonic() + timeout_s
    try:
        link = socket.create_connection((place.host, place.port), timeout_s)
    except OSError as error:
        return b"" if isinstance(error, TimeoutError) else None
    answer = bytearray()
    with link:
        try:
            link.sendall(said)
            _receive(link, answer, until, end)
        except TimeoutError:
            pass
        except OSError:
            return bytes(answer) or None
    return bytes(answer)


def _receive(link: socket.socket, answer: bytearray, until: bytes, end: float) -> None:
    """Add to `answer` until it is whole, too long, or the connection closes. Raises OSError, a TimeoutError at `end`."""
    while until not in answer and len(answer) < TCL_LIMIT:
        link.settimeout(max(0.001, end - monotonic()))
        if not (more := link.recv(TCL_LIMIT)):
            return
        answer += more
