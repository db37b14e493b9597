"""One telnet session: bytes of the client and of OpenOCD's console in, effects out.

Why a client of OpenOCD's telnet console and not of its Tcl port: the console shows output while a command runs and log lines as
they come, as people who type there expect; the Tcl port gives only a result, at the end.

The rules (contract 3.3): a line whose first word is `ocdsup` is for the supervisor and jumps the queue, also while a command of
OpenOCD hangs. Every other line goes to OpenOCD, one at a time. While OpenOCD is away each is answered at once.
"""

import re
from collections import deque
from collections.abc import Callable

from ocdsup.telnet import words
from ocdsup.telnet.console import At, Console, Output, Ready
from ocdsup.telnet.effects import CONSOLE_LIMIT, Away, Backend, Close, Effect, OwnCommand, ToBackend, ToClient
from ocdsup.telnet.intruder import intruder, judged
from ocdsup.telnet.lines import Ended, Interrupted, Line, LineEditor, TooLong, Typed, printable
from ocdsup.telnet.options import Options

QUEUE_LIMIT = 256  # lines that wait for OpenOCD
WAITING_LIMIT = 32  # requests to the supervisor without an answer yet
GREETING = "Open On-Chip Debugger, supervised by ocdsup (`ocdsup help`)"

_SHUTDOWN = re.compile(r"(^|[;\[{])\s*shutdown\b")  # in command position, also inside a compound line


def _all_pass(_line: str) -> str:
    return ""


