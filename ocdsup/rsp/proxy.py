"""One GDB, one backend that may come and go, and the shadow between them: events in, outputs out, no clock and no socket.

The rules that everything here serves (seen with GDB 13.1 and OpenOCD 0.12, see `shadow.py` and `replay.py`):
- nothing is ever sent to GDB unasked while it believes the target halted: it would pair answers with the wrong questions;
- a request is answered within a few seconds, if need be with an error, and its late reply is dropped;
- what a new backend must not hear twice (a flash transaction, a step) is failed or ended by a stop, never repeated.
"""

from collections import deque
from dataclasses import replace

from .answers import Answers
from .framing import Frame, Kind
from .greeting import Greeting
from .guard import ERROR
from .link import Link
from .outage import Outage
from .outputs import CloseBackend, CloseClient, News, Notice, Output
from .own import Own
from .packets import OK, Answer, Group, name
from .policy import BackendUp, OnDetach, Policy
from .reception import expired, refused
from .replay import Purpose, farewell, look, reexamined
from .session import Session
from .shadow import Learned, Shadow
from .shortcut import Shortcut
from .wires import Ask, ClientWire

_ATTACH = (Group.READ, Group.QUERY, Group.SESSION)  # what GDB asks before it knows the target; `?` is a read


class Proxy:
    """One debug session: call the inputs, carry out what they return in order, and call `tick` at `next_deadline()`.

    All times are seconds of one monotonic clock. `learned` is shared by the sessions of one target, one after the other.
    """

    def __init__(self, policy: Policy | None = None, learned: Learned | None = None) -> None:
        """Start with a client that has not spoken and no backend."""
        self.policy = policy or Policy()
        self.shadow = Shadow(learned=learned if learned is not None else Learned())
        self._room = max(self.policy.request_limit, 0x1000) * 2  # bytes that may wait: one of the longest always fits
        client = ClientWire(self._room)
        self._session = Session(self.policy, self.shadow, Answers(self.policy.cache), client)
        self._link = Link(self._session)
        self._backlog: deque[Ask] = deque()
        self._own = Own()
        self._why = f"{self.policy.server} is not there yet"
        self._impatient = False  # GDB has already waited in vain in this outage
        self._outage = Outage(self.policy)
        self._greeting = Greeting()
        self._closed = False
        self._refused = ""  # why this client is one too many

    def shortcut(self) -> Shortcut | None:
        """Return the short way for what comes next; None when it is closed. To be asked again after every other input."""
        if self._backlog or self._closed or self._own.since is not None or self._refused or not self._session.client.idle:
            return None
        return self._link.short

    # --- inputs: the client ---

    def client_open(self, now: float) -> list[Output]:
        """Note that a connection was accepted; one that says nothing is closed after `greeting_within`."""
        self._greeting.until = now + self.policy.greeting_within
        return []

    def client_bytes(self, data: bytes, now: float) -> list[Output]:
        """Read bytes of GDB."""
        out: list[Output] = []
        if self._closed:
            return out
        for frame in self._session.client.take(data, out):
            self._frame(frame, now, out)
        return out

    def client_gone(self, now: float, *, leave: bool = False) -> list[Output]:
        """Note that GDB's connection has ended, in whatever way; the core is left as the policy says, or as it is (`leave`)."""
        out: list[Output] = [Notice(News.ENDED)] if self._greeting.done else []
        self._closed = True
        self._greeting.until = self._own.since = None
        self._backlog.clear()
        self._link.abandon()
        if leave:
            self.policy = self._session.policy = replace(self.policy, on_detach=OnDetach.LEAVE)
        if (self.shadow.attached or self.shadow.halted_early) and not self.policy.transparent:
            self._part(Purpose.FAREWELL, now, out)
        elif not self.owes:
            self._link.close("GDB has gone", out)
        return out

    @property
    def owes(self) -> bool:
        """Tell whether GDB has gone and the core is still to be left as the policy says: a backend is wanted for it."""
        return self._closed and self.shadow.farewell

    @property
    def asked(self) -> list[Ask]:
        """Return what GDB waits for an answer to, other than a stop."""
        return [*self._backlog, *self._link.waiting]

    def join(self) -> None:
        """Be one debugger more: the attach does not halt the core, and the end leaves it as it is."""
        self._session.guest = not self.policy.transparent  # in front of others every packet passes as it is
        self.policy = self._session.choose(self.policy)

    def choose(self, policy: Policy, now: float) -> list[Output]:
        """Take other choices of the owner, in the middle of a session; one whose GDB has gone ends by those it had."""
        out = self.reexamined(now) if self._session.answers.removed else []
        if not self._closed:
            self.policy = self._session.choose(policy)
        return out

    def refuse(self, why: str, now: float) -> list[Output]:
        """Keep this client away from the target; it is told `why` when it attaches, and its connection ends."""
        out: list[Output] = []
        self._refused = why
        self._greeting.until = now + self.policy.greeting_within
        self._drain(now, out)
        return out

    def own_answer(self, id: int, text: str, now: float) -> list[Output]:
        """Answer `monitor ocdsup …`; an answer that comes too late is dropped."""
        out: list[Output] = []
        if self._own.ends(id):
            self._session.console(text if text.endswith("\n") else text + "\n", out)
            self._session.reply(OK, out)
            self._drain(now, out)
        return out

    # --- inputs: the backend ---

    def backend_coming(self) -> None:
        """Note that a backend is there and will accept our connection in a moment: GDB waits for it again."""
        self._impatient = False

    def backend_ready(self, info: BackendUp, now: float) -> list[Output]:
        """Begin with a backend whose GDB port has just accepted our connection."""
        out: list[Output] = []
        self._impatient = False
        self._session.returned(out)
        self._link.open(info, now, out)
        if info.reset:
            self._void_writes(out)
        self._drain(now, out)
        return out

    def backend_bytes(self, data: bytes, now: float) -> list[Output]:
        """Read bytes of the backend."""
        out: list[Output] = []
        self._link.take(data, now, out)
        self._look(now, out)
        self._outage.ends(served=self._link.ready)
        if self._closed and self._link.ready and not self.owes:
            self._link.close("GDB has gone", out)
        elif self._backlog:
            self._drain(now, out)
        return out

    def backend_lost(self, reason: str, now: float) -> list[Output]:
        """Note that the connection to the backend has ended; `reason` is for people."""
        out: list[Output] = []
        self._lose(reason, now, out)
        return out

    def target_silent(self, why: str, now: float) -> list[Output]:
        """Note that the target itself is away while its server is there, and `why`; nothing: it answers again."""
        out: list[Output] = []
        if self._session.silence(why, out):
            self._why, self._impatient = why or f"{self.policy.server} is not there yet", False
        return out

    def recovering(self, active: bool, now: float) -> list[Output]:
        """Note that recovery runs (stops without a reason are held back) or has ended (they are looked into)."""
        out: list[Output] = []
        self._session.recovering = active
        if not active:
            self._link.recheck(now, out)
        return out

    def target_seen(self, now: float, *, halted: bool) -> list[Output]:
        """Note the state of the core as OpenOCD's poll found it; a halt that GDB is not told of is told by us."""
        out = self.outside_change()
        if self._link.up:
            self._session.seen(halted=halted, now=now)
            self._session.suspect = not halted and self._session.believes_halted
            self._look(now, out)
        return out

    def _look(self, now: float, out: list[Output]) -> None:
        """See whether the core runs; not behind a request, which may itself let it run, and for long: a `load`, `monitor`."""
        if self._session.suspect and self._link.ready and not self._link.owed:
            self._session.suspect = False
            self._link.begin(Purpose.LOOK, look(self.shadow), now, out)

    def reexamined(self, now: float, *, soft: bool = False) -> list[Output]:
        """Set hardware points again: OpenOCD has examined the target anew and thereby zeroed them.

        With `soft` also those in RAM: another GDB has connected, and OpenOCD clears all points for it (gdb_new_connection).
        """
        out: list[Output] = []
        if self._link.up and self.shadow.attached and not self.policy.transparent:
            removed = self._session.forget_answers()
            self._link.begin(Purpose.REEXAMINED, reexamined(self.shadow, removed, soft=soft), now, out)
        return out

    def tell(self, text: str, now: float) -> list[Output]:
        """Show GDB's user a line (with its end) if GDB takes one now: while the target runs, or it waits for an answer."""
        out: list[Output] = []
        if self.shadow.running and not self._closed:
            self._session.console(text, out)
        return out

    def outside_change(self) -> list[Output]:
        """Note that somebody else (telnet, Tcl) may have changed the target: kept answers, and those on their way, are void."""
        self._session.answers.clear()
        for ask in self._link.waiting:
            ask.void = True
        return []

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, in seconds of the caller's clock; None when nothing is awaited."""
        link, held = self._link, self._session.held
        due = [ask.since + self._session.patience for ask in self._mortal()]
        if self._own.since is not None:
            due.append(self._own.since + self.policy.answer_within)
        due += [until for until in (self._greeting.until, self._outage.until) if until is not None]
        if link.talk is not None:
            due.append(link.talk.deadline)
        elif held is not None and not self._session.recovering:
            due.append(held.until)
        return min(due) if due else None

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""
        out: list[Output] = []
        for ask in [ask for ask in self._mortal() if ask.since + self._session.patience <= now]:
            if not self._session.holds(ask, now, out):
                self._expire(ask, out)
        if self._own.since is not None and self._own.since + self.policy.answer_within <= now:
            out += self.own_answer(self._own.id, "ocdsup: no answer from the supervisor", now)
        if self._greeting.until is not None and self._greeting.until <= now:
            self._close_client("nothing was said", out)
        if self._outage.over(now):
            self._session.console(f"ocdsup: {self._why}; the session ends\n", out)
            self._close_client(self._why, out)
        talk, held = self._link.talk, self._session.held
        if talk is not None and talk.deadline <= now:
            out.append(CloseBackend("the backend does not answer"))
            self._lose("the backend does not answer", now, out)
        elif held is not None and not self._session.recovering and held.until <= now:
            self._link.recheck(now, out)
        self._drain(now, out)
        return out

    def _mortal(self) -> list[Ask]:
        """Return the requests that will be answered by us when their time is over."""
        asks = [] if self._session.transparent else [ask for ask in self._link.waiting if ask.row.timed]
        if self._backlog:
            asks += [ask for ask in self._backlog if ask.row.answer is not Answer.STOP]
        return asks

    # --- the client's half ---

    def _frame(self, frame: Frame, now: float, out: list[Output]) -> None:
        if self._closed:
            return
        if frame.kind is Kind.PACKET:  # nothing less makes a session, keeps others out and halts the core
            if self._greeting.meet():
                out.append(Notice(News.SESSION))
            self._request(frame, now, out)
        elif self._greeting.done or frame.kind is Kind.JUNK:
            self._no_packet(frame, now, out)

    def _no_packet(self, frame: Frame, now: float, out: list[Output]) -> None:
        match frame.kind:
            case Kind.INTERRUPT:
                self._interrupt(now, out)
            case Kind.OVERSIZE:
                self._session.reply(ERROR, out)
            case Kind.JUNK if self._greeting.done:
                out.append(Notice(News.JUNK, frame.raw[:40].decode("ascii", "backslashreplace")))
            case Kind.JUNK if why := self._greeting.stranger(frame.raw):
                self._close_client(why, out)

    def _interrupt(self, now: float, out: list[Output]) -> None:
        coming = any(ask.row.answer is Answer.STOP for ask in (*self._backlog, *self._link.waiting))
        if self._link.ready and not coming:
            self._link.interrupt(now, out)
        elif self.shadow.running or coming:
            self._session.interrupted = True
            if not self._link.up and (self.shadow.running or len(self._backlog) == 1):
                self._session.console(self._outage.hurries(self._why, now), out)

    def _request(self, frame: Frame, now: float, out: list[Output]) -> None:
        body = frame.body
        ask = Ask(name(body), body, frame.raw, now)
        if not self._backlog and self._place(ask, now, out):
            return
        self._backlog.append(ask)
        if len(self._backlog) > self.policy.backlog_limit or sum(len(one.raw) for one in self._backlog) > self._room:
            self._close_client("more requests than answers", out)
        elif self._outage.leaves(ask.row, served=self._link.up):
            self._close_client(self._why, out)
        elif not self._link.up and ask.row.answer is Answer.STOP and len(self._backlog) == 1:
            # GDB waits for a stop as long as it takes, and takes console lines meanwhile: a resume never expires.
            self._session.console(self._outage.begins(self._why, now), out)
        elif self._impatient and not self._link.up:
            self._expire(ask, out)

    def _void_writes(self, out: list[Output]) -> None:
        """Fail a write to registers that were reset before it was made."""
        while self._backlog and self._backlog[0].row.group is Group.REGISTER:
            ask = self._backlog.popleft()
            self._session.give(ask, expired(ask.row, "the board was reset"), out)

    def _drain(self, now: float, out: list[Output]) -> None:
        while self._backlog and not self._closed and self._place(self._backlog[0], now, out):
            self._backlog.popleft()

    def _place(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Answer a request or send it on; tell whether that was possible now."""
        if self._refused:
            self._turn_away(ask, out)
            return True
        if not self._session.transparent:
            if self._own.since is not None or self._link.owed or self._link.talk is not None:
                return False
            if ask.row.name in ("qRcmd", "D", "k") and self._is_special(ask, now, out):
                return True
        here = self._session.known(ask, up=self._link.up)
        if here is not None:
            self._session.give(ask, here, out)
            return True
        if not self._link.ready:
            return False
        if (talk := self._session.needed(ask)) is not None:
            self._link.begin(Purpose.CATCH, talk, now, out)
            return False
        if ask.row.answer is Answer.STOP:
            self._session.tell(out)
        self._link.ask(ask, now, out)
        return True

    def _turn_away(self, ask: Ask, out: list[Output]) -> None:
        self._session.give(ask, refused(ask.row, ask.body, self.shadow, self._refused), out)
        if ask.row.name == "g":
            self._close_client(self._refused, out)

    def _is_special(self, ask: Ask, now: float, out: list[Output]) -> bool:
        """Take `monitor ocdsup …`, a detach and a kill; tell whether the request was one."""
        if ask.row.name == "qRcmd":
            return self._own.takes(ask, out)
        self._part(Purpose.DETACH if ask.row.name == "D" else Purpose.KILL, now, out)
        return True

    def _part(self, how: Purpose, now: float, out: list[Output]) -> None:
        """Leave the target as the policy says, now or by the next backend.

        A kill is a detach without an answer: nothing can be killed on a bare board, and after OpenOCD's own `k` the core stands
        for ever, with its comparators set (0.12 ends the connection without taking them out).
        """
        if self._link.up:
            removed = self._session.answers.take_removed()
            wish = self.policy.on_detach if self.shadow.attached else OnDetach.RESUME  # else it was halted for nobody
            talk = farewell(self.shadow, wish, removed, detach=how is Purpose.DETACH)
            self._link.begin(how, talk, now, out)
        else:
            self._link.parted(how, out)

    def _expire(self, ask: Ask, out: list[Output]) -> None:
        why = self._why if not self._link.up else f"{self.policy.server} does not answer"
        self._impatient = self._impatient or not self._link.up
        if ask in self._backlog:
            self._backlog.remove(ask)
        else:
            ask.abandoned = True
        if self._session.attaching and not self.shadow.left and ask.row.group in _ATTACH:
            self._refused = why
            self._turn_away(ask, out)
        else:
            self._session.give(ask, expired(ask.row, why), out)

    def _lose(self, reason: str, now: float, out: list[Output]) -> None:
        self._why = f"{self.policy.server} is away ({reason})"
        again = self._link.lost(self._why, out)
        self._backlog.extendleft(reversed(again))
        if self._session.ends or not self.policy.keep_session:
            self._close_client(reason, out)
        elif self.policy.transparent and self.shadow.running and not self._closed:
            self._session.console(self._outage.begins(self._why, now), out)  # OpenOCD's supervisor says more than that

    def _close_client(self, reason: str, out: list[Output]) -> None:
        if not self._closed:
            self._closed = True
            self._greeting.until = self._outage.until = None
            out.append(CloseClient(reason))
            self._link.abandon()
            self._link.close(reason, out)
