"""What the verbs of the control socket and the words of the telnet bridge do. One function per verb, in one table."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ocdsup.control.protocol import Request
from ocdsup.control.render import log_line, status_text
from ocdsup.control.verbs import VERBS
from ocdsup.core import events as ev
from ocdsup.core.state import UP, Phase
from ocdsup.core.why import why
from ocdsup.errors import ControlError, OcdsupError
from ocdsup.runtime import dropin, inventory, lending
from ocdsup.runtime.bench import LiveBench
from ocdsup.runtime.control_port import Emit
from ocdsup.runtime.log_ring import KEPT, LogRing
from ocdsup.runtime.unfinished import spare_flash
from ocdsup.telnet.words import HELP

WAIT_S = 30.0
EVICT_S = 20.0
TELNET_LINES = 20
_SETTLED = UP | {Phase.FAILED, Phase.BLOCKED, Phase.STOPPED, Phase.LENT, Phase.BACKOFF}

Carry = Callable[["Verbs", Request, Emit], Awaitable[Any]]


class Verbs:
    """Carries out requests on the benches of a daemon."""

    def __init__(
        self,
        benches: Callable[[], Sequence[LiveBench]],
        snapshot: Callable[[], dict[str, Any]],
        reload: Callable[[], Awaitable[str]],
    ) -> None:
        self._benches = benches
        self._snapshot = snapshot
        self._reload = reload
        self._watchers: list[asyncio.Event] = []

    def changed(self) -> None:
        """Something that `watch` shows has changed."""
        for watcher in self._watchers:
            watcher.set()

    async def carry_out(self, request: Request, emit: Emit) -> Any:
        """The result of a request. Raises ControlError."""
        carry = _TABLE.get(request.verb)
        if carry is None:
            raise ControlError(
                "unknown-verb", f"carry out `{request.verb}`", "this daemon does not know it", "see `ocdsup --help`"
            )
        return await carry(self, request, emit)

    async def telnet(self, bench: LiveBench, verb: str, args: dict[str, Any]) -> str:
        """The same for a person on the telnet bridge of `bench`, in text."""
        as_json = bool(args.pop("json", False))
        named = bench.name if verb not in {"status"} else None
        request = Request(0, verb, named, args)
        if request.row.acts:
            bench.asked(verb, args)
        try:
            result = await self.carry_out(request, lambda _event: None)
        except OcdsupError as error:
            return f"ocdsup: {error}"
        return _as_text(verb, result, as_json)

    def bench(self, name: str | None) -> LiveBench:
        """The bench of that name. Raises ControlError."""
        found = next((bench for bench in self._benches() if bench.name == name), None)
        if found is None:
            known = ", ".join(bench.name for bench in self._benches())
            raise ControlError("unknown-bench", f"find the bench {name!r}", "there is no such bench", f"there are: {known}")
        return found

    def _of(self, request: Request) -> Sequence[LiveBench]:
        return [self.bench(request.bench)] if request.bench is not None else self._benches()

    # Reading

    async def status(self, request: Request, _emit: Emit) -> Any:
        """The snapshot, whole or of one bench."""
        whole = self._snapshot()
        if request.bench is not None:
            whole["benches"] = [self.bench(request.bench).snapshot()]
        return whole

    async def why(self, request: Request, _emit: Emit) -> Any:
        """The diagnosis in plain words."""
        return {"text": "\n\n".join(why(bench.snapshot()) for bench in self._of(request))}

    async def logs(self, request: Request, emit: Emit) -> Any:
        """Recent lines; with `follow` each further line is an event until the client goes."""
        benches = self._of(request)
        count = int(request.args.get("lines", TELNET_LINES))
        lines = sorted((line for bench in benches for line in bench.ring.last(count)), key=lambda line: str(line["at"]))
        last = lines[max(0, len(lines) - count) :]
        if not request.args.get("follow"):
            return {"lines": last}
        for line in last:
            emit(line)
        ends = {bench.ring: bench.ring.follow(emit) for bench in benches}
        news = asyncio.Event()
        self._watchers.append(news)
        try:
            while True:  # until the client goes and this task is cancelled
                await news.wait()
                news.clear()
                self._follow_on(request, ends, emit)
        finally:
            self._watchers.remove(news)
            for end in ends.values():
                end()

    def _follow_on(self, request: Request, ends: dict[LogRing, Callable[[], None]], emit: Emit) -> None:
        """After a reload that exchanged a bench: go on with the new one from its first line, when there is one."""
        for bench in self._benches():
            if bench.ring in ends or request.bench not in {None, bench.name}:
                continue
            for ring in [ring for ring in ends if ring.bench == bench.name]:
                ends.pop(ring)()
            for line in bench.ring.last(KEPT):
                emit(line)
            ends[bench.ring] = bench.ring.follow(emit)

    async def watch(self, request: Request, emit: Emit) -> Any:
        """The snapshot again at every change."""
        news = asyncio.Event()
        self._watchers.append(news)
        try:
            while True:
                emit(await self.status(request, emit))
                await news.wait()
                news.clear()
        finally:
            self._watchers.remove(news)

    async def wait(self, request: Request, _emit: Emit) -> Any:
        """Answer when the GDB port is usable."""
        bench = self.bench(request.bench)
        limit = float(request.args.get("timeout", WAIT_S))
        try:
            async with asyncio.timeout(limit):
                await bench.until(lambda state: state.phase in UP)
        except TimeoutError:
            seen = bench.snapshot()
            raise ControlError(
                "not-usable", f"use {bench.name} within {limit:g} s", seen["summary"], f"`ocdsup why {bench.name}`"
            ) from None
        seen = bench.snapshot()
        return {"text": seen["summary"], "gdb": seen["ports"]["gdb"]}

    async def probes(self, _request: Request, _emit: Emit) -> Any:
        """Every debug probe on USB or behind a bench's ST-LINK server, and who holds each."""
        wants = {bench.name: bench.selector for bench in self._benches()}
        own = {bench.backend_pid: bench.name for bench in self._benches() if bench.backend_pid is not None}
        return await asyncio.to_thread(inventory.look, wants, own)

    async def help(self, _request: Request, _emit: Emit) -> Any:
        """The verbs."""
        return {"verbs": {name: verb.text for name, verb in VERBS.items() if name in _TABLE}}

    # Acting

    async def restart(self, request: Request, _emit: Emit) -> Any:
        """A new OpenOCD, now; answered when it is up or it is clear that it will not be soon."""
        bench = self.bench(request.bench)
        run = bench.driver.state.run
        if bench.driver.state.phase is Phase.LENT:
            raise ControlError("refused", f"restart {bench.name}", "its probe is lent", "`ocdsup resume` takes it back")
        spare_flash(bench, f"restart {bench.name}", force=bool(request.args.get("force")))
        bench.driver.post(ev.RestartAsked(under_reset=bool(request.args.get("under_reset", False))))
        await _settled(bench, run)
        return {"text": bench.snapshot()["summary"]}

    async def start(self, request: Request, _emit: Emit) -> Any:
        """Want the bench up."""
        bench = self.bench(request.bench)
        if bench.driver.state.phase in UP:
            return {"text": bench.snapshot()["summary"]}
        run = bench.driver.state.run
        bench.driver.post(ev.StartAsked())
        await _settled(bench, run)
        return {"text": bench.snapshot()["summary"]}

    async def stop(self, request: Request, _emit: Emit) -> Any:
        """Want the bench down; answered when OpenOCD is gone."""
        bench = self.bench(request.bench)
        spare_flash(bench, f"stop {bench.name}", force=bool(request.args.get("force")))
        bench.driver.post(ev.StopAsked())
        try:
            async with asyncio.timeout(WAIT_S):
                await bench.until(lambda state: state.backend is None)
        except TimeoutError:
            raise ControlError("failed", f"stop {bench.name}", bench.snapshot()["summary"]) from None
        return {"text": bench.snapshot()["summary"]}

    async def evict(self, request: Request, _emit: Emit) -> Any:
        """End the holders of the bench's probe, as the policy allows."""
        bench = self.bench(request.bench)
        if bench.driver.state.phase is Phase.LENT:
            raise ControlError("refused", f"free the probe of {bench.name}", "it is lent", "`ocdsup resume` takes it back")
        if bench.driver.state.phase in {Phase.STOPPED, Phase.STOPPING}:
            why = "it is stopped, and ends nobody for a probe that it does not want"
            raise ControlError(
                "refused", f"free the probe of {bench.name}", why, f"`ocdsup start {bench.name}` takes the probe"
            )
        force = bool(request.args.get("force", False))
        try:
            seen, ended = await bench.evict(force=force, limit_s=EVICT_S, by=lending.asker(request))
        except TimeoutError:
            why = f"the look at who holds it has not come to its end within {EVICT_S:g} s"
            raise ControlError("failed", f"free the probe of {bench.name}", why, f"`ocdsup why {bench.name}`") from None
        if not seen:
            return {"text": "nobody else holds the probe", "ended": []}
        left = [f"{h.who}: {h.why}" for h in seen if h.pid not in ended]
        text = f"ended {len(ended)} of {len(seen)}" + (f"; left alone: {'; '.join(left)}" if left else "")
        if left and not ended:
            hint = "`--force` ends them all" if not force else "what force leaves alone needs hands, as its reason says"
            raise ControlError("refused", f"free the probe of {bench.name}", text, hint)
        return {"text": text, "ended": sorted(ended)}

    async def benches(self, _request: Request, _emit: Emit) -> Any:
        """What tells the benches apart."""
        return {"benches": [await dropin.described(bench) for bench in self._benches()]}

    async def tcl(self, request: Request, _emit: Emit) -> Any:
        """One Tcl command; anything at all is for root and the daemon's own user, because Tcl can start programs."""
        trusted = request.peer is not None and request.peer[1] in {0, os.geteuid()}
        return await dropin.evaluate(self.bench(request.bench), str(request.args["script"]), trusted=trusted)

    async def lend(self, request: Request, emit: Emit) -> Any:
        """Free the probe for another tool, and take it back."""
        return await lending.lend(self.bench(request.bench), request, emit)

    async def resume(self, request: Request, _emit: Emit) -> Any:
        """Take a lent probe back."""
        bench = self.bench(request.bench)
        return {"text": bench.lending.resume(lending.asker(request))}

    async def reload(self, _request: Request, _emit: Emit) -> Any:
        """Read the configuration again."""
        return {"text": await self._reload()}


async def _settled(bench: LiveBench, run: int) -> None:
    """Wait until a newer backend than `run` has come to something, WAIT_S at most."""
    try:
        async with asyncio.timeout(WAIT_S):
            await bench.until(lambda state: state.phase in _SETTLED and (state.run > run or state.phase not in UP))
    except TimeoutError:
        return


_TABLE: dict[str, Carry] = {
    "status": Verbs.status,
    "why": Verbs.why,
    "logs": Verbs.logs,
    "watch": Verbs.watch,
    "wait": Verbs.wait,
    "probes": Verbs.probes,
    "help": Verbs.help,
    "restart": Verbs.restart,
    "start": Verbs.start,
    "stop": Verbs.stop,
    "evict": Verbs.evict,
    "reload": Verbs.reload,
    "lend": Verbs.lend,
    "benches": Verbs.benches,
    "tcl": Verbs.tcl,
    "resume": Verbs.resume,
}


def _as_text(verb: str, result: Any, as_json: bool) -> str:
    if verb == "status":
        if as_json:
            return json.dumps(result)
        return status_text(result)
    if verb == "logs":
        return "\n".join(log_line(line) for line in result["lines"])
    if verb == "help":
        return HELP
    return str(result.get("text", result))
