"""Lending a bench's probe: one borrower at a time, the others in a queue that keeps their order.

A loan that is held over the control socket lives as long as its connection: whoever dies gives the probe back. One that was
asked for on telnet lives for its seconds. Either ends early by `ocdsup resume`.
"""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ocdsup.control.protocol import Request
from ocdsup.core import events as ev
from ocdsup.core.state import Phase
from ocdsup.errors import ControlError
from ocdsup.probes.selector import Found, openocd_serial
from ocdsup.runtime import usb
from ocdsup.runtime.unfinished import spare_flash

if TYPE_CHECKING:
    from ocdsup.runtime.bench import LiveBench
    from ocdsup.runtime.control_port import Emit

GRACE_S = 8.0  # what a borrower whose time is over gets to end; its command line ends it by SIGTERM, then SIGKILL, well within
FREE_S = 5.0  # for OpenOCD to end, beyond its own grace


@dataclass(eq=False, slots=True)
class Loan:
    """One borrower, waiting or served; `held` ends with its connection, `since` is when its turn came (monotonic seconds)."""

    borrower: str
    limit_s: float | None
    held: bool
    since: float | None = None
    over: str = ""
    let_go: bool = False  # nobody takes the probe back any more: what runs with it may go on
    news: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class Lending:
    """The queue of one bench; the first loan has the probe."""

    def __init__(self, post: Callable[[ev.Event], None], log: Any) -> None:
        self._post = post
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._loans: list[Loan] = []

    @property
    def current(self) -> Loan | None:
        """Who has the probe, or is about to get it."""
        return self._loans[0] if self._loans else None

    def place(self, loan: Loan) -> int:
        """How many borrowers come before this one; its turn has come at 0. -1 when it is over."""
        return self._loans.index(loan) if loan in self._loans else -1

    def shown(self) -> dict[str, Any] | None:
        """The loan for the status: who, for how long already and yet, and who waits."""
        loan = self.current
        if loan is None or loan.since is None:
            return None
        age = self._loop.time() - loan.since
        left = None if loan.limit_s is None else round(max(0.0, loan.limit_s - age), 1)
        waiting = [other.borrower for other in self._loans[1:]]
        return {
            "borrower": loan.borrower,
            "since_s": round(age, 1),
            "left_s": left,
            "waiting": waiting,
            "over": loan.over or None,
        }

    def join(self, borrower: str, limit_s: float | None, *, held: bool) -> Loan:
        """Queue for the probe."""
        loan = Loan(borrower, limit_s, held)
        self._loans.append(loan)
        if len(self._loans) == 1:
            self._serve(loan)
        else:
            self._log.info("loan_queued", borrower=borrower, place=len(self._loans) - 1)
        return loan

    def _serve(self, loan: Loan) -> None:
        loan.since = self._loop.time()
        if loan.limit_s is not None:
            loan.timer = self._loop.call_later(loan.limit_s, self.finish, loan, f"its {loan.limit_s:g} s are over")
        self._post(ev.LendAsked(loan.borrower))

    def finish(self, loan: Loan, why: str) -> None:
        """Tell a borrower that it must go; one that holds a connection gets a moment to end what it started."""
        if loan.over or loan not in self._loans:
            return
        loan.over = why
        self._log.info("loan_over", borrower=loan.borrower, why=why)
        if loan.timer is not None:
            loan.timer.cancel()
        if not loan.held:
            self.leave(loan)
            return
        loan.timer = self._loop.call_later(GRACE_S, self.leave, loan)
        loan.news.set()

    def leave(self, loan: Loan) -> None:
        """Give the probe back, or the place in the queue; the next in the queue gets it."""
        if loan not in self._loans:
            return
        first = self._loans[0] is loan
        self._loans.remove(loan)
        if loan.timer is not None:
            loan.timer.cancel()
        loan.news.set()
        if first and self._loans:
            self._serve(self._loans[0])
        elif first:
            self._post(ev.LendEnded())
        for other in self._loans:
            other.news.set()

    def resume(self, who: str) -> str:
        """Take the probe back from its borrower; returns a sentence. Raises ControlError when it is not lent."""
        loan = self.current
        if loan is None:
            raise ControlError("refused", "take the probe back", "it is not lent", "`ocdsup status` shows who has it")
        self.finish(loan, f"{who} takes it back")
        return f"{loan.borrower} was told to give the probe back" if loan.held else "the probe is back"

    def close(self, why: str) -> None:
        """End every loan; nobody waits for the probe any more, so a borrower that writes flash may finish."""
        for loan in tuple(reversed(self._loans)):
            loan.let_go = not loan.over
            loan.over = loan.over or why
            self.leave(loan)


