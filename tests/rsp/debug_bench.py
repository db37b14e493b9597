"""A GDB, a proxy and the model of OpenOCD, joined step by step: the backend may die between any two steps."""

from collections import deque
from collections.abc import Callable
from copy import deepcopy

from ocdsup.rsp.framing import Frame, Framer, Kind, Side, encode
from ocdsup.rsp.learned import Learned
from ocdsup.rsp.outputs import CloseBackend, CloseClient, News, Notice, Output, ToBackend, ToClient
from ocdsup.rsp.packets import Answer, is_error, name, text_of
from ocdsup.rsp.parked import park
from ocdsup.rsp.policy import BackendUp, Policy
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.shortcut import Shortcut
from tests.rsp.openocd_model import Board, CrashedError, DroppedError, OpenOcd


class UnaskedError(AssertionError):
    """GDB got a packet that it did not wait for: it would pair every later answer with the wrong question."""


ShortWay = Callable[[Shortcut, bytes, float], tuple[Notice, ...] | None]
LongWay = Callable[[Proxy, bytes, float], list[Output]]


def belief(proxy: Proxy) -> tuple[object, ...]:
    """Everything a proxy knows that can change what it does next."""
    session, link = proxy._session, proxy._link
    asks = [(ask.row, ask.body, ask.raw, ask.since, ask.abandoned, ask.again) for ask in link.waiting]
    flags = (session.held, session.doubtful_until, session.unsent, session.interrupted, session.recovering)
    return park(proxy), asks, flags, session.answers, proxy.next_deadline(), link.owed, link.ready


