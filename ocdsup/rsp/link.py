"""The backend's half of a proxy: what is asked there, whose reply comes back, and the dialogues that make a new one fit."""

from collections import deque

from .framing import ACK, INTERRUPT, Frame, Kind, encode, expand
from .learned import lasting
from .outputs import HALTED, RUNNING, CloseBackend, News, Notice, Output, ToBackend
from .packets import OK, STOPS, Answer, Group, from_hex, hex_bytes, is_error, name, point_of, text_of
from .policy import BackendUp
from .reception import expired
from .replay import Dialogue, Heard, Outcome, Purpose, Talk, catch, halt_now, lost_text, recheck, restore, settling
from .rerun import rejoin
from .session import INTERRUPTS, UNTOLD_STOPS, Session
from .shortcut import Shortcut
from .wires import Ask, BackendWire, Before

_STOP_IS_THE_REPLY = frozenset({"?", "vRun", "vAttach", "vCont"})  # one that waits for a reply is ours, see `threads.read`
_IGNORED = object()  # tag of a request whose reply nobody needs


class Link:
    """The connection to the backend, when there is one."""

    def __init__(self, session: Session) -> None:
        """Start without a backend."""
        self._session = session
        self._wire: BackendWire | None = None
        self._short: Shortcut | None = None
        self._wishes: deque[Talk] = deque()
        self._greeting = b""
        self.talk: Talk | None = None

    @property
    def up(self) -> bool:
        """Tell whether there is a backend."""
        return self._wire is not None

    @property
    def ready(self) -> bool:
        """Tell whether requests of GDB may be sent now."""
        return self._wire is not None and self.talk is None

    @property
    def short(self) -> Shortcut | None:
        """Return the short way to the backend; None when what passes has to be looked at."""
        wire = self._wire
        if wire is None or self._short is None or self.talk is not None or not (wire.idle and self._session.plain):
            return None
        return self._short.opened()

    @property
    def owed(self) -> bool:
        """Tell whether GDB waits for a reply of the backend, other than a stop."""
        return self._wire is not None and bool(self._wire.waiting) and bool(self._wire.of_gdb)

    @property
    def waiting(self) -> list[Ask]:
        """Return the requests of GDB that wait for a reply."""
        return self._wire.of_gdb if self._wire else []

    # --- connection ---

    def open(self, up: BackendUp, now: float, out: list[Output]) -> None:
        """Begin with a backend that has just accepted the connection."""
        session = self._session
        self._wire = BackendWire(session.policy.reply_limit, acks=True)
        self._short = Shortcut(session, self._wire)
        self._drop_talks()
        if session.transparent:
            self._greeting = b""
            if session.shadow.attached:
                self.begin(Purpose.RESTORE, rejoin(session.shadow), now, out)
            return
        # OpenOCD waits for this `+` for a second, and everybody with it (gdb_server.c gdb_new_connection).
        self._greeting = ACK
        talk = restore(session.shadow, up, session.policy, interrupted=session.interrupted)
        self.begin(Purpose.RESTORE, talk, now, out)

    def lost(self, why: str, out: list[Output]) -> list[Ask]:
        """Forget the backend; return the requests of GDB that may be asked again, the rest has been answered."""
        session = self._session
        asks, talk = self.waiting, self.talk
        self._wire = None
        self._drop_talks()
        session.shadow.lost()
        session.answers.clear()
        session.answers.removed.clear()
        session.held, session.unsent, session.doubtful_until = None, b"", 0.0
        if talk is not None:
            self.parted(talk.purpose, out)
        kept = [ask for ask in asks if session.once_more(ask, out)]
        for ask in asks:
            if ask not in kept:
                session.give(ask, expired(ask.row, why), out)
        return kept

    def parted(self, purpose: Purpose, out: list[Output]) -> None:
        """Note that GDB has taken its leave without a backend, or that this was lost meanwhile: the next one hears of it."""
        session = self._session
        if purpose in (Purpose.DETACH, Purpose.KILL, Purpose.FAREWELL):
            if session.shadow.attached or session.shadow.halted_early:
                session.shadow.parted()
            session.shadow.ended = not session.shadow.extended
        if purpose is Purpose.DETACH:
            session.reply(OK, out)

    def close(self, reason: str, out: list[Output]) -> None:
        """End the connection from our side."""
        if self._wire is not None:
            self._wire = None
            self._drop_talks()
            out.append(CloseBackend(reason))

    def abandon(self) -> None:
        """Forget that GDB waits for anything: it has gone."""
        for ask in self.waiting:
            ask.abandoned = True

    # --- asking ---

    def ask(self, ask: Ask, now: float, out: list[Output]) -> None:
        """Send a request of GDB, after what has to go before it."""
        session = self._session
        if session.answers.enabled:
            for body in session.answers.before(ask.row, ask.body):
                self._say(body, _IGNORED, now, out)
        if session.transparent or ask.row.group is Group.READ or not self._must_wait(ask, now, out):
            self._pass_on(ask, out)

    def _pass_on(self, ask: Ask, out: list[Output]) -> None:
        session, wire = self._session, self._wire
        assert wire is not None
        session.shadow.asked(ask.row, ask.body)
        wire.send(ask.raw, out)
        if ask.row.answer is Answer.ONE or ask.row.answer is Answer.TEXT or session.shadow.non_stop:
            wire.waiting.append(ask)
        elif ask.row.answer is Answer.STOP:
            out.append(RUNNING)
            if session.interrupted:
                out.append(ToBackend(INTERRUPT))
        if ask.row.name == "k":  # in front of any server; OpenOCD never hears it, see `Proxy._part`
            session.shadow.ended = not session.shadow.extended
            session.shadow.detached()

    def interrupt(self, now: float, out: list[Output]) -> None:
        """Pass GDB's interrupt on; a stop that is being held back is looked into instead."""
        self._session.interrupted = self._session.shadow.running  # until a stop: it may die with the backend
        held = self._session.held
        if held is not None and held.body and self.talk is None:
            self.begin(Purpose.INTERRUPT, halt_now(), now, out)
        else:
            out.append(ToBackend(INTERRUPT))

    def _say(self, body: bytes, tag: object, now: float, out: list[Output]) -> None:
        wire = self._wire
        assert wire is not None
        row, raw = name(body), encode(body)
        wire.waiting.append(Ask(row, body, raw, now, ours=tag))
        wire.send(raw, out)
        if self._greeting:
            out[-1] = ToBackend(self._greeting + raw)
            self._greeting = b""

    def _must_wait(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Read something first where that is needed; tell whether the request waits for it.

        The two are not sent together: the process could die after the request and with our answer unread.
        """
        unsettled = self._session.shadow.unsettled
        if ask.row.answer is Answer.STOP and unsettled is not None:
            self._say(settling(unsettled), Before(ask), now, out)
            return True
        return ask.body[:2] == b"Z0" and self._look_under(ask, now, out)

    def _look_under(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Read the RAM where a software breakpoint is about to be set, unless it is known."""
        point = point_of(ask.body)
        if point is None or point in self._session.shadow.under:
            return False
        size = 2 if point.kind == 3 else min(point.kind, 8)  # kind 3: a 32-bit Thumb instruction, 2 bytes are replaced
        self._say(b"m%x,%x" % (point.address, size), Before(ask, point), now, out)
        return True

    # --- dialogues ---

    def begin(self, purpose: Purpose, dialogue: Dialogue, now: float, out: list[Output]) -> None:
        """Hold a dialogue, after the one that is going on."""
        policy = self._session.policy
        within = policy.farewell_within if purpose is Purpose.FAREWELL else policy.dialogue_within
        talk = Talk(purpose, dialogue, now + within)
        if purpose is Purpose.FAREWELL:
            self._drop_talks()
        if self.talk is not None:
            self._wishes.append(talk)
            return
        self.talk = talk
        self._go_on(None, now, out)

    def recheck(self, now: float, out: list[Output]) -> None:
        """Look whether a stop that is held back was true."""
        held = self._session.held
        if held is not None and self.talk is None and self._wire is not None:
            self.begin(Purpose.RECHECK, recheck(self._session.shadow, held.body), now, out)

    def _drop_talks(self) -> None:
        self.talk = None
        self._wishes.clear()

    def _go_on(self, heard: Heard | None, now: float, out: list[Output]) -> None:
        talk = self.talk
        assert talk is not None
        try:
            body = next(talk.dialogue) if heard is None else talk.dialogue.send(heard)
        except StopIteration as ended:
            self._concluded(talk, ended.value, now, out)
        else:
            self._say(body, talk, now, out)

    def _concluded(self, talk: Talk, outcome: Outcome, now: float, out: list[Output]) -> None:
        self.talk = None
        session = self._session
        if outcome.lost:
            session.shadow.untold += lost_text(outcome.lost)
            out.append(Notice(News.LOST_POINTS, lost_text(outcome.lost).strip()))
        if outcome.console:
            session.shadow.untold = outcome.console + session.shadow.untold
        if session.shadow.running:
            session.tell(out)
        if outcome.restored:
            out.append(Notice(News.RESTORED, talk.purpose.value))
        self._stop_or_resume(talk, outcome, now, out)
        match talk.purpose:
            case Purpose.DETACH | Purpose.KILL:
                session.shadow.detached()
                session.shadow.ended = not session.shadow.extended
                out.append(RUNNING)  # whatever the core does now, this session does not hold it any more
                if talk.purpose is Purpose.DETACH:  # `k` has no reply
                    session.reply(OK, out)
            case Purpose.FAREWELL:
                self.close("GDB has gone", out)
        if self._wishes and self.ready:
            self.talk = self._wishes.popleft()
            self._go_on(None, now, out)

    def _stop_or_resume(self, talk: Talk, outcome: Outcome, now: float, out: list[Output]) -> None:
        session = self._session
        if not session.shadow.running:
            return
        if outcome.stop is not None:
            session.stop(encode(outcome.stop), out)
        elif talk.stop is not None and not (outcome.resume and talk.stop[1:4] in (*INTERRUPTS, *UNTOLD_STOPS)):
            self._stop(talk.stop, now, out)
        elif outcome.unsent:
            session.held, session.unsent = None, outcome.unsent
            out.append(ToBackend(INTERRUPT))
        elif outcome.resume is not None and self._wire is not None:
            session.held = None
            self._wire.send(encode(outcome.resume), out)
            if session.interrupted:
                out.append(ToBackend(INTERRUPT))
        elif talk.purpose is Purpose.RECHECK:
            session.held = None
        elif session.interrupted:
            out.append(ToBackend(INTERRUPT))  # it came during the dialogue, which has left the core as it was

    # --- replies ---

    def take(self, data: bytes, now: float, out: list[Output]) -> None:
        """Read bytes of the backend."""
        if self._wire is None:
            return
        for frame in self._wire.take(data, out):
            match frame.kind:
                case Kind.PACKET:
                    self._reply(frame, now, out)
                case Kind.NOTIFICATION:
                    self._notification(frame, now, out)
                case Kind.OVERSIZE:
                    self._reply(Frame(Kind.PACKET, encode(b"E01")), now, out)
                case Kind.JUNK:
                    out.append(Notice(News.JUNK, frame.raw[:40].decode("ascii", "backslashreplace")))
            if not self.up:
                return

    def _notification(self, frame: Frame, now: float, out: list[Output]) -> None:
        """Pass a notification on; OpenOCD's keep-alive means that the reply is on its way."""
        self._session.client.send(frame.raw, out)
        if frame.body.startswith(b"oocd_keepalive"):
            for ask in self.waiting:
                ask.since = now

    def _reply(self, frame: Frame, now: float, out: list[Output]) -> None:
        wire, session = self._wire, self._session
        assert wire is not None
        head = wire.waiting[0] if wire.waiting else None
        first = frame.raw[1]
        if session.shadow.running:
            if head is None and (not frame.body or is_error(frame.body)):
                if instead := session.refused(frame.raw, out):
                    wire.send(instead, out)
                return
            if first in STOPS and (head is None or head.row.name not in _STOP_IS_THE_REPLY):
                self._stop(frame.raw, now, out)
                return
            if first == 0x46 and (head is None or head.row.name != "vFile"):
                session.client.send(frame.raw, out)  # the target asks GDB for file I/O
                return
        if first == 0x4F and frame.body != OK:
            self._console(frame, head, now, out)
        elif head is not None:
            wire.waiting.popleft()
            self._answered(head, frame, now, out)
        elif session.transparent:
            session.client.send(frame.raw, out)

    def _stop(self, raw: bytes, now: float, out: list[Output]) -> None:
        if self.talk is not None:
            self.talk.stop = raw
        else:
            self._session.arrived(raw, now, out)

    def _console(self, frame: Frame, head: Ask | None, now: float, out: list[Output]) -> None:
        session = self._session
        if session.shadow.running and session.hears(frame.raw, now) and self.talk is None:
            self.begin(Purpose.CATCH, catch(session.shadow, session.forget_answers()), now, out)
            return
        asker = head if head is not None and head.row.answer is Answer.TEXT else None
        if asker is not None and asker.ours is not None:
            asker.text.append(text_of(expand(frame.body)) or "")
            return
        if session.transparent:
            session.client.send(frame.raw, out)
            return
        if head is not None and head.abandoned:
            return
        if (not session.shadow.running and asker is None) or self.talk is not None:
            return  # nobody listens: GDB would take it for an answer
        session.log(frame.raw, out, asked=asker is not None)

    def _answered(self, ask: Ask, frame: Frame, now: float, out: list[Output]) -> None:
        session = self._session
        if ask.ours is not None:
            self._heard(ask, expand(frame.body), now, out)
            return
        session.shadow.proved()
        if ask.abandoned:
            self._late(ask, frame.body, now, out)
            return
        if session.guest and ask.row.name == "g":
            frame = Frame(Kind.PACKET, encode(session.for_guest(frame.body)))
        kept = ask.row.group is Group.QUERY and (session.answers.enabled or lasting(ask.row, ask.body))
        body = expand(frame.body) if kept else frame.body  # thread lists, one per step, are only passed on
        session.shadow.answered(ask.row, ask.body, body)
        if session.answers.enabled and not ask.void:
            session.answers.note(ask.row, ask.body, body)
        session.client.send(frame.raw, out)
        if ask.row.name == "?" and session.shadow.attached:
            out.append(HALTED)  # all-stop: a session that has just attached has its core halted until it resumes it
        elif ask.row.name == "QStartNoAckMode" and body == OK:
            session.client.acks = False
            self._no_acks()

    def _heard(self, ask: Ask, body: bytes, now: float, out: list[Output]) -> None:
        """Take the reply to a request of ours."""
        if isinstance(ask.ours, Before):
            self._looked(ask.ours, body, out)
            return
        if ask.row.name == "QStartNoAckMode" and body == OK:
            self._no_acks()
        if self.talk is not None and ask.ours is self.talk:
            final = "" if body == OK or is_error(body) else from_hex(body) or ""
            self._go_on(Heard(body, "".join(ask.text) + final), now, out)

    def _looked(self, before: Before, body: bytes, out: list[Output]) -> None:
        """Take the answer that a request of GDB has waited for, and send the request."""
        shadow = self._session.shadow
        shadow.proved()
        if before.request.abandoned:
            return
        code = b"" if is_error(body) else hex_bytes(body)
        if before.point is not None and code:
            shadow.planting(before.point, code)
        self._pass_on(before.request, out)

    def _late(self, ask: Ask, body: bytes, now: float, out: list[Output]) -> None:
        """Take note of, or undo, what a request has done after all, although GDB was told that it failed."""
        if ask.row.group in (Group.REGISTER, Group.MEMORY):
            self._session.shadow.answered(ask.row, ask.body, body)
        point = point_of(ask.body) if ask.row.group is Group.POINT else None
        if point is None or body != OK or self._wire is None:
            return
        if any(point_of(later.body) == point for later in self._wire.waiting if later.row.group is Group.POINT):
            return  # GDB has tried again, and that is what counts
        undo = b"z" if ask.row.name == "Z" else b"Z"
        if (point in self._session.shadow.points) is (undo == b"Z"):
            self._say(undo + point.body, _IGNORED, now, out)

    def _no_acks(self) -> None:
        if self._wire is not None:
            self._wire.acks = False
