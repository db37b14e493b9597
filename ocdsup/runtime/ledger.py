"""One debug session's books: its record is written before anything is done that follows from it (why: `account`)."""

from __future__ import annotations

import socket

from ocdsup.rsp.outputs import News, Notice, Output, ToClient
from ocdsup.rsp.parked import Recorder
from ocdsup.rsp.proxy import Proxy
from ocdsup.runtime.fd_store import Kept, Shelf, Store
from ocdsup.runtime.wire import Wire

REST = 64 * 1024  # bytes, of what GDB has not got yet, that a record keeps; a session further behind than that ends


class Ledger:
    """Counts what a debugger's connection takes and gives, and writes the records while there is a store for them."""

    def __init__(self, sock: socket.socket, store: Store | None, kept: Kept | None = None) -> None:
        self._sock = sock
        self._store = store
        self._shelf: Shelf | None = store.again(kept) if kept is not None and store is not None else None
        self._taken = kept.balance.noted.taken if kept is not None else 0
        self._given = kept.balance.noted.given if kept is not None else 0
        self._recorded = -1  # bytes taken as of the last record
        self._recorder = Recorder(kept.generation if kept is not None else 0)

    @property
    def kept(self) -> bool:
        """Whether the session is in the store."""
        return self._shelf is not None

    def read(self, limit: int) -> bytes:
        """Read from the debugger, into memory that outlives this process when there is such. Raises what `recv` raises."""
        if self._shelf is None:
            return self._sock.recv(limit)
        return self._shelf.page.receive(self._sock, limit, self._taken)

    def took(self, size: int) -> None:
        """So many bytes of what was read are now acted upon."""
        self._taken += size

    def passed(self, size: int, proxy: Proxy, client: Wire) -> None:
        """So many bytes, the answer to a plain read, went to the debugger as they are. Raises RecordError, OSError."""
        self._given += size
        if self._shelf is not None and not client.backlog:
            self._shelf.page.count(self._recorder.generation, self._taken, self._given)
        elif self._shelf is not None:
            self._write(proxy, client.unsent)

    def enter(self, outputs: list[Output], proxy: Proxy, client: Wire | None) -> None:
        """Write down how the session stands, before the outputs are carried out. Raises RecordError, OSError."""
        coming = b"".join(output.data for output in outputs if isinstance(output, ToClient))
        self._given += len(coming)
        if client is None or not (outputs or self._taken != self._recorded):
            return
        if self._shelf is not None or Notice(News.SESSION) in outputs:
            self._write(proxy, client.unsent[-REST:] + coming)

    def _write(self, proxy: Proxy, unsent: bytes) -> None:
        self._recorded = self._taken
        slot, record = self._recorder.record(proxy, self._taken, self._given, unsent[-REST:])
        if self._shelf is not None:
            self._shelf.write(slot, record)
        elif self._store is not None:
            self._shelf = self._store.shelve(self._sock, slot, record)

    def close(self) -> None:
        """The session is over, or cannot be kept: nothing of it stays in the store."""
        if self._shelf is not None:
            self._shelf.clear()
            self._shelf = None

    def leave(self) -> str:
        """Let go of it; it stays in the store, for the next process. Returns its name there, or nothing."""
        shelf, self._shelf = self._shelf, None
        if shelf is None:
            return ""
        shelf.close()
        return shelf.name
