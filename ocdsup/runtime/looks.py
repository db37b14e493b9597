"""Looks at the world for one bench: is its probe there, who else has it, and ending whom the policy lets us end.

Every look blocks a little (sysfs, /proc, an ST-LINK server), so each runs in a thread; the answers are events of the bench.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import monotonic

from ocdsup.core import events as ev
from ocdsup.core.effects import UsbCure
from ocdsup.errors import ProbeError
from ocdsup.probes.eviction import Decision, Policy, Rules, Verdict, judge, second_thoughts
from ocdsup.probes.history import History, remember
from ocdsup.probes.holders import Holder
from ocdsup.probes.probe import Probe
from ocdsup.probes.respawn import RespawnBreaker, farewell, notice
from ocdsup.probes.selector import Absent, Ambiguous, Found, Match, ProbeSelector, same_serial
from ocdsup.runtime import ending, procs, stlink_server, usb, usb_reset

LOAN_GRACE_S = 120.0
"""So long after our start the mark of a loan in an environment is believed: it may be one of the previous daemon."""

LOOP_S = 1.0  # a loop that is busy for longer lets nobody be ended for now


@dataclass(frozen=True, slots=True)
class _Judged:
    holder: Holder
    verdict: Verdict
    rules: Rules
    respawned: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """The bench whose looks these are: its name, where it serves GDB, as `localhost:3333`, and whether it has a loan."""

    bench: str
    place: Callable[[], str]
    lends: Callable[[], bool] = lambda: False


class Looks:
    """Observes the world for one bench, and ends holders of its probe.

    `own_pids` are the PIDs of this daemon's own OpenOCDs, of all benches; `flashing` tells whether one of them writes flash;
    `uids` are the users whose processes may be ended, None for all. `known`: the probe has been found before. What has been
    learned of a probe stays when the rules (`policy`, `uids`) change.
    """

    def __init__(
        self,
        selector: ProbeSelector,
        policy: Policy,
        grace_s: float,
        own_pids: Callable[[], frozenset[int]],
        flashing: Callable[[], bool],
        uids: frozenset[int] | None = None,
        *,
        home: Home,
    ) -> None:
        self._home = home
        self._told: frozenset[tuple[int, int]] = frozenset()
        self.selector = selector
        self.policy = policy
        self.uids = uids
        self._grace_s = grace_s
        self._own_pids = own_pids
        self._flashing = flashing
        self._history = History()
        self._breaker = RespawnBreaker()
        self._judged: dict[tuple[int, int], _Judged] = {}
        self._wanted = procs.Wanted()
        self._cured = ""
        self._opened = ""
        self._since = monotonic()
        self.known = False

    async def probe(self) -> ev.ProbeSeen:
        """Whether the probe is on the bus, and may be opened."""
        match await self.find():
            case Found(probe):
                return present(probe)
            case Absent(text):
                return ev.ProbeSeen(ev.Presence.ABSENT, text)
            case Ambiguous(text=text):
                return ev.ProbeSeen(ev.Presence.AMBIGUOUS, text)

    async def find(self) -> Match:
        """The bench's probe, as far as it can be found."""
        found = await asyncio.to_thread(usb.find, self.selector)
        self.known |= isinstance(found, Found)
        return found

    async def opening(self) -> Match:
        """Find the probe that our OpenOCD is about to open, and remember which device it is."""
        found = await self.find()
        self._opened = found.probe.identity if isinstance(found, Found) else ""
        return found

    def closed(self) -> None:
        """Our OpenOCD has ended, and has no device open."""
        self._opened = ""

    async def after_change(self) -> ev.ProbeSeen | None:
        """Look again because something came or went on the bus; None if that has nothing to do with this bench.

        An adapter that was never seen there is perhaps none of USB (GPIO pins), or none of our table, and cannot be missed.

        A probe that went and came back between two looks is another device, and the one that our OpenOCD has open is gone:
        that is told first, once; the next look finds the new one.
        """
        seen = await self.probe()
        if not self.known:
            return None
        if not (self._opened and seen.identity) or seen.identity == self._opened:
            return seen
        self._opened = ""
        return ev.ProbeSeen(ev.Presence.ABSENT, "it was unplugged and plugged in again")

    async def holders(self, *, force: bool = False) -> ev.HoldersSeen:
        """Who else has the probe open, and what the policy says of each."""
        found = await asyncio.to_thread(usb.find, self.selector)
        self._wanted = procs.wanted(_nodes(found), _servers(self.selector))
        report = await asyncio.to_thread(procs.find_holders, self._wanted)
        now = asyncio.get_running_loop().time()
        own = self._own_pids()
        others = await asyncio.to_thread(self._of_this_probe, [h for h in report.holders if not h.descends_from(own)])
        self._history, holders = remember(self._history, others, now)
        rules = Rules(
            self._home.bench,
            policy=self.policy,
            own_pids=own,
            uids=self.uids,
            grace_s=self._grace_s,
            lends=self._lends(),
            flashing=self._flashing(),
            force=force,
        )
        self._judged = {(h.pid, h.start_ticks): self._verdict(h, rules, now) for h in holders}
        await self._tell_respawned()
        again = [judged.verdict.again_at for judged in self._judged.values() if judged.verdict.again_at is not None]
        unseen = "; ".join(map(str, report.unseen))
        seen = tuple(map(_seen, self._judged.values())) if report.holders else _hidden(found, unseen)
        return ev.HoldersSeen(seen, unseen, min(again, default=None), force)

    def _lends(self) -> bool:
        """Whether a borrower may be there. One of the previous daemon has no loan with us, and comes to its end unheard."""
        return self._home.lends() or monotonic() - self._since < LOAN_GRACE_S

    def _verdict(self, holder: Holder, rules: Rules, now: float) -> _Judged:
        verdict = judge(holder, rules, now)
        checked = self._breaker.check(holder, verdict, now)
        return _Judged(holder, checked, rules, respawned=checked is not verdict)

    async def _tell_respawned(self) -> None:
        """Tell each OpenOCD that came back once too often, and by its log whoever starts it, once what is going on."""
        news = {key: one.holder for key, one in self._judged.items() if one.respawned and key not in self._told}
        self._told = frozenset({*(self._told & self._judged.keys()), *news})
        for holder in news.values():
            if holder.tcl_answers and holder.ports.tcl is not None:
                await asyncio.to_thread(procs.tell, holder.ports.tcl, notice(self._home.bench, self._home.place()))

    def _of_this_probe(self, holders: list[Holder]) -> list[Holder]:
        """Those that hold *this* probe. Blocks.

        A device node belongs to one probe; a connection to an ST-LINK server does not say which probe it uses. If another
        probe of that server is in use too, only a command line that names our serial proves it. One that names another probe's
        has not opened ours, also while it has not opened that one yet.
        """
        if self.selector.server is None or not holders:
            return holders
        try:
            probes = stlink_server.list_probes(self.selector.server, 1.0)
        except ProbeError:
            return holders
        used = [probe for probe in probes if probe.in_use]
        ours = [probe for probe in used if _is(self.selector, probe)]
        if not ours:
            return []
        named = [holder for holder in holders if _names(holder, ours)]
        if named or len(used) > 1:
            return named
        others = [probe for probe in probes if probe not in ours]
        return [holder for holder in holders if not _names(holder, others)]

    async def end(self, pid: int, start: int) -> ev.HolderEnded:
        """End one holder that was judged so, politely first.

        Refused when it is no longer the one that was judged; left alone when somebody has begun to use it since.
        """
        judged = self._judged.get((pid, start))
        if judged is None or judged.verdict.decision is not Decision.EVICT:
            return ev.HolderEnded(pid, ended=False, how="refused", text="it was not judged to be ended")
        if self._flashing():  # begun since the verdict
            return ev.HolderEnded(pid, ended=False, how="refused", text="a flash operation of this bench runs")
        loop = asyncio.get_running_loop()

        def objection(seen: Holder) -> str:
            """Called in a thread. The sessions that tell of a flash operation belong to the loop, and change under a thread."""
            asked = asyncio.run_coroutine_threadsafe(self._now(), loop)
            try:
                flashing, lends = asked.result(LOOP_S)
            except TimeoutError:
                asked.cancel()
                return "ocdsup itself does not get to say whether a flash operation runs"
            return second_thoughts(judged.holder, seen, replace(judged.rules, flashing=flashing, lends=lends), loop.time())

        words = farewell(self._home.bench, self._home.place(), judged.verdict.reason)
        result = await ending.evict(judged.holder, self._wanted, objection=objection, farewell=words)
        if result.ended:
            self._breaker = self._breaker.record(judged.holder, loop.time())
        return ev.HolderEnded(pid, ended=result.ended, how=result.how.value, text=result.text)

    async def _now(self) -> tuple[bool, bool]:
        """Whether one of ours writes flash, and whether a borrower may be there."""
        return self._flashing(), self._lends()

    async def reset_usb(self, how: UsbCure = UsbCure.RESET) -> ev.UsbWasReset:
        """Reset the probe's USB device, or do one of the harder things to it, and only to this one."""
        found = await asyncio.to_thread(usb.find, self.selector)
        if not isinstance(found, Found) or found.probe.server is not None:
            return ev.UsbWasReset(ok=False, text="the probe is not on USB")
        outcome, identity = await asyncio.to_thread(usb_reset.carry_out, how, found.probe)
        self._cured = found.probe.identity
        return ev.UsbWasReset(outcome.ok, outcome.text, outcome.wedged, identity)

    async def usb_free(self) -> ev.UsbWasReset:
        """The kernel has let go of the USB cure that was stuck; waits for it."""
        await usb_reset.until_free(self._cured)
        return ev.UsbWasReset(ok=False, text="the kernel has let go of the stuck USB reset")


