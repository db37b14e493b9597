"""What outlives the daemon: descriptors in the service manager's store (systemd, sd_pid_notify_with_fds(3), FDSTORE=1).

The manager keeps them over a restart and over a crash, and drops them when the service is stopped. A debug session is two of
them under one name: its socket, and an anonymous file with its record, in two slots, which is written on while it is stored
(`ledger`, `account`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from ocdsup.rsp.parked import SLOT, Parked, RecordError, newest
from ocdsup.runtime import adoption
from ocdsup.runtime.account import Balance, Page, balance
from ocdsup.runtime.inherited import LISTENER as LISTENER
from ocdsup.runtime.inherited import Inherited, descriptors
from ocdsup.runtime.systemd import Notify

SESSION = "ocdsup.gdb."
TELNET = "ocdsup.telnet."
BARRIER_S = 2.0


class Shelf:
    """The place of one session in the store."""

    def __init__(self, store: Store, name: str, file: int) -> None:
        self._store = store
        self.name = name
        self._file = file
        self.page = Page(file)

    def write(self, slot: int, record: bytes) -> None:
        """Write a record into a slot."""
        os.pwrite(self._file, record, slot * SLOT)

    def clear(self) -> None:
        """The session is over: take it out of the store."""
        self._store.drop(self.name)
        self.close()

    def close(self) -> None:
        """Let go of our end; what is stored stays."""
        self.page.close()
        os.close(self._file)


class Store:
    """The store of the manager, if there is one."""

    def __init__(self, notify: Notify, listeners: Inherited) -> None:
        self._notify = notify
        self._listeners = listeners

    @property
    def there(self) -> bool:
        """Whether anything can be kept at all."""
        return self._notify.heard

    def listener(self, address: str, port: int) -> socket.socket | None:
        """A listener on this address that was there before us, from the store or the socket unit."""
        return self._listeners.tcp(address, port)

    def keep(self, name: str, numbers: Iterable[int]) -> bool:
        """Store descriptors under a name, none twice; returns False when the manager does not take them now."""
        return self._notify.send("FDSTORE=1", f"FDNAME={name}", descriptors=tuple(numbers))

    def drop(self, name: str) -> None:
        """Take out what has this name."""
        self._notify.send("FDSTOREREMOVE=1", f"FDNAME={name}")

    async def written(self) -> None:
        """Wait until the manager has done what it was told so far, BARRIER_S at most (sd_notify_barrier(3)).

        A listener that it still keeps is still there: its port cannot be bound again before.
        """
        if not self.there:
            return
        reading, writing = os.pipe()
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(reading, done.set)
        try:
            self._notify.send("BARRIER=1", descriptors=(writing,))
            os.close(writing)  # the manager's copy is the last; it closes it when its turn comes
            async with asyncio.timeout(BARRIER_S):
                await done.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(reading)
            os.close(reading)

    def shelve(self, sock: socket.socket, slot: int = 0, record: bytes = b"") -> Shelf | None:
        """Store a session's socket with its first record; None without a store, or when it does not take it now."""
        if not self.there:
            return None
        name = f"{SESSION}{os.urandom(8).hex()}"
        file = os.memfd_create(name, os.MFD_CLOEXEC)
        shelf = Shelf(self, name, file)
        shelf.write(slot, record)
        if self.keep(name, (sock.fileno(), file)):
            return shelf
        shelf.close()
        return None

    def keep_telnet(self, sock: socket.socket) -> str:
        """Store a console connection; returns the name it has there, or nothing."""
        if not self.there:
            return ""
        name = f"{TELNET}{os.urandom(8).hex()}"
        return name if self.keep(name, [sock.fileno()]) else ""

    def again(self, kept: Kept) -> Shelf:
        """The place of a session that was taken up; it is stored already."""
        return Shelf(self, kept.name, kept.file)


@dataclass(frozen=True, slots=True)
class Kept:
    """A session of the previous daemon."""

    name: str
    sock: socket.socket
    file: int
    parked: Parked
    generation: int
    balance: Balance

    @property
    def port(self) -> int:
        """The stable port that it came to."""
        return int(self.sock.getsockname()[1])

    def close(self) -> None:
        """Give it up; the debugger sees the end of the connection once it is out of the store too."""
        self.sock.close()
        os.close(self.file)


@dataclass(frozen=True, slots=True)
class KeptTelnet:
    """A console connection of the previous daemon."""

    name: str
    sock: socket.socket

    @property
    def port(self) -> int:
        """The stable port that it came to."""
        return int(self.sock.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Given:
    """All that this process was started with; `broken` are names of sessions that cannot be taken up, each with the reason."""

    listeners: Inherited
    sessions: tuple[Kept, ...]
    broken: tuple[tuple[str, str], ...]
    orphans: dict[str, adoption.Orphan]  # OpenOCD of the previous daemon, by the name of its bench
    telnets: tuple[KeptTelnet, ...]


def from_manager(environment: MutableMapping[str, str] | None = None) -> Given:
    """Sort what systemd passed. What does not make a session is closed, whatever it is; nothing raises."""
    groups: dict[str, list[int]] = {}
    others: list[tuple[int, str]] = []
    for number, name in descriptors(os.environ if environment is None else environment, os.getpid()):
        if name.startswith((SESSION, TELNET, adoption.NAME)):
            groups.setdefault(name, []).append(number)
        else:
            others.append((number, name))
    sessions, broken, orphans, telnets = [], [], {}, []
    for name, numbers in groups.items():
        try:
            if name.startswith(SESSION):
                sessions.append(_session(name, numbers))
            elif name.startswith(TELNET):
                telnets.append(_telnet(name, numbers))
            else:
                orphans[name.removeprefix(adoption.NAME)] = adoption.sorted_out(numbers)
        except (RecordError, OSError) as error:
            broken.append((name, str(error)))
    return Given(Inherited(others), tuple(sessions), tuple(broken), orphans, tuple(telnets))


def _telnet(name: str, numbers: list[int]) -> KeptTelnet:
    """Raises OSError; then the descriptors are closed."""
    first, *more = numbers
    for number in more:
        os.close(number)
    sock = socket.socket(fileno=first)
    try:
        sock.getpeername()
    except OSError:
        sock.close()
        raise
    return KeptTelnet(name, sock)


def _session(name: str, numbers: list[int]) -> Kept:
    """Raises RecordError or OSError; then the descriptors are closed."""
    try:
        return _taken_up(name, numbers)
    except (RecordError, OSError):
        for number in numbers:
            os.close(number)
        raise


def _taken_up(name: str, numbers: list[int]) -> Kept:
    sockets = [number for number in numbers if stat.S_ISSOCK(os.fstat(number).st_mode)]
    files = [number for number in numbers if number not in sockets]
    if len(sockets) != 1 or len(files) != 1:
        raise RecordError("its connection has ended")  # the manager lets go of a stream that was closed
    parked, generation = newest([os.pread(files[0], SLOT, at * SLOT) for at in (0, 1)])
    sock = socket.socket(fileno=os.dup(sockets[0]))
    try:
        sock.getpeername()
        due = balance(sock, files[0], parked, generation)
    except (OSError, RecordError):
        sock.close()
        raise
    os.close(sockets[0])
    return Kept(name, sock, files[0], parked, generation, due)
