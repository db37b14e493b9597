"""Evictions that people ask for: who asked is told what became of each holder of the probe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ocdsup.core import events as ev


class Evictions:
    """Those of one bench. The core decides; here are only the answers to whoever waits."""

    def __init__(self, post: Callable[[ev.Event], None], log: Any) -> None:
        self._post = post
        self._log = log
        self._followers: list[Callable[[ev.Event], None]] = []

    def heard(self, seen: ev.Event) -> None:
        """A look at the world, or the end of a holder, has been told to the core."""
        for follower in tuple(self._followers):
            follower(seen)

    async def ask(self, *, force: bool, limit_s: float, by: str = "") -> tuple[tuple[ev.HolderSeen, ...], frozenset[int]]:
        """End the holders that the policy, or `force`, lets us end; returns all that were seen and the PIDs that ended.

        Only a look that judged as strictly as this one counts: while the probe is held, the bench looks by itself all the time.
        Raises TimeoutError when the look has not come to its end within `limit_s` seconds; ends that have not are told of.
        """
        looked: asyncio.Future[tuple[ev.HolderSeen, ...]] = asyncio.get_running_loop().create_future()
        answers: asyncio.Queue[ev.HolderEnded] = asyncio.Queue()

        def follow(seen: ev.Event) -> None:
            if isinstance(seen, ev.HoldersSeen) and seen.forced is force and not looked.done():
                looked.set_result(seen.holders)
            elif isinstance(seen, ev.HolderEnded) and looked.done():
                answers.put_nowait(seen)

        self._followers.append(follow)
        holders: tuple[ev.HolderSeen, ...] = ()
        told: dict[int, ev.HolderEnded] = {}
        try:
            async with asyncio.timeout(limit_s):
                self._post(ev.EvictAsked(force, by))
                holders = await looked
                while any(holder.evict and holder.pid not in told for holder in holders):
                    answer = await answers.get()
                    told[answer.pid] = answer
        except TimeoutError:
            self._log.warning("evict_unfinished", limit_s=limit_s)
            if not looked.done() or looked.cancelled():
                raise
        finally:
            self._followers.remove(follow)
        said = {pid: answer.text for pid, answer in told.items() if answer.text and not answer.ended}
        holders = tuple(replace(one, why=said.get(one.pid, one.why)) for one in holders)
        return holders, frozenset(one.pid for one in holders if one.pid in told and told[one.pid].ended)
