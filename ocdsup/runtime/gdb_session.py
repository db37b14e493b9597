"""One debug session on a stable GDB port: its debugger, its connection to OpenOCD while there is one, its place in the store.

What is said to whom is decided in `rsp.proxy`; here are the sockets, the timer and the order of things.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ocdsup.rsp.outputs import CloseBackend, CloseClient, News, Notice, Output, ToBackend, ToClient
from ocdsup.rsp.parked import RecordError, resume
from ocdsup.rsp.policy import BackendUp
from ocdsup.rsp.proxy import Proxy
from ocdsup.rsp.work import under_way
from ocdsup.runtime import wire
from ocdsup.runtime.fd_store import Kept
from ocdsup.runtime.lane import SLOW, Lane
from ocdsup.runtime.ledger import Ledger
from ocdsup.runtime.wire import Wire

if TYPE_CHECKING:
    from ocdsup.runtime.gdb_port import GdbPort, Served

LIVELY_S = 0.05
# OpenOCD is there and does not take us: another GDB has its only place, or it dropped the connection. Then it is asked again.
# Soon at first: it may only not have seen yet that the one before us has gone.
REDIAL_S = (0.01, 0.05, 0.25, 1.0, 2.0, 5.0)
ASKED_OFTEN = 3  # of these pauses are used for a server of somebody else: nobody tells when it is back
DIAL_S = 3.0  # a board that has no power yet does not refuse; the kernel asks it again ever more rarely, for two minutes
HALF_OPEN_S = 30.0  # how long a client that sends no more may wait for what it has asked
LASTED_S = 5.0  # a connection that held for so long was not dropped at the first word: the next pause is a short one again
TAKEN_OVER = "ocdsup: another debugger has taken this session over (second_client: takeover)\n"


class GdbSession:
    """One GDB and, while there is one, its connection to OpenOCD."""

    def __init__(self, sock: socket.socket, port: GdbPort, kept: Kept | None = None) -> None:
        self._port = port
        self._sock = sock
        self._ledger = Ledger(sock, port.store, kept)
        self._undone: list[list[Output]] = []
        self._loop = asyncio.get_running_loop()
        self._proxy = Proxy(port.policy, port.learned)
        self._spoke = False
        self._guest = False  # it shares the target with the first session, whose run state is the one that counts
        self._fresh = False  # its connection to OpenOCD has not said anything yet
        self.halted = False  # its user has the core halted
        self._over = False
        self._resets = port.resets
        self._run = 0
        self._lane = Lane(self)
        self._up: Wire | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._redial: asyncio.TimerHandle | None = None
        self._refusals, self._joined = 0, 0.0  # how often in a row it did not take us, and when it last did
        self._timer: asyncio.TimerHandle | None = None
        self._due_at(inf)
        self._half = False  # the client sends no more, and may still read
        on_eof = self._client_eof if port.policy.transparent else None
        self._client: Wire | None = Wire(sock, self._lane.from_client, self._client_gone, self._read_backend, on_eof)
        self._client.read_by(self._ledger.read)
        if kept is None:
            self._do(self._proxy.client_open(self._loop.time()) + self._proxy.target_silent(port.why, self._loop.time()))
        else:
            self._go_on(kept)

    @property
    def speaks(self) -> bool:
        """Whether this is a session; a connect that never said anything is not."""
        return self._spoke and self._client is not None

    @property
    def silent(self) -> bool:
        """Whether nothing was said on it yet."""
        return not self._spoke

    @property
    def idle(self) -> bool:
        """Whether its debugger has said nothing for a while although it is its turn, see `Policy.idle_after`."""
        return not self._proxy.shadow.running and monotonic() - self._lane.heard >= self._port.policy.idle_after

    @property
    def lively(self) -> bool:
        """Whether its debugger has said something a moment ago."""
        return monotonic() - self._lane.heard < LIVELY_S

    @property
    def work(self) -> list[str]:
        """What it has OpenOCD do that may take long."""
        return under_way(self._proxy.asked, self._proxy.shadow, monotonic() - self._lane.heard)

    def join(self) -> None:
        """Share the target with a session that was there before."""
        self._guest, self.halted = True, False
        self._proxy.join()

    def give_way(self) -> None:
        """Leave the place to another debugger; the core stays as it is."""
        client = self._client
        self.hear(lambda proxy, now: proxy.tell(TAKEN_OVER, now))
        if client is not None:
            self._client_gone("taken over", leave=True)
            client.close()

    # The client

    def _go_on(self, kept: Kept) -> None:
        """Begin where the previous daemon was ended."""
        assert self._client is not None
        self._client.send(kept.balance.rest)
        self._do(resume(self._proxy, kept.parked, self._loop.time()))
        if kept.balance.fresh:
            self._lane.from_client(kept.balance.fresh)

    def asked(self, data: bytes, now: float) -> None:
        """The client says something that has to be looked at."""
        self._ledger.took(len(data))
        self._do(self._proxy.client_bytes(data, now))
        backlog = 0 if self._up is None else self._up.backlog
        if backlog > SLOW and self._client is not None:
            self._client.pause()

    def _client_eof(self) -> None:
        """The client sends no more. As after a half-open detach, the server hears just that, and what was asked is answered."""
        self._half = bool(self._proxy.asked) and (self._up is not None or self._dialling is not None)
        if not self._half:
            self._half_over()
        elif self._up is not None:
            self._up.half_close()
        self._loop.call_later(HALF_OPEN_S, self._half_over)

    def _half_over(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client_gone("closed by peer")

    def _client_gone(self, reason: str, *, leave: bool = False) -> None:
        self._client = None
        self._port.left_work(self.work)
        self._port.log.info("gdb_gone", port=self._port.port, reason=reason, spoke=self._spoke)
        self._read_backend()
        self._do(self._proxy.client_gone(self._loop.time(), leave=leave))
        self._port.changed()
        self._end_if_over()

    # OpenOCD

    @property
    def owes(self) -> bool:
        """Whether its debugger has gone while OpenOCD was away, and the core is still to be left as the policy says."""
        return self._client is None and self._proxy.owes

    @property
    def _wants_backend(self) -> bool:
        """Whether it has something to say to OpenOCD; first those say it that have only to say goodbye."""
        return self.owes or (self._client is not None and not self._port.owes)

    def backend_up(self) -> None:
        """Dial OpenOCD, if there is one and the client has something to say."""
        served = self._port.served
        if self._spoke and served is not None and self._up is None and self._dialling is None and self._wants_backend:
            self._stop_redial()
            self._proxy.backend_coming()
            self._dialling = self._port.tasks.spawn("gdb-dial", self._dial(served))

    async def _dial(self, served: Served) -> None:
        try:
            async with asyncio.timeout(DIAL_S):
                sock = await wire.connect(served.host, served.port)
        except OSError as error:
            self._port.log.info("gdb_upstream_refused", error=error.strerror or "no answer")
            self._dialling = None
            self._dial_later()
            return
        self._dialling = None  # not in a `finally`: when this task is cancelled, the next one may already have taken its place
        if not self._wants_backend or self._port.served is not served:
            sock.close()
            self.backend_up()
            return
        self._fresh, self._joined = True, self._loop.time()
        self._up = Wire(sock, self._lane.from_backend, self._backend_gone, self._backend_drained)
        reset, same = served.resets != self._resets, served.run == self._run
        up = BackendUp(reset=reset, adapter_kept=not served.slow, same=same, told=served.told)
        self._resets, self._run = served.resets, served.run
        self._do(self._proxy.backend_ready(up, self._loop.time()))
        if self._half and self._up is not None:
            self._up.half_close()

    def _dial_later(self) -> None:
        """The connection failed while OpenOCD is still there. It is dialled again after a pause, if nothing else happens."""
        if not self._wants_backend or self._port.served is None or self._over:
            return
        self._stop_redial()
        pauses = REDIAL_S[:ASKED_OFTEN] if self._port.policy.transparent else REDIAL_S
        self._redial = self._loop.call_later(pauses[min(self._refusals, len(pauses) - 1)], self.backend_up)
        self._refusals += 1

    def _stop_redial(self) -> None:
        if self._redial is not None:
            self._redial.cancel()
            self._redial = None

    def answered(self, data: bytes) -> None:
        """OpenOCD says something that has to be looked at; the first words of each connection are among it."""
        if self._fresh:
            self._fresh = False
            self._port.joined(self)
        self._do(self._proxy.backend_bytes(data, self._loop.time()))
        backlog = 0 if self._client is None else self._client.backlog
        if backlog > SLOW and self._up is not None:
            self._up.pause()

    def _backend_drained(self) -> None:
        if self._client is not None:
            self._client.resume()

    def _backend_gone(self, reason: str) -> None:
        self._up = None
        self._do(self._proxy.backend_lost(reason, self._loop.time()))
        if self._half:
            self._half_over()
        if self._client is not None:
            self._client.resume()
        self._refusals = 0 if self._loop.time() - self._joined >= LASTED_S else self._refusals
        self._dial_later()
        self._end_if_over()

    def backend_down(self, reason: str) -> None:
        """OpenOCD is about to go: nothing may wait for its answer any more, nor for its acceptance."""
        self._stop_redial()
        self._refusals = 0
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._up is not None:
            self._up.abort()
            self._backend_gone(reason)

    def hear(self, told: Callable[[Proxy, float], list[Output]]) -> None:
        """Tell the proxy what happened around its session: `told` is given the proxy and the time, and calls one input."""
        self._do(told(self._proxy, self._loop.time()))

    # Outputs and time

    def _do(self, outputs: list[Output]) -> None:
        """Carry out, in order, also what follows meanwhile; each turn's after it is on record."""
        self._undone.append(outputs)
        if len(self._undone) > 1:
            return
        try:
            while self._undone:
                self._enter(partial(self._ledger.enter, self._undone[0], self._proxy, self._client))
                self._carry_out(self._undone[0])
                del self._undone[0]
        finally:
            self._undone.clear()
            short = None if self._fresh else self._proxy.shortcut()
            self._lane.lead(short, self._client, self._up, kept=self._ledger.kept)
        self.rearm()

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case ToClient(data):
                    if self._client is not None:
                        self._client.send(data)
                case ToBackend(data):
                    if self._up is not None:
                        self._up.send(data)
                case Notice():
                    self._notice(output)
                case CloseClient(reason):
                    self._close_client(reason)
                case CloseBackend():
                    self._close_backend()

    def _notice(self, notice: Notice) -> None:
        match notice.news:
            case News.RUNNING | News.HALTED:
                self.runs(halted=notice.news is News.HALTED)
            case News.SESSION:
                self._spoke = True
                if self._client is not None and not self._ledger.kept:
                    self._client.read_by(self._sock.recv)
                self._admitted()
            case News.ASKED:
                self._port.tasks.spawn("gdb-monitor", self._own(notice.id, notice.text))
            case _:
                self._port.log.info("gdb_notice", news=notice.news.value, text=notice.text)

    def runs(self, *, halted: bool) -> None:
        """The core was resumed, or is halted again, for its user."""
        self.halted = halted and not self._guest
        self._port.run_state()

    def _admitted(self) -> None:
        if why := self._port.admit(self):
            self._spoke = False
            self._do(self._proxy.refuse(why, self._loop.time()))
        else:
            self._port.changed()
            self.backend_up()

    async def _own(self, request: int, words: str) -> None:
        text = await self._port.answer(words)
        self._do(self._proxy.own_answer(request, text, self._loop.time()))

    def _close_client(self, reason: str) -> None:
        self._port.left_work(self.work)
        self._port.log.info("gdb_closed", port=self._port.port, reason=reason)
        if self._client is not None:
            self._client.close()
            self._client = None
        self._read_backend()
        self._port.changed()
        self._end_if_over()

    def _close_backend(self) -> None:
        if self._up is not None:
            self._up.close()
            self._up = None
        self._dial_later()
        self._end_if_over()

    def _read_backend(self) -> None:
        """Read what was held back while GDB read slowly; also when it is gone, to hear the answers to the farewell."""
        if self._up is not None:
            self._up.resume()

    def _end_if_over(self) -> None:
        if self._client is None and self._up is None and not self._over and not self._proxy.owes:
            self.close()

    def rearm(self) -> None:
        """One timer, moved only when something is due earlier: moving it for every packet would cost more than the packet."""
        at = self._proxy.next_deadline()
        if at is None or at >= self._timer_at or self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_at(at)
        self._timer = self._loop.call_at(at, self._due)

    def _due_at(self, at: float) -> None:
        self._timer_at = at
        self._lane.early = -inf if self._port.policy.transparent else at - self._port.policy.answer_within

    def _due(self) -> None:
        self._due_at(inf)
        self._do(self._proxy.tick(self._loop.time()))

    # Outliving the daemon

    def took(self, size: int) -> None:
        """So many bytes of the client were passed on as they are."""
        self._ledger.took(size)

    def passed(self, size: int) -> None:
        """So many bytes of OpenOCD were."""
        if self._client is not None:
            self._enter(partial(self._ledger.passed, size, self._proxy, self._client))

    def _enter(self, write: Callable[[], None]) -> None:
        """Write into the ledger. A session that cannot be written down ends with the daemon."""
        try:
            write()
        except (RecordError, OSError) as error:
            self._port.log.warning("session_not_kept", port=self._port.port, error=str(error))
            self._ledger.close()

    def park(self) -> None:
        """The daemon ends and the next one goes on with this session, if there is a store that holds it meanwhile."""
        if self._ledger.kept and self._client is not None and self._client.leave():
            self._client = None
            self._port.log.info("session_parked", port=self._port.port, name=self._ledger.leave())
        self.close()

    def close(self) -> None:
        """End both connections; what was on its way to GDB still arrives."""
        self._over = True
        self._ledger.close()
        self._stop_redial()
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._up is not None:
            self._up.abort()
            self._up = None
        if self._dialling is not None:
            self._dialling.cancel()
        self._port.forget(self)
