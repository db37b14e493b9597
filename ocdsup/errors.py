"""The whole exception tree on one page.

Every error says what could not be done, why, and what the reader can do next; `str()` reads as one line:
`cannot WHAT: WHY; HINT`. Nothing else reaches a person on purpose: what a room raises for its neighbours, they catch.

    OcdsupError
    ├── ConfigError     the configuration file: every problem at once, each with its place
    ├── ProbeError      the debug probe: absent, held, denied, wedged
    ├── BackendError    OpenOCD: missing, too old, rejecting, gone, hung
    ├── ProtocolError   bytes that break the rules of GDB, telnet, Tcl or control traffic
    └── ControlError    a verb the daemon refused, or a daemon that is not there; carries a stable `code`
"""

from collections.abc import Iterable
from dataclasses import dataclass


class OcdsupError(Exception):
    """Something could not be done.

    `what` completes the sentence "cannot …" ("bind port 3333"), `why` is the cause, `hint` the next step.
    """

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what.removeprefix("cannot ")
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        cause = f": {self.why}" if self.why else ""
        step = f"; {self.hint}" if self.hint else ""
        return f"cannot {self.what}{cause}{step}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration file.

    `line` and `column` count from 1; 0 means the whole file. `path` is the dotted key (`benches.nucleo.ports.gdb`).
    """

    file: str
    line: int
    column: int
    path: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.path}:" if self.path else ""
        step = f"; {self.hint}" if self.hint else ""
        return f"{place}:{key} {self.text}{step}"


class ConfigError(OcdsupError):
    """A configuration cannot be used; `problems` lists every fault found, in the order of the file.

    `unread` when nothing is known against it: it could not be checked just now, and another try may succeed.
    """

    def __init__(self, problems: Iterable[Problem], *, unread: bool = False) -> None:
        self.problems = tuple(problems)
        self.unread = unread
        first = self.problems[0] if self.problems else Problem("configuration", 0, 0, "", "unknown fault")
        super().__init__(f"use {first.file}", first.text, first.hint)
        self.args = (self.problems,)  # what pickle and copy call the constructor with

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems)) or super().__str__()


class ProbeError(OcdsupError):
    """The debug probe cannot be used: it is absent, held by somebody else, not permitted, or wedged."""


class BackendError(OcdsupError):
    """OpenOCD cannot be used: it is missing, too old, rejects its configuration, is gone, or hangs."""


class ProtocolError(OcdsupError):
    """A peer sent bytes that the protocol it speaks does not allow."""


class ControlError(OcdsupError):
    """A control verb was refused or could not be delivered.

    `code` is the stable word of the reply: `unknown-bench`, `bad-request`, `not-running`, … (`control.codes`).
    """

    def __init__(self, code: str, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.code = code
        self.args = (code, what, why, hint)