async def lend(bench: LiveBench, request: Request, emit: Emit) -> Any:
    """Carry out the verb `lend`. Raises ControlError."""
    seconds, hold = request.args.get("seconds"), bool(request.args.get("hold"))
    limit = float(seconds) if seconds is not None else None
    if limit is None and not hold:
        raise ControlError("bad-argument", f"lend {bench.name}", "nobody would take it back", "give `seconds`, or `hold`")
    spare_flash(bench, f"lend the probe of {bench.name}", force=bool(request.args.get("force")))
    if hold:
        return await _held(bench, bench.lending.join(borrower(request), limit, held=True), emit)
    other = bench.lending.current
    if other is not None:
        raise ControlError("busy", f"lend the probe of {bench.name}", f"{other.borrower} has it", "`ocdsup resume` ends that")
    loan = bench.lending.join(borrower(request), limit, held=False)
    try:
        await _freed(bench)
    except ControlError:
        bench.lending.leave(loan)
        raise
    return {"text": f"the probe of {bench.name} is free for {limit:g} s; `ocdsup resume` takes it back earlier"}


async def _held(bench: LiveBench, loan: Loan, emit: Emit) -> Any:
    """Keep one borrower informed until it goes; it is gone when this is cancelled."""
    try:
        told = 0
        while (place := bench.lending.place(loan)) > 0:
            first = bench.lending.current
            if place != told and first is not None:
                emit({"step": "waiting", "place": place, "borrower": first.borrower})
            told = place
            await _news(loan)
        if not loan.over:
            await _freed(bench)
            emit({"step": "granted", "probe": await identity(bench), "seconds": loan.limit_s})
        while not loan.over:
            await _news(loan)
        emit({"step": "let-go" if loan.let_go else "over", "why": loan.over})
        while bench.lending.place(loan) >= 0:
            await _news(loan)
    finally:
        bench.lending.leave(loan)
    return {"text": f"the loan is over: {loan.over}"}


async def _news(loan: Loan) -> None:
    await loan.news.wait()
    loan.news.clear()


async def _freed(bench: LiveBench) -> None:
    """Wait until OpenOCD has let go of the probe."""
    try:
        async with asyncio.timeout(2 * bench.config.recovery.grace + FREE_S):
            state = await bench.until(lambda state: state.phase in {Phase.LENT, Phase.BLOCKED})
    except TimeoutError:
        state = bench.driver.state
    if state.phase is not Phase.LENT:
        raise ControlError(
            "failed", f"free the probe of {bench.name}", bench.snapshot()["summary"], f"`ocdsup why {bench.name}`"
        )


async def identity(bench: LiveBench) -> dict[str, str | None]:
    """What tells the bench's probe from every other one: as configured, and completed by a look at it."""
    probe = bench.selector
    match await asyncio.to_thread(usb.find, probe):
        case Found(seen):
            node = f"{seen.bus}:{seen.device}" if seen.server is None else None
            return {
                "vid_pid": seen.vid_pid,
                "serial": openocd_serial(seen),  # 24 digits for the raw bytes of an old ST-LINK/V2, as every tool takes them
                "location": seen.location,
                "server": seen.server,
                "node": node,
            }
        case _:
            known = {"vid_pid": probe.vid_pid, "serial": probe.serial, "location": probe.location, "server": probe.server}
            return {**known, "node": None}


def borrower(request: Request) -> str:
    """Who asks, for people: `cargo run (PID 812, bench)`."""
    by = str(request.args.get("by") or "somebody")
    return f"{by} ({asker(request)})"


def asker(request: Request) -> str:
    """Process and user behind a request."""
    if request.peer is None:
        return "telnet"
    pid, uid = request.peer
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"PID {pid}, {name}"