class Bench:
    """One debug session; all traffic passes through two queues that are moved one write at a time."""

    def __init__(self, policy: Policy | None = None, board: Board | None = None, learned: Learned | None = None) -> None:
        self.board = board or Board()
        self.policy = policy or Policy()
        self.proxy = Proxy(self.policy, learned)
        self.process: OpenOcd | None = None
        self.now = 100.0
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.notices: list[Notice] = []
        self.console = ""
        self.closed: str | None = None
        self.backend_closed: str | None = None
        self.short_ways = 0  # how often the proxy let bytes pass without looking further
        self.running = False
        self.stops: list[bytes] = []
        self.refusals: list[bytes] = []  # what came instead of a stop: nothing runs
        self.notifications: list[bytes] = []
        self._asking: Answer | None = None
        self._reply: bytes | None = None
        self._framer = Framer(Side.SERVER)

    # --- the world ---

    def start(self, *, reset: bool = False, halt: bool = True, known: bool = True) -> None:
        """Start OpenOCD; with `reset` it has reset the board, and left it halted or running."""
        if reset:
            self.board.reset(halt=halt)
        self.process = OpenOcd(self.board)
        self.carry(self.proxy.backend_ready(BackendUp(reset, not self.board.running if known else None), self.now))

    def kill(self, *, deliver: bool = False) -> None:
        """kill -9; replies that were already written may still arrive."""
        if deliver:
            while self.down:
                self.carry(self.proxy.backend_bytes(self.down.popleft(), self.now))
        self.process = None
        self.up.clear()
        self.down.clear()
        self.carry(self.proxy.backend_lost("killed by signal 9", self.now))

    def hit(self) -> None:
        """The core runs into a breakpoint."""
        self.board.trap()
        if self.process is not None:
            self.down.append(self.process.halt(b"05"))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (due := self.proxy.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.carry(self.proxy.tick(self.now))
        self.now = end

    def step(self) -> bool:
        """Move one write; tell whether there was one."""
        if self.up and self.process is not None:
            data = self.up.popleft()
            try:
                self.down.append(self.process.feed(data))
            except (CrashedError, DroppedError):
                self.kill()
        elif self.down:
            data = self.down.popleft()
            if data:
                self._from_backend(data)
        else:
            return False
        return True

    def _from_backend(self, data: bytes) -> None:
        """As the edge does: the short way where the proxy allows it."""
        taken = self._short(lambda short, data, _now: short.reply(data), Proxy.backend_bytes, ToClient(data))
        self.carry(self.proxy.backend_bytes(data, self.now) if taken is None else taken)

    def _short(self, way: ShortWay, long: LongWay, wanted: ToClient | ToBackend) -> list[Output] | None:
        """Take the short way if it is open, and see that the long one would have had the same effect."""
        short = self.proxy.shortcut()
        if short is None:
            return None
        twin = deepcopy(self.proxy)
        taken = way(short, wanted.data, self.now)
        outputs: list[Output] | None = None
        if taken is not None:
            self.short_ways += 1
            outputs = [wanted, *taken]
            assert long(twin, wanted.data, self.now) == outputs
        assert belief(twin) == belief(deepcopy(self.proxy))  # looking changes the way that the reply takes
        return outputs

    def settle(self) -> None:
        """Move everything that moves."""
        while self.step():
            pass

    def carry(self, outputs: list[Output]) -> None:
        """Carry out what the proxy asks for."""
        for output in outputs:
            match output:
                case ToBackend(data):
                    if self.process is not None:
                        self.up.append(data)
                case ToClient(data):
                    for frame in self._framer.feed(data):
                        self._gdb_takes(frame)
                case CloseClient(reason):
                    self.closed = reason
                case CloseBackend(reason):
                    self.backend_closed = reason
                    self.settle_backend()
                case Notice():
                    self.notices.append(output)

    def settle_backend(self) -> None:
        """The socket closes: what was written is still read by the process."""
        if self.process is not None:
            for data in self.up:
                self.process.feed(data)
        self.up.clear()
        self.down.clear()
        self.process = None

    def news(self, news: News) -> list[str]:
        """Return the texts of the notices of one kind."""
        return [notice.text for notice in self.notices if notice.news is news]

    # --- GDB ---

    def _gdb_takes(self, frame: Frame) -> None:
        assert frame.kind is not Kind.DAMAGED
        if frame.kind is Kind.NOTIFICATION:
            self.notifications.append(frame.body)
        if frame.kind is not Kind.PACKET:
            return
        if self._framer.verify:
            self.carry(self.proxy.client_bytes(b"+", self.now))
        body = frame.body
        text = text_of(body) if body[:1] == b"O" and body != b"OK" else None
        listening = self.running or self._asking is Answer.TEXT
        if text is not None and listening:
            self.console += text
        elif self.running and body[:1] in (b"T", b"S", b"W") and self._asking is None:
            self.running = False
            self.stops.append(body)
        elif self.running and self._asking is None and (not body or is_error(body)):
            self.running = False
            self.refusals.append(body)
        elif self._asking is None or self._reply is not None:
            raise UnaskedError(body)
        else:
            self._reply = body

    def send(self, body: bytes) -> None:
        """Send a request without waiting."""
        self._asking, self._reply = name(body).answer, None
        if self._asking in (Answer.STOP, Answer.NONE):
            self.running = self._asking is Answer.STOP
            self._asking = None
        data = encode(body)
        taken = self._short(Shortcut.request, Proxy.client_bytes, ToBackend(data)) if self.process is not None else None
        self.carry(self.proxy.client_bytes(data, self.now) if taken is None else taken)

    def answer(self) -> bytes | None:
        """Take the reply if it has come."""
        reply = self._reply
        if reply is not None:
            self._asking = self._reply = None
        return reply

    def ask(self, body: bytes) -> bytes:
        """Send a request and let things go on, time included, until it is answered."""
        self.send(body)
        while self._reply is None:
            if self.step():
                continue
            due = self.proxy.next_deadline()
            assert due is not None, f"nobody will ever answer {body!r}"
            self.advance(max(due - self.now, 0.0))
        reply = self.answer()
        assert reply is not None
        if body == b"QStartNoAckMode" and reply == b"OK":
            self._framer.verify = False
            self.carry(self.proxy.client_bytes(b"+", self.now))
        return reply

    def resume(self, body: bytes = b"vCont;c") -> None:
        """Let the target run, as far as GDB is concerned."""
        self.send(body)
        self.settle()

    def attach(self) -> bytes:
        """Connect as GDB 13 does; return the answer to `?`."""
        self.carry(self.proxy.client_bytes(b"+", self.now))
        for body in (b"qSupported:multiprocess+", b"vMustReplyEmpty", b"QStartNoAckMode", b"!", b"Hg0"):
            self.ask(body)
        self.ask(b"qXfer:features:read:target.xml:0,ffb")
        self.ask(b"qXfer:memory-map:read::0,ffb")
        reply = self.ask(b"?")
        self.settle()
        return reply


def attached(policy: Policy | None = None, board: Board | None = None) -> Bench:
    """Return a bench with OpenOCD up and GDB attached."""
    bench = Bench(policy, board)
    bench.start()
    bench.attach()
    return bench
