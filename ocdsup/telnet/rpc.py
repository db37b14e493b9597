"""One session at the stable Tcl port: a client's commands, each ended by 0x1A, and what OpenOCD answers (tcl_server.c).

The protocol has no error flag and no greeting: an answer is text and 0x1A. So every command gets one, also when OpenOCD is away
or goes while it carries it out; a client that counts answers never falls out of step. Notifications come between answers,
unasked; who has switched them on has them on in the next OpenOCD too.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ocdsup.telnet.effects import Away, Close, ToBackend, ToClient
from ocdsup.telnet.intruder import intruder, judged

END = b"\x1a"
LONGEST = 64 * 1024  # bytes of one command; OpenOCD 0.12 takes 4 KiB, master any length
WAITING_LIMIT = 256  # commands without an answer
LOST = "ocdsup: OpenOCD went away while it carried this out; the answer is lost"

_SWITCH = re.compile(r"\s*(tcl[_ ](?:notifications|trace))\s+(on|off)\s*")
_NOTIFICATION = re.compile(rb"type target_(?:event|state|reset|trace) ")

Out = list[ToClient | ToBackend | Close]


@dataclass(slots=True)
class _Asked:
    command: bytes
    ours: bool = False  # said again for the client, who does not wait for its answer


class RpcSession:
    """A client and, while there is an OpenOCD, a Tcl connection to it. Every method returns what is to be done.

    `denied` says why a command must not reach OpenOCD, or nothing: the policy of the bench (`monitor:` of its configuration).
    """

    def __init__(self, away: Away, denied: Callable[[str], str]) -> None:
        self._away: Away | None = away
        self._denied = denied
        self._first: bytes | None = b""  # what the client has said so far, until its first line is judged
        self._said = bytearray()
        self._answer = bytearray()
        self._asked: deque[_Asked] = deque()
        self._switches: dict[str, bytes] = {}
        self._silent = False  # the client has said all it wants (`nc -N`), and waits for what it is owed

    @property
    def running(self) -> str:
        """The command that OpenOCD carries out now, or nothing."""
        return self._asked[0].command.decode("utf-8", "replace") if self._asked else ""

    def client_bytes(self, data: bytes) -> Out:
        """The client sent bytes, in any chunking."""
        if (kind := self._intruder(data)) is not None:
            return [Close(f"not a Tcl client: {kind}")]
        self._said += data
        *commands, rest = self._said.split(END)
        self._said = bytearray(rest)
        if max(map(len, (*commands, rest))) > LONGEST:
            return [Close(f"a command of more than {LONGEST} bytes")]
        out = [one for command in commands for one in self._command(bytes(command))]
        return [*out, Close(f"{WAITING_LIMIT} commands wait already")] if len(self._asked) > WAITING_LIMIT else out

    def _intruder(self, data: bytes) -> str | None:
        if self._first is None:
            return None
        self._first += data
        kind = intruder(self._first)
        if END in self._first or judged(self._first):
            self._first = None
        return kind

    def _command(self, command: bytes) -> Out:
        text = command.decode("utf-8", "replace")
        if denied := self._denied(text) if text.strip() else "":
            return [_told(f"ocdsup: {denied}; nothing was executed")]
        if switch := _SWITCH.fullmatch(text):
            self._switches[switch[1]] = command
        if self._away is not None:
            return [_told(self._away.sentence())]
        self._asked.append(_Asked(command))
        return [ToBackend(command + END)]

    def client_eof(self) -> Out:
        """The client sends no more; it is closed when it has its answers, as OpenOCD does."""
        self._silent = True
        return self._end()

    def _end(self) -> Out:
        owed = any(not asked.ours for asked in self._asked)
        return [Close()] if self._silent and not owed else []

    def backend_up(self) -> Out:
        """A connection to OpenOCD's Tcl port is open."""
        self._away = None
        self._answer.clear()
        self._asked.extend(_Asked(command, ours=True) for command in self._switches.values())
        return [ToBackend(command + END) for command in self._switches.values()]

    def backend_down(self, away: Away) -> Out:
        """OpenOCD or the connection to it is gone; call again whenever phase, reason or next try change."""
        lost = [_told(LOST) for asked in self._asked if not asked.ours]
        self._asked.clear()
        self._away = away
        return [*lost, *self._end()]

    def backend_bytes(self, data: bytes) -> Out:
        """OpenOCD sent bytes."""
        self._answer += data
        *frames, rest = self._answer.split(END)
        self._answer = bytearray(rest)
        return [*(ToClient(bytes(frame) + END) for frame in frames if self._is_for_client(frame)), *self._end()]

    def _is_for_client(self, frame: bytearray) -> bool:
        if _NOTIFICATION.match(frame) or not self._asked:
            return True
        return not self._asked.popleft().ours


def _told(text: str) -> ToClient:
    return ToClient(text.encode("utf-8", "backslashreplace").replace(END, b"?") + END)
