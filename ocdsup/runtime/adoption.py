"""An OpenOCD that outlives the daemon (`adopt: true`): its pty, its pidfd and a record of it wait in the manager's store.

The manager's copy of the pty is what keeps it alive in between: when the service is stopped the manager drops its store, the
terminal hangs up, and OpenOCD ends of it, or is ended (`guard`). A record of another version, a damaged one, or one of an
OpenOCD that would be started differently now is a clean start: that process is killed by its pidfd, and another is launched.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ocdsup.rsp.parked import RecordError

if TYPE_CHECKING:
    from ocdsup.runtime.fd_store import Store

VERSION = 1
NAME = "ocdsup.openocd."
_SIZE = 64 * 1024  # bytes of a record at most


@dataclass(frozen=True, slots=True)
class Held:
    """A process that outlived the previous daemon, with the descriptors that it was stored under."""

    pid: int
    pty: int
    pidfd: int

    def close(self) -> None:
        """Let go of it."""
        os.close(self.pty)
        os.close(self.pidfd)


@dataclass(frozen=True, slots=True)
class Record:
    """What the next daemon has to know of a running OpenOCD. `start` is how it would be started, for comparison."""

    pid: int
    start: tuple[str, ...]
    argv: tuple[str, ...]
    targets: tuple[str, ...]
    gdb: tuple[int, ...]
    named: tuple[str, ...]  # for each of these ports the target that OpenOCD named for it, or nothing
    telnet: int | None
    tcl: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """An OpenOCD of the previous daemon, not yet taken up."""

    held: Held
    record: Record

    def end(self) -> None:
        """It is not wanted: kill it and let go of it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.held.pidfd, signal.SIGKILL)
        self.held.close()


def encode(record: Record) -> bytes:
    """The record as it is stored."""
    return json.dumps({"version": VERSION, **asdict(record)}).encode()


def decode(data: bytes) -> Record:
    """The record. Raises RecordError for anything that is none of this version."""
    try:
        tree = json.loads(data)
        version = tree.pop("version")
        names = {name: tuple(map(_word, tree.pop(name))) for name in ("start", "argv", "targets", "named")}
        telnet = tree.pop("telnet")
        record = Record(
            pid=_number(tree.pop("pid")),
            gdb=tuple(map(_number, tree.pop("gdb"))),
            telnet=None if telnet is None else _number(telnet),
            tcl=_number(tree.pop("tcl")),
            **names,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"no record: {error}") from None
    if tree or version != VERSION:
        raise RecordError(f"of version {version!r:.20}, this is {VERSION}")
    return record


def _number(value: object) -> int:
    if type(value) is not int or value <= 0:
        raise TypeError(f"{value!r:.40} is no number")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no word")
    return value


def sorted_out(numbers: Iterable[int]) -> Orphan:
    """Make sense of what was stored under one name; all descriptors are owned by the result.

    Raises RecordError when it is no living OpenOCD; whatever lives of it is killed then, and all descriptors are closed.
    """
    kinds: dict[str, int] = {}
    for number in numbers:
        mode = os.fstat(number).st_mode
        kind = "pty" if stat.S_ISCHR(mode) else "record" if stat.S_ISREG(mode) else "pidfd"
        if kind in kinds:
            os.close(number)
        else:
            kinds[kind] = number
    try:
        record = _alive(kinds)
    except RecordError:
        _give_up(kinds)
        raise
    os.close(kinds["record"])
    return Orphan(Held(record.pid, kinds["pty"], kinds["pidfd"]), record)


def _alive(kinds: Mapping[str, int]) -> Record:
    if kinds.keys() != {"pty", "pidfd", "record"}:  # the manager lets go of a terminal that was hung up
        raise RecordError("it has ended")
    record = decode(os.pread(kinds["record"], _SIZE, 0))
    if select.select([kinds["pidfd"]], [], [], 0)[0]:
        raise RecordError("it has ended")
    return record


def _give_up(kinds: Mapping[str, int]) -> None:
    if "pidfd" in kinds:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(kinds["pidfd"], signal.SIGKILL)
    for number in kinds.values():
        os.close(number)


class Adoption:
    """The place of one bench's OpenOCD in the store."""

    def __init__(self, bench: str, store: Store, orphan: Orphan | None) -> None:
        self._name = NAME + bench
        self._store = store
        self._orphan = orphan
        self._kept = orphan is not None

    def take(self, start: Sequence[str]) -> Orphan | None:
        """The OpenOCD of the previous daemon, once, if it runs as we would start it; any other one is ended."""
        orphan, self._orphan = self._orphan, None
        if orphan is not None and orphan.record.start != tuple(start):
            orphan.end()
            self.drop()
            return None
        return orphan

    def refuse(self) -> None:
        """It is not wanted any more."""
        if self._orphan is not None:
            self.take(("",))

    def keep(self, held: Held, record: Record) -> None:
        """Store a running OpenOCD, with a new record."""
        self.drop()
        file = os.memfd_create("ocdsup-openocd", os.MFD_CLOEXEC)
        try:
            os.write(file, encode(record))
            self._store.keep(self._name, (held.pty, held.pidfd, file))
        finally:
            os.close(file)
        self._kept = True

    def drop(self) -> None:
        """It has ended, or has to end."""
        if self._kept:
            self._kept = False
            self._store.drop(self._name)
