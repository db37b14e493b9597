"""What both halves of a proxy share: the belief, the kept answers, the wire to GDB, and the few flags between them."""

from dataclasses import dataclass, replace

from .answers import Answers
from .framing import encode, expand
from .monitor import repeats, resets, tells_loss, tells_stray, without_noise
from .outputs import HALTED, News, Notice, Output
from .packets import Answer, is_error, monitor_line, steps, text_of, text_packet, without_signals
from .policy import OnDetach, Policy
from .reception import Here, answer_here, answer_while_away
from .replay import Dialogue, catch, step_core, told
from .rerun import answer_here as answer_another_run
from .shadow import Shadow
from .threads import named, with_thread
from .wires import Ask, ClientWire

UNTOLD_STOPS = (b"T00", b"S00")
INTERRUPTS = (b"T02", b"S02")
HALF_DONE = "ocdsup: OpenOCD was lost while it reset the board; the program may start again from its reset vector\n"
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
    silent: bool = False  # the target does not answer, although its server does: who attaches is told soon
    returns: bool = False  # it has been so, and is over
    suspect: bool = False  # the core was seen to run although GDB believes otherwise; still to be looked at
    guest: bool = False  # another debugger is here too, and lets the core run as it likes
    transparent: bool = False  # the policy's, asked for every packet

    def __post_init__(self) -> None:
        """Keep what every packet asks for at hand."""
        self.transparent = self.policy.transparent

    def choose(self, policy: Policy) -> Policy:
        """Take these choices; return those that hold for this session: a guest halts nothing, and leaves the core as it is."""
        self.policy = replace(policy, halt_on_attach=False, on_detach=OnDetach.LEAVE) if self.guest else policy
        self.answers.enabled = policy.cache
        self.answers.clear()
        return self.policy

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

    def silence(self, why: str, out: list[Output]) -> bool:
        """Note why the target does not answer although its server does, or that this is over; tell whether it is news."""
        news, self.silent = bool(why) or self.silent, bool(why)
        self.returns = news and not why
        if why and self.shadow.running:
            self.console(f"ocdsup: {why}\n", out)
        return news

    def returned(self, out: list[Output]) -> None:
        """Say that a target which was silent is served again, to a user who waits for it."""
        if self.returns and self.shadow.running:
            self.console("ocdsup: the target answers again; it may have been started anew meanwhile\n", out)
        self.returns = False

    def log(self, raw: bytes, out: list[Output], *, asked: bool = False) -> None:
        """Pass a console packet (a whole frame) on, without the lines that nobody at a debugger can use."""
        text = text_of(expand(raw[1:-3]))
        kept = None if text is None else without_noise(text, asked=asked)
        if text is None or kept == text:
            self.client.send(raw, out)
        elif kept:
            self.reply(text_packet(kept), out)

    def for_guest(self, reply: bytes) -> bytes:
        """Return what a guest's `g` is answered while the core runs for somebody else: zeros, as OpenOCD's default is.

        GDB cannot attach without registers, and one that watches memory shows none. Errors stay errors for everybody else.
        """
        return b"0" * self.shadow.learned.registers if is_error(reply) and self.shadow.learned.registers else reply

    def forget_answers(self) -> list[bytes]:
        """Drop the kept answers; return the `z` bodies that GDB was told were done and that the backend has yet to hear."""
        removed = self.answers.take_removed()
        self.answers.clear()
        return removed

    def hears(self, raw: bytes, now: float) -> bool:
        """Take note of console text (a whole frame) while the target runs; tell whether the step GDB waits for is not made."""
        text = "" if self.transparent else text_of(expand(raw[1:-3])) or ""
        if tells_loss(text):
            self.doubtful_until = now + self.policy.stop_patience
        return tells_stray(text)

    def stop(self, raw: bytes, out: list[Output]) -> None:
        """Send a stop reply (a whole frame) to GDB."""
        self.noted_stop(raw[1:-3])
        self.client.send(raw, out)
        out.append(HALTED)

    def refused(self, raw: bytes, out: list[Output]) -> bytes:
        """Take the refusal of a resume (a whole frame); return the frame to send instead, or nothing: then GDB hears of it.

        OpenOCD announces `vCont;C` and refuses it, and GDB waits on for ever (13.1: "Invalid remote reply"), deaf to its user;
        after `C` it says that the server sends no signals, and asks again without one (remote.c wait_as). So it is done here.
        """
        asked = self.shadow.resume or b""
        instead = asked if self.transparent else without_signals(asked)
        if instead != asked:
            self.shadow.resumes(instead)
            self.console("ocdsup: OpenOCD sends no signals to a target; the program goes on without\n", out)
            return encode(instead)
        self.shadow.refused()
        self.held, self.interrupted = None, False
        self.client.send(raw, out)
        out.append(HALTED)
        return b""

    def noted_stop(self, body: bytes) -> None:
        """Note a stop that goes to GDB."""
        self.shadow.stopped(body)
        if self.answers.enabled:
            self.answers.stopped(body)
        self.held, self.unsent, self.interrupted = None, b"", False

    def arrived(self, raw: bytes, now: float, out: list[Output]) -> None:
        """Take a stop reply (a whole frame) of the backend: it goes to GDB, or is held back when it may be made up."""
        if now >= self.doubtful_until:
            self.doubtful_until = 0.0
        doubtful = self.doubtful_until > 0 and not self.interrupted
        if self.unsent:
            self.stop(encode(with_thread(self.unsent, named(raw[1:-3]))) if raw[1:4] in INTERRUPTS else raw, out)
        elif not self.transparent and (raw[1:4] in UNTOLD_STOPS or doubtful):
            self.held = Held(raw[1:-3], now + self.policy.stop_patience)
            out.append(Notice(News.HELD_STOP, "recovering" if self.recovering else ""))
        else:
            self.stop(raw, out)

    def seen(self, *, halted: bool, now: float) -> None:
        """Note what OpenOCD's poll found: a halt whose stop does not follow within `stop_patience` is looked into."""
        if halted and self.shadow.running and self.held is None and not self.transparent:
            self.held = Held(b"", now + self.policy.stop_patience)
        elif not halted and self.held is not None and not self.held.body:
            self.held = None

    @property
    def plain(self) -> bool:
        """Tell whether packets may pass without a look: nothing is kept or shared, or due before the next resume or stop."""
        shadow = self.shadow
        looks = self.answers.enabled or self.guest or shadow.non_stop or shadow.gone or shadow.strayed or shadow.elsewhere
        due = shadow.stale or shadow.untold or self.interrupted or self.held is not None or self.unsent or self.suspect
        return not (looks or due)

    @property
    def believes_halted(self) -> bool:
        """Tell whether GDB believes that the core is halted, and would be wrong if it ran."""
        shadow = self.shadow
        free = shadow.running or shadow.freed or shadow.non_stop or self.guest or self.transparent
        return shadow.attached and not free

    @property
    def attaching(self) -> bool:
        """Tell whether GDB has begun to talk and does not know the target yet."""
        return not (self.shadow.attached or self.shadow.ended)

    @property
    def ends(self) -> bool:
        """Tell whether it ends with its server: with no program to go on with, or one that GDB follows by notifications."""
        shadow = self.shadow
        idle = shadow.non_stop or not (shadow.attached or shadow.running)
        return shadow.ended or (self.transparent and idle)

    @property
    def patience(self) -> float:
        """Return for how many seconds a request may wait until something has to be said."""
        return self.policy.hold_every if self.attaching else self.policy.answer_within

    def known(self, ask: Ask, *, up: bool) -> Here | None:
        """Return our own answer to a request; None when the backend (that may not be `up`) has to be asked."""
        row, body, shadow = ask.row, ask.body, self.shadow
        if self.transparent:
            return answer_another_run(row, body, shadow) if shadow.stale or shadow.gone else None
        here = answer_here(row, body, shadow, self.answers, self.policy)
        return here if here is not None or up else answer_while_away(row, body, shadow)

    def needed(self, ask: Ask) -> Dialogue | None:
        """Return what has to be said to the backend before a request is placed; None when nothing has."""
        if self.shadow.strayed and (ask.row.name == "Z" or ask.row.answer is Answer.STOP):
            return catch(self.shadow, self.forget_answers())
        return step_core(self.shadow) if self.shadow.elsewhere and steps(ask.body) else None

    def holds(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Let a GDB that attaches wait on, for `hold_for` at the most, or less for a target known dead; tell whether it does.

        At every notification, also one it does not know, GDB's three tries begin anew (13.1 remote.c getpkt).
        """
        if not self.attaching or ask.held >= (self.policy.answer_within if self.silent else self.policy.hold_for):
            return False
        ask.held += now - ask.since
        ask.since = now
        self.client.send(_KEEPALIVE, out)
        return True

    def once_more(self, ask: Ask, out: list[Output]) -> bool:
        """Tell whether a request that a lost backend owes an answer to goes to the next one; the second loss may be its doing.

        A resume that waits for another answer than its stop was not sent yet.
        """
        if ask.row.name == "qRcmd" and not self.transparent:
            return self._line_again(ask)
        if ask.row.answer is Answer.STOP or not ask.row.again:
            return ask.row.answer is Answer.STOP
        first, ask.again = not ask.again, True
        if not first:
            packet = ask.body[:40].decode("ascii", "backslashreplace")
            text = f"{self.policy.server} was lost twice over the packet {packet}, which is not sent again"
            out.append(Notice(News.REFUSED, text))
            if not self.transparent:
                self.shadow.untold += f"ocdsup: {text}\n"
        return first

    def _line_again(self, ask: Ask) -> bool:
        """Tell whether a `monitor` line whose answer was lost is said to the next backend, once; a reset may have been made."""
        line = monitor_line(ask.body) or ""
        if resets(line) and self.shadow.attached:
            self.shadow.owes(HALF_DONE)
        first, ask.again = not ask.again, True
        return first and repeats(line)

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
