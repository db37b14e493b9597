"""The control socket: JSON lines over a Unix socket that only the daemon's user, root and its group can open."""

from __future__ import annotations

import os
import select
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ocdsup.control.protocol import Event, Refused, Reply, Request, Requests, encode
from ocdsup.errors import ControlError
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Report, Tasks
from ocdsup.runtime.wire import Wire

MAX_CLIENTS = 32
DEAF = 4 * 1024 * 1024  # bytes a client may leave unread before it is cut
_MODE = 0o660

# Carries out a request; `emit` sends an event of a stream. Raises ControlError.
Emit = Callable[[Any], None]
CarryOut = Callable[[Request, Emit], Awaitable[Any]]


def open_socket(path: str) -> socket.socket:
    """A listening control socket at `path`; a stale one of a daemon that died is replaced.

    Raises ControlError when another daemon listens there, when something that is no socket is in the way, or when the place
    cannot be used at all.
    """
    try:
        with suppress(FileExistsError):
            os.makedirs(os.path.dirname(path) or ".", mode=0o750)
        _make_room(path)
        return _bound(path)
    except OSError as error:
        why, hint = error.strerror or str(error), "set `control:` in the configuration to a place this user may write to"
        raise ControlError("failed", f"open the control socket {path}", why, hint) from error


def _bound(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~_MODE)
    try:
        sock.bind(path)
        sock.listen(MAX_CLIENTS)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _make_room(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    what = f"open the control socket {path}"
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError("failed", what, "something that is no socket has that name", "remove it or set `control:`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # nobody listens: left behind by a daemon that was killed
            return
        except OSError as error:
            raise ControlError("failed", what, error.strerror or "no answer from its owner") from error
    raise ControlError("busy", what, "another ocdsup daemon listens there", "`ocdsup status` asks it")


def risk(path: str) -> str:
    """Why somebody else could put a socket of his own in the place of ours; an empty text when nobody can."""
    folder = os.path.dirname(path) or "."
    found = os.stat(folder)
    if found.st_uid not in {0, os.geteuid()}:
        return f"{folder} belongs to the user with id {found.st_uid}"
    if os.path.islink(folder) and os.lstat(folder).st_uid not in {0, os.geteuid()}:
        return f"{folder} is a link of the user with id {os.lstat(folder).st_uid}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        return f"others than its owner may write to {folder}"
    return ""


def peer(sock: socket.socket) -> tuple[int, int]:
    """PID and user id of the client (unix(7), SO_PEERCRED)."""
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def hung_up(sock: socket.socket) -> bool:
    """Whether the other side has closed, and not only its sending side (poll(2), POLLHUP)."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def lasts(request: Request) -> bool:
    """Whether it goes on for as long as its client is there."""
    return request.verb == "watch" or bool(request.args.get("follow") or request.args.get("hold"))


class _Session:
    def __init__(self, sock: socket.socket, port: ControlPort) -> None:
        self._port = port
        self.peer = peer(sock)
        self._requests = Requests()
        self._tasks = Tasks(port.report)
        self._sock = sock
        self._owed = 0  # answers to requests that end by themselves
        self._silent = False  # the client has only closed its sending side
        self._wire = Wire(sock, self._bytes, self._gone, on_eof=self._eof)

    def _eof(self) -> None:
        """One that still listens (`socat`, `nc -N`) gets the answers it waits for; one that is gone takes its work with it."""
        self._silent = not hung_up(self._sock)
        if not (self._silent and self._owed):
            self.close()

    def _bytes(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            if isinstance(request, Refused):
                self._send(request)
            else:
                self._owed += not lasts(request)
                self._tasks.spawn(f"control-{request.verb}", self._serve(replace(request, peer=self.peer)))

    async def _serve(self, request: Request) -> None:
        await self._answer(request)
        self._owed -= not lasts(request)
        if self._silent and not self._owed:
            self.close()

    async def _answer(self, request: Request) -> None:
        if request.row.acts:
            pid, uid = self.peer
            self._port.log.info("asked", verb=request.verb, bench=request.bench, args=dict(request.args), pid=pid, uid=uid)
        try:
            result = await self._port.carry_out(request, lambda event: self._send(Event(request.id, event)))
        except ControlError as error:
            self._send(Reply(request.id, error=error))
        except Exception as error:  # noqa: BLE001  # a bug of ours must not leave a client without an answer
            self._port.report(f"control-{request.verb}", error)
            self._send(Reply(request.id, error=ControlError("internal", request.verb, "a mistake in ocdsup; see its log")))
        else:
            self._send(Reply(request.id, result))

    def _send(self, answer: Reply | Event | Refused) -> None:
        self._wire.send(encode(answer))
        if self._wire.backlog > DEAF:
            self._port.log.warning("control_deaf", pid=self.peer[0])
            self.close()

    def _gone(self, _reason: str) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()
        self._port.forget(self)
        self._port.tasks.spawn("control-end", self._tasks.cancel())


class ControlPort:
    """The listener and its clients."""

    def __init__(
        self,
        path: str,
        carry_out: CarryOut,
        tasks: Tasks,
        report: Report,
        log: Any,
        given: socket.socket | None = None,
    ) -> None:
        self.carry_out = carry_out
        self.tasks = tasks
        self.report = report
        self.log = log
        self._path = path
        self._sessions: list[_Session] = []
        sock = given or open_socket(path)
        self._made = None if given else os.stat(path).st_ino
        if not given and (why := risk(path)):
            hint = "set `control:` to a folder that only this user and root may change"
            log.warning("control_folder_of_others", why=why, hint=hint)
        self._listener = Listener([sock], self._accept)

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS:
            self.log.warning("control_too_many_clients")
            sock.close()
            return
        self._sessions.append(_Session(sock, self))

    def forget(self, session: _Session) -> None:
        """A client is gone."""
        with suppress(ValueError):
            self._sessions.remove(session)

    def close(self) -> None:
        """End the socket and its clients; what was already said still arrives."""
        self._listener.close()
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._made:  # not the socket of a daemon that came after us
                os.unlink(self._path)
        for session in tuple(self._sessions):
            session.close()