class Bridge:
    """A session; every method returns the effects of its event. Starts without a backend.

    `denied` says why a line must not reach OpenOCD, or nothing: the policy of the bench (`monitor:` of its configuration).
    """

    def __init__(self, away: Away, denied: Callable[[str], str] = _all_pass) -> None:
        self._denied = denied
        self._options = Options()
        self._editor = LineEditor()
        self._first: bytes | None = b""  # what the client has said so far, until its first line is judged
        self._begun = False  # greeted, or the client has finished a first line: until then nothing is said
        self._away: Away | None = away
        self._missed = False  # the client was told that OpenOCD is away
        self._console = Console()
        self._limit = CONSOLE_LIMIT
        self._queue: deque[bytes] = deque()
        self._waiting: set[int] = set()  # requests to the supervisor without an answer yet
        self._next_id = 1
        self._at_prompt = False
        self._ending = False
        self._closed = False
        self._gone = False  # the close was handed out
        self._out: list[Effect] = []

    # events

    def greet(self) -> list[Effect]:
        """The client said nothing for a moment (50 ms): greet and prompt. One that speaks first gets answers only."""
        if not (self._begun or self._ending):
            self._begun = True
            self._say(GREETING)
            if self._away is not None:
                self._missed = True
                self._say(self._away.sentence())
            self._settle()
        return self._effects()

    def taken_up(self) -> list[Effect]:
        """The client was served by another process before: it sees a prompt, or waits for an answer that will not come."""
        self._begun, self._first, self._at_prompt = True, None, True
        self._missed = self._away is not None
        self._notice("ocdsup: the supervisor was restarted; an answer that was awaited is lost")
        return self._effects()

    def client_bytes(self, data: bytes) -> list[Effect]:
        """The client sent bytes, in any chunking."""
        plain, reply = self._options.feed(data)
        if reply:
            self._out.append(ToClient(reply))
        if self._closed or self._ending or self._is_intruder(plain):
            return self._effects()
        for typed in self._editor.feed(plain):
            self._typed(typed)
        return self._effects()

    def client_eof(self) -> list[Effect]:
        """The client will send no more; what it asked for is still delivered."""
        self._ending = True
        self._settle()
        return self._effects()

    def backend_up(self, info: Backend) -> list[Effect]:
        """A connection to OpenOCD's telnet port is open; its greeting is about to come as `backend_bytes`."""
        self._away = None
        self._console = Console()
        self._limit = info.line_limit
        if self._missed:
            self._missed = False
            self._notice(f"ocdsup: OpenOCD is back{f' ({info.version})' if info.version else ''}")
        return self._effects()

    def backend_down(self, away: Away) -> list[Effect]:
        """OpenOCD or the connection to it is gone; call again whenever phase, reason or next try change."""
        if self._away is None:
            asked = self._console.at in {At.SENT, At.RUNNING}
            self._away = away
            self._missed = True
            self._notice(away.sentence())
            if asked:
                self._say("ocdsup: the answer to the last command is lost")
            for _ in range(len(self._queue)):
                self._queue.popleft()
                self._say(away.sentence())
            self._settle()
        self._away = away
        return self._effects()

    def backend_bytes(self, data: bytes) -> list[Effect]:
        """OpenOCD's console sent bytes."""
        if self._away is not None:
            return self._effects()  # the last bytes of a connection that is gone
        for seen in self._console.feed(data):
            match seen:
                case Output(line) if self._begun:
                    self._notice(printable(line).decode("ascii"))
                case Ready():
                    self._next()
                case _:
                    pass  # a log line of before this session began
        return self._effects()

    def own_answer(self, request: int, text: str) -> list[Effect]:
        """The supervisor answered a request; an id that is unknown or already answered is ignored."""
        if request in self._waiting:
            self._waiting.discard(request)
            self._notice(*text.splitlines())
            self._settle()
        return self._effects()

    # lines of the client

    def _typed(self, typed: Typed) -> None:
        if self._ending:
            return
        self._begun = True
        self._at_prompt = False  # the client's Enter has moved to a new line
        match typed:
            case Line(data):
                self._line(data)
            case TooLong(size):
                self._say(f"ocdsup: the line has {size} bytes; the limit is 4096, nothing was executed")
            case Interrupted():
                self._queue.clear()
            case Ended():
                self._ending = True
        self._settle()

    def _line(self, data: bytes) -> None:
        text = data.replace(b"\t", b" ").decode("latin-1").strip()
        parts = tuple(text.split())
        if not parts:
            return
        if parts[0] == "ocdsup":
            self._own(parts)
        elif parts[0] in {"exit", "quit"}:
            self._ending = True
        elif problem := self._refusal(text):
            self._say(problem)
        else:
            self._queue.append(text.encode("latin-1"))
            self._next()

    def _own(self, parts: tuple[str, ...]) -> None:
        request = words.parse(parts[1:])
        if isinstance(request, str):
            self._say(*request.splitlines())
            return
        if len(self._waiting) >= WAITING_LIMIT:
            self._say(f"ocdsup: {WAITING_LIMIT} requests are waiting already; this one was not taken")
            return
        self._waiting.add(self._next_id)
        self._out.append(OwnCommand(self._next_id, parts, request.verb, request.args))
        self._next_id += 1

    def _refusal(self, text: str) -> str:
        """Return why a line cannot go to OpenOCD now, or nothing."""
        if _SHUTDOWN.search(text):
            return "ocdsup: OpenOCD is supervised and would be restarted; `ocdsup stop` takes it down, `exit` leaves"
        if not (text.isascii() and text.isprintable()):
            return "ocdsup: OpenOCD's console drops bytes that are not printable ASCII; nothing was executed"
        if denied := self._denied(text):
            return f"ocdsup: {denied}; nothing was executed"
        if self._away is not None:
            self._missed = True
            return self._away.sentence()
        if len(text) > self._limit:
            return f"ocdsup: the line has {len(text)} bytes, OpenOCD's console takes {self._limit}; nothing was executed"
        if len(self._queue) >= QUEUE_LIMIT:
            return f"ocdsup: {QUEUE_LIMIT} lines are waiting already; this one was not taken"
        return ""

    def _next(self) -> None:
        """Give OpenOCD the next line if it is ready for one."""
        if self._queue and self._console.at is At.IDLE:
            self._out.append(ToBackend(self._console.send(self._queue.popleft())))
        self._settle()

    def _is_intruder(self, plain: bytes) -> bool:
        if self._first is None:
            return False
        self._first += plain
        if (kind := intruder(self._first)) is not None:
            self._close(f"not a telnet client: {kind}")
        elif judged(self._first):
            self._first = None
        return self._closed

    # output

    @property
    def running(self) -> str:
        """The line that OpenOCD has not answered, or nothing."""
        carried_out = self._away is None and self._console.at in {At.SENT, At.RUNNING}
        return self._console.command if carried_out else ""

    def _busy(self) -> bool:
        return bool(self._waiting or self._queue or self.running)

    def _settle(self) -> None:
        """Nothing is being answered any more: prompt, or close if the client has said goodbye."""
        if self._closed or self._busy():
            return
        if self._ending:
            self._close()
        elif self._begun and not self._at_prompt:
            self._at_prompt = True
            self._out.append(ToClient(b"> "))

    def _close(self, reason: str | None = None) -> None:
        self._closed = True
        self._out.append(Close(reason))

    def _notice(self, *lines: str) -> None:
        """Say something that no Enter came before; a prompt that shows is left on its line and shown again."""
        if self._at_prompt:
            self._at_prompt = False
            self._out.append(ToClient(b"\r\n"))
            self._say(*lines)
            self._settle()
        else:
            self._say(*lines)

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._out.append(ToClient(printable(line.encode("utf-8", "backslashreplace")) + b"\r\n"))

    def _effects(self) -> list[Effect]:
        """Return and forget the effects so far, neighbouring output in one piece; nothing comes after a close."""
        merged: list[Effect] = []
        for effect in self._out if not self._gone else ():
            last = merged[-1] if merged else None
            if isinstance(last, ToClient) and isinstance(effect, ToClient):
                merged[-1] = ToClient(last.data + effect.data)
            else:
                merged.append(effect)
        self._out.clear()
        self._gone = self._closed
        return merged
