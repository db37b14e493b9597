"""`monitor ocdsup …`: a command line that the supervisor answers, of which one at a time waits for its text."""

from dataclasses import dataclass

from . import monitor
from .outputs import News, Notice, Output
from .packets import monitor_line
from .wires import Ask


@dataclass(slots=True)
class Own:
    """The one that waits: asked at `since` (seconds), None when there is none; `id` tells it from those before."""

    since: float | None = None
    id: int = 0

    def takes(self, ask: Ask, out: list[Output]) -> bool:
        """Ask for the text of a `monitor ocdsup …`; tell whether the request is one."""
        words = monitor.own(monitor_line(ask.body) or "")
        if words is None:
            return False
        self.id += 1
        self.since = ask.since
        out.append(Notice(News.ASKED, words, self.id))
        return True

    def ends(self, id: int) -> bool:
        """Note that a text has come; tell whether it is the one that is waited for."""
        awaited = self.since is not None and self.id == id
        if awaited:
            self.since = None
        return awaited
