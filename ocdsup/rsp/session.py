"""What both halves of a proxy share: the belief, the kept answers, the wire to GDB, and the few flags between them."""

from dataclasses import dataclass

from .answers import Answers
from .framing import encode, expand
from .monitor import without_noise
from .outputs import HALTED, News, Notice, Output
from .packets import is_error, text_of, text_packet, without_signals
from .policy import Policy
from .reception import Here, answer_here, answer_while_away
from .replay import told
from .rerun import answer_here as answer_another_run
from .shadow import Shadow
from .wires import Ask, ClientWire

UNTOLD_STOPS = (b"T00", b"S00")
INTERRUPTS = (b"T02", b"S02")
_KEEPALIVE = b"%" + encode(b"oocd_keepalive:00")[1:]  # OpenOCD's own word, from 0.12


@dataclass(slots=True)
class Held:
    """A stop that may be made up (`T00`, or any while the target is lost); looked into at `until` (seconds) at the latest.

    Without a `body` it is one that did not come although the core was seen halted.
    """

    body: bytes
    until: float


@dataclass(slots=True)
class Session:
    """One GDB and what it has been told."""

    policy: Policy
    shadow: Shadow
    answers: Answers
    client: ClientWire
    held: Held | None = None
    doubtful_until: float = 0.0  # OpenOCD has just said that it cannot poll the target: a stop then proves nothing
    unsent: bytes = b""  # the true stop instead of the one that our interrupt will bring
    interrupted: bool = False  # GDB has interrupted and has not yet seen a stop
    recovering: bool = False
    guest: bool = False  # another debugger is here too, and lets the core run as it likes
    transparent: bool = False  # the policy's, asked for every packet

    def __post_init__(self) -> None:
        """Keep what every packet asks for at hand."""
        self.transparent = self.policy.transparent

    def reply(self, body: bytes, out: list[Output]) -> None:
        """Send one packet to GDB."""
        self.client.send(encode(body), out)

    def console(self, text: str, out: list[Output]) -> None:
        """Print text on GDB's console; allowed only while GDB waits for a stop or for the end of a `monitor` command."""
        for body in told(text):
            self.reply(body, out)

    def tell(self, out: list[Output]) -> None:
        """Print what GDB has still to be told; it listens while it waits for a stop."""
        if self.shadow.untold:
            self.console(self.shadow.untold, out)
            out.append(Notice(News.RESET_TOLD, self.shadow.untold.strip()))
            self.shadow.untold = ""

    def known(self, ask: Ask, *, up: bool) -> Here | None:
        """Return our own answer to a request; None when the backend (that may not be `up`) has to be asked."""
        row, body, shadow = ask.row, ask.body, self.shadow
        if self.transparent:
            return answer_another_run(row, body, shadow) if shadow.stale or shadow.gone else None
        here = answer_here(row, body, shadow, self.answers, self.policy)
        return here if here is not None or up else answer_while_away(row, body, shadow)

    def holds(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Let a GDB that attaches wait on, for `hold_for` at the most; tell whether it does.

        At every notification, also one it does not know, GDB's three tries begin anew (13.1 remote.c getpkt).
        """
        if not self.attaching or ask.held >= self.policy.hold_for:
            return False
        ask.held += now - ask.since
        ask.since = now
        self.client.send(_KEEPALIVE, out)
        return True

    def give(self, ask: Ask, here: Here, out: list[Output]) -> None:
        """Send an answer of our own to a request."""
        for body in here.replies[: -1 if here.stop else None]:
            self.reply(body, out)
        if here.believed:
            self.shadow.answered(ask.row, ask.body, here.replies[-1])
        if here.notice is not None:
            out.append(here.notice)
        if here.stop:
            self.stop(encode(here.replies[-1]), out)
        if ask.row.name == "QStartNoAckMode" and here.believed:
            self.client.acks = False
