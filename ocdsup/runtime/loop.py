"""asyncio's own event loop with a short way for streams: what was read is passed on before the loop takes a turn.

A turn of asyncio costs as much as the `recv` and the `send` of a packet, and a debugger that steps waits for it fourteen
times a step. Readers added with `add_stream` are called by the selector itself, and it waits again at once unless they left
something for the loop to do. With any other loop `Wire` uses plain readers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import selectors
from collections.abc import Callable, Mapping
from contextvars import Context
from time import monotonic
from typing import Any, TypeVarTuple

_Ts = TypeVarTuple("_Ts")


class StreamSelector(selectors.BaseSelector):
    """An epoll selector that calls the readers of streams itself. `hurry` is set when the loop has something new to do."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._streams: dict[int, Callable[[], None]] = {}  # of those that are watched for reading and nothing else
        self._on_error = on_error
        self.hurry = False

    def stream(self, number: int, callback: Callable[[], None]) -> None:
        """Call this when the registered descriptor can be read, until it is not registered for reading any more.

        While it is watched for writing too, the loop is told instead.
        """
        self._callbacks[number] = callback
        self._streams.pop(number, None)
        if self._keys[number].events == selectors.EVENT_READ:
            self._streams[number] = callback

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor. Raises KeyError when it is watched already, OSError when it cannot be."""
        number = _number(fileobj)
        if number in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._epoll.register(number, _mask(events))
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch it no more; a descriptor that was closed meanwhile is not an error. Raises KeyError when it was not watched."""
        key = self._keys.pop(_number(fileobj))
        self._streams.pop(key.fd, None)
        self._callbacks.pop(key.fd, None)
        with contextlib.suppress(OSError):  # closed before: the kernel has forgotten it
            self._epoll.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch for other events, or with other data. Raises KeyError when it is not watched."""
        key = self._keys[_number(fileobj)]
        if events != key.events:
            self._epoll.modify(key.fd, _mask(events))
        self._streams.pop(key.fd, None)
        if not events & selectors.EVENT_READ:
            self._callbacks.pop(key.fd, None)
        elif events == selectors.EVENT_READ and key.fd in self._callbacks:
            self._streams[key.fd] = self._callbacks[key.fd]
        changed = self._keys[key.fd] = selectors.SelectorKey(fileobj, key.fd, events, data)
        return changed

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is watched, by descriptor."""
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """How it is watched. Raises KeyError when it is not."""
        return self._keys[_number(fileobj)]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve streams until something else is ready, the loop is wanted, or `timeout` seconds are over."""
        self.hurry = False
        wait = until = None
        if timeout is not None:
            wait = max(math.ceil(timeout * 1e3) * 1e-3, 0.0)  # the kernel counts milliseconds: never a little too early
            until = monotonic() + timeout
        ready: list[tuple[selectors.SelectorKey, int]] = []
        while not self.hurry:
            try:
                self._serve(wait, until, ready)
            except InterruptedError:
                break
            except Exception as error:  # noqa: BLE001  (a callback's: asyncio reports those of its own likewise)
                self._on_error(error)
                self.hurry = True  # one that fails again and again keeps nobody else waiting
        return ready

    def _serve(self, wait: float | None, until: float | None, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        poll, streams = self._epoll.poll, self._streams  # every step of the interpreter counts here
        while not self.hurry:
            events = poll(wait, 32)  # at once; the kernel serves the rest in turn
            for number, event in events:
                stream = streams.get(number)
                if stream is None:
                    self._other(number, event, ready)
                else:
                    stream()
            if until is not None and (not events or monotonic() >= until):
                self.hurry = True

    def _other(self, number: int, event: int, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        key = self._keys.get(number)  # gone when a stream before it in this round has closed it
        if key is not None:
            happened = (event & ~select.EPOLLIN and selectors.EVENT_WRITE) | (event & ~select.EPOLLOUT and selectors.EVENT_READ)
            if happened & key.events:
                ready.append((key, happened & key.events))
                self.hurry = True

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()
        self._keys.clear()
        self._streams.clear()
        self._callbacks.clear()


class StreamLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on that selector: for `asyncio.Runner(loop_factory=StreamLoop)`."""

    def __init__(self) -> None:
        self._streams = StreamSelector(self._failed)
        super().__init__(self._streams)

    def add_stream(self, number: int, callback: Callable[[], None]) -> None:
        """Like `add_reader`, and the callback may be called before the loop's turn; `remove_reader` ends it."""
        self.add_reader(number, callback)
        self._streams.stream(number, callback)

    def hasten(self, number: int, callback: Callable[[], None]) -> None:
        """Call this for a stream from now on, wherever it can be called before the loop's turn."""
        self._streams.stream(number, callback)

    def call_soon(self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.Handle:
        """As asyncio's; the selector returns for it."""
        self._streams.hurry = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; the selector returns for it."""
        self._streams.hurry = True
        return super().call_at(when, callback, *args, context=context)

    def _failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "Exception in the reader of a stream", "exception": error})


def _mask(events: int) -> int:
    reads = select.EPOLLIN if events & selectors.EVENT_READ else 0
    return reads | (select.EPOLLOUT if events & selectors.EVENT_WRITE else 0)


def _number(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
