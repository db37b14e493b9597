"""A blocking client of the control socket, small enough that `ocdsup status` stays instant.

The package's error page is imported only when there is an error: dataclasses, typing and enums of our own would cost more than
the whole request. For the same reason annotations are text, and the socket is that of `_socket`: `socket` adds selectors and
turns hundreds of constants into enums, 3 ms of the 20 that a status may take; a connect, a send and a receive need none of it.
"""

from __future__ import annotations

import json
import os
import sys
from _socket import AF_UNIX, SO_PEERCRED, SOL_SOCKET, socket
from time import monotonic, sleep  # noqa: TID251 - no loop runs in a client

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ocdsup.errors import ControlError

ANSWER_LIMIT = 16 * 1024 * 1024  # bytes of one answer; a daemon that sends more is not ours
PATIENCE_S = 8.0  # how long a daemon may be silent, also when it is asked whether it lives
_ASKED_AFTER = 1 / 4  # of the patience
_PAUSE_S = 0.05


def default_socket(environment: Mapping[str, str], uid: int) -> str:
    """Return the socket to try: OCDSUP_SOCKET, else the first that exists of the user's and the system's daemon."""
    from ocdsup.config.paths import control_candidates

    candidates = control_candidates(uid, environment.get("XDG_RUNTIME_DIR"))
    existing = (path for path in candidates if os.path.exists(path))
    return environment.get("OCDSUP_SOCKET") or next(existing, candidates[0])


class Client:
    """One connection to a daemon; a context manager.

    Work may take long, but a daemon at work answers another question meanwhile, and one that hangs does not. So after a moment
    of silence it is asked whether it lives. `patience` is how many seconds (PATIENCE_S) it may say nothing at all, `limit` how
    many everything may take, however alive the daemon is. With `for_ever` it may be as silent as it likes once it was heard.
    """

    def __init__(self, path: str, *, patience: float | None = None, limit: float | None = None, for_ever: bool = False) -> None:
        self._path = path
        self._patience = PATIENCE_S if patience is None else patience
        self._for_ever = for_ever
        self._heard = False  # since the last request
        self._limit = None if limit is None else monotonic() + limit
        self._rest = bytearray()
        self._last_id = 0
        self._stream = socket(AF_UNIX)
        try:
            self._connect(monotonic())
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            self._stream.close()
            raise _unreachable(path, error) from None
        self._know_peer(path)

    def _know_peer(self, path: str) -> None:
        """Take nobody's word but that of a daemon of root's, of our own, or of one in a place that is the service's alone."""
        peer, us = self._stream.getsockopt(SOL_SOCKET, SO_PEERCRED, 12), os.geteuid()
        uid = int.from_bytes(peer[4:8], sys.byteorder)  # struct ucred: pid, uid, gid (unix(7))
        if uid in {0, us}:
            return
        from ocdsup.cli.peer import check
        from ocdsup.errors import ControlError

        try:
            check(path, uid, us)
        except ControlError:
            self._stream.close()
            raise

    def _connect(self, began: float) -> None:
        """Wait for a place in the daemon's queue; a full one refuses with EAGAIN at once, whatever the time limit (unix(7))."""
        while True:
            try:
                self._stream.settimeout(self._patience)
                return self._stream.connect(self._path)
            except BlockingIOError:
                if self._left(began, self._patience) <= 0:
                    self._stream.close()
                    raise _silent(self._path, None, monotonic() - began) from None
                sleep(_PAUSE_S)

    def _left(self, began: float, pause: float) -> float:
        """Return how many seconds are left of a pause, and of the limit."""
        end = began + pause
        return (end if self._limit is None else min(end, self._limit)) - monotonic()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; that also ends a stream."""
        self._stream.close()

    def request(self, verb: str, bench: str | None = None, args: Mapping[str, object] | None = None) -> Any:
        """Return the result of one request.

        Raises:
            ControlError: the daemon refused it, or went away.
        """
        name = self._send(verb, bench, args)
        while True:
            answer = self._answer(name)
            if "event" not in answer:
                return answer["result"]

    def stream(self, verb: str, bench: str | None = None, args: Mapping[str, object] | None = None) -> Iterator[Any]:
        """Yield every event of a stream and, unless it is null, the result that ends it."""
        name = self._send(verb, bench, args)
        while True:
            answer = self._answer(name)
            if "event" in answer:
                yield answer["event"]
                continue
            if answer["result"] is not None:
                yield answer["result"]
            return

    def _send(self, verb: str, bench: str | None, args: Mapping[str, object] | None) -> int:
        self._last_id += 1
        line = {"id": self._last_id, "verb": verb, "bench": bench, "args": dict(args or {})}
        try:
            self._stream.sendall(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise _lost(error) from None
        self._heard = self._heard and verb == "help"  # a request anew has to be heard of, a question whether it lives has not
        return self._last_id

    def _answer(self, name: int) -> dict[str, Any]:
        """Return the next line for this request; raise its error."""
        while True:
            try:
                answer = json.loads(self._line())
                if answer["id"] not in {name, None}:
                    continue  # the end of an earlier stream
                if "event" in answer or answer["ok"]:
                    return {"event": answer["event"]} if "event" in answer else {"result": answer["result"]}
                code, text, hint = (str(answer["error"][key]) for key in ("code", "text", "hint"))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise _lost("it sent something that is no answer") from None
            from ocdsup.errors import ControlError

            raise ControlError(code, text, hint=hint)

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > ANSWER_LIMIT:
                raise _lost("its answer is too long")
            if not (part := self._hear()):
                raise _lost("it closed the connection")
            self._rest += part
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _hear(self) -> bytes:
        """Return what the daemon says next, empty at its end."""
        began = monotonic()
        for pause in (self._patience * _ASKED_AFTER, self._patience):
            patient = self._for_ever and self._heard
            try:
                self._stream.settimeout(None if patient else max(_PAUSE_S, self._left(began, pause)))
                part = self._stream.recv(65536)
            except TimeoutError:
                if self._left(began, self._patience) > 0:
                    self._send("help", None, None)  # its answer is nobody's: only that it comes matters
            except OSError as error:
                raise _lost(error) from None
            else:
                self._heard = True
                return part
        raise _silent(self._path, self._stream, monotonic() - began)


def _unreachable(path: str, error: Exception) -> ControlError:
    from ocdsup.errors import ControlError

    if isinstance(error, PermissionError):
        hint = "join the group that owns the socket, or use the daemon's user"
        return ControlError("not-running", f"reach the daemon at {path}", "permission denied", hint)
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        hint = "start it with `ocdsup run` or `systemctl start ocdsup`, or name its socket with --socket"
        return ControlError("not-running", f"reach the daemon at {path}", "nobody listens there", hint)
    why = str(getattr(error, "strerror", None) or error)
    return ControlError("not-running", f"reach the daemon at {path}", why, "name its socket with --socket")


def _lost(why: object) -> ControlError:
    from ocdsup.errors import ControlError

    text = (
        "it did not read the request in time" if isinstance(why, TimeoutError) else str(getattr(why, "strerror", None) or why)
    )
    return ControlError("lost", "get an answer from the daemon", text, "look at its log: `journalctl -u ocdsup`")


def _silent(path: str, stream: socket | None, waited: float) -> ControlError:
    from ocdsup.cli.silent import error

    return error(path, stream, waited)