def present(probe: Probe) -> ev.ProbeSeen:
    """The event that says so of a probe that was found, or that this user may not open it."""
    if probe.server is None and probe.denied:
        node = probe.denied[0]
        text = f"this user may not open {node.path}, which is {node.mode:04o} {node.owner}:{node.group}; {node.missing}"
        return ev.ProbeSeen(ev.Presence.DENIED, text, probe.identity, probe.location)
    return ev.ProbeSeen(ev.Presence.PRESENT, str(probe), probe.identity, probe.location)


def _hidden(found: Match, unseen: str) -> tuple[ev.HolderSeen, ...]:
    """Somebody of whom only the claim is seen: sysfs tells everybody that libusb has an interface, not in which process.

    Without this, a probe that another user has would be tried again and again instead of waited for.
    """
    if not (unseen and isinstance(found, Found) and found.probe.server is None and found.probe.claimed):
        return ()
    name = "a process that this user cannot see"
    return (ev.HolderSeen(0, 0, name, "", "", stale=False, evict=False, why=unseen),)


def _nodes(found: Match) -> list[str]:
    return [node.path for node in found.probe.debug_nodes] if isinstance(found, Found) else []


def _servers(selector: ProbeSelector) -> list[int]:
    return [int(selector.server.rpartition(":")[2])] if selector.server else []


def _names(holder: Holder, probes: Iterable[Probe]) -> bool:
    return any(probe.serial in word for probe in probes for word in holder.cmdline if probe.serial)


def _is(selector: ProbeSelector, probe: Probe) -> bool:
    return selector.serial is None or same_serial(selector.serial, probe.serial)


def _seen(judged: _Judged) -> ev.HolderSeen:
    holder, verdict = judged.holder, judged.verdict
    why = f"{verdict.reason}; {verdict.advice}" if verdict.advice else verdict.reason
    return ev.HolderSeen(
        pid=holder.pid,
        start=holder.start_ticks,
        name=holder.name,
        user=holder.user,
        since=holder.since,
        stale=bool(verdict.stale),
        evict=verdict.decision is Decision.EVICT,
        why=why,
    )
