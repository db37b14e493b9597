"""Who is it that has connected: a GDB, somebody who speaks another protocol, or nobody who ever says anything."""

from dataclasses import dataclass

from .guard import foreign_greeting

_JUNK_BEFORE_GREETING = 256  # bytes


@dataclass(slots=True)
class Greeting:
    """What a client has said before its first packet; with that it is a GDB, and `done`."""

    done: bool = False
    until: float | None = None  # seconds, when a client that has said nothing is sent away; None: it is not, or not any more
    _junk: int = 0

    def meet(self) -> bool:
        """Note a packet; tell whether it was the first."""
        first, self.done = not self.done, True
        if first:
            self.until = None
        return first

    def stranger(self, junk: bytes) -> str:
        """Note bytes of a client that has not sent a packet yet; return why it has to go, or nothing."""
        self._junk += len(junk)
        who = foreign_greeting(junk)
        if who is None and self._junk <= _JUNK_BEFORE_GREETING:
            return ""
        return f"{who or 'this client'} does not speak the GDB remote protocol"
