"""Threads of an operating system on the target: what OpenOCD learns from GDB about them, and GDB from OpenOCD, over a restart.

Read in OpenOCD 0.12 (rtos.c, FreeRTOS.c, hwthread.c, gdb_server.c) and seen with GDB 13.1:
- where the variables of the system are, OpenOCD knows only from GDB, which offers it (`qSymbol::`) when it has read a program,
  never again after that; a new process, or one that detects the system by itself (`-rtos auto`), has no threads until then;
- the threads are read at the end of that dialogue, for a connection, before a step and before a stop reply; not for `?`, a list
  or a `monitor halt`. Reading them forgets which one `Hg` has chosen. A stop chooses the thread that it names, as GDB does too;
- the id of a thread is an address in the target or the number of a core: the next process gives the same;
- GDB drops every thread that a list lacks, or all when it gets none (remote.c update_thread_list); without its selected one it
  does nothing any more ("Cannot execute this command without a live selected thread"), until a stop names another.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING

from .packets import OK, Row, is_error, monitor_request

if TYPE_CHECKING:
    from .replay import Heard, Part
    from .shadow import Shadow

MOST_SYMBOLS = 1024  # `-rtos auto` of 0.12 asks for about 150 names, with and without a suffix
MOST_LISTS = 64  # answers of one stop
# What a thread list of OpenOCD without a thread is, as a frame: bytes.
EMPTY_LIST = len(b'$l<?xml version="1.0"?>\n<threads>\n</threads>\n#00')

_OFFER = b"qSymbol::"
_TOLD = re.compile(rb"qSymbol:([0-9a-fA-F]{0,16}):([0-9a-fA-F]*)")
_ASKED = re.compile(rb"qSymbol:([0-9a-fA-F]+)")
_NAMED = re.compile(rb"(?:^T..|;)thread:([0-9a-fA-F]+)")
_CURRENT = re.compile(rb"QC0*([0-9a-fA-F]*)")
_UNREAD = b"QC" + 16 * b"0"  # there is a system, and OpenOCD has not read its threads; `QC0`: there is none
_NO_THREAD = b"7fffffff"
_NAME = re.compile(r"[\w.\-]+")  # of a target
_LIST = b"qXfer:threads:"
_LISTS = (_LIST, b"qfThreadInfo", b"qsThreadInfo", b"qThreadExtraInfo,")


def symbol(body: bytes) -> tuple[bytes, bytes] | None:
    """Return name (in hex) and address that a `qSymbol` of GDB tells; no address: GDB does not know it, no name: the offer."""
    found = _TOLD.fullmatch(body)
    return (found[2], found[1]) if found else None


def named(stop: bytes) -> bytes:
    """Return the id of the thread that a stop reply names; nothing when it names none."""
    found = _NAMED.search(stop)
    return found[1] if found else b""


def with_thread(stop: bytes, thread: bytes) -> bytes:
    """Return a stop reply that names the thread, if there is one: a GDB that knows several would take the first of them."""
    return b"T%b%bthread:%b;" % (stop[1:3], stop[3:], thread) if thread and not named(stop) else stop


def written_to(shadow: Shadow, body: bytes) -> bytes:
    """Return what identifies the register of a `P`: the `Hg…` that has chosen its thread, if one has, and its number."""
    return _general(shadow) + b"," + body.partition(b"=")[0]


def chooser(where: bytes) -> bytes:
    """Return the `Hg…` of what `written_to` gave, or nothing."""
    return where.partition(b",")[0]


def _general(shadow: Shadow) -> bytes:
    stopped = named(shadow.last_stop)
    return shadow.chosen or (b"Hg" + stopped if stopped else b"")


def is_listed(body: bytes, reply: bytes) -> bool:
    """Tell whether a reply is a list of threads, or part of one."""
    if not body.startswith(_LISTS) or is_error(reply):
        return False
    return len(reply) > EMPTY_LIST - len(b"$#00") or not body.startswith(_LIST)


def known(row: Row, body: bytes, shadow: Shadow) -> bytes | None:
    """Return what GDB was told about its threads since the stop; None when it has not asked. They stay until it resumes."""
    if not shadow.lists or shadow.running:
        return None
    if row.name == "T":
        thread = b'"%b"' % body[1:].lstrip(b"0")
        return OK if any(thread in reply for reply in shadow.lists.values()) else None
    return shadow.lists.get(body)


# --- dialogues ---


def learn(shadow: Shadow) -> Part:
    """Tell a backend what GDB has told the one before, which also makes it read the threads."""
    body = _OFFER if shadow.symbols else b""
    while body:
        asked = _ASKED.fullmatch((yield body).body)
        if asked is None or len(shadow.symbols) > MOST_SYMBOLS:
            return
        address = shadow.symbols.get(asked[1])
        if address is None and shadow.learning:
            return  # GDB's own answer to this is still to come, or to be sent again
        body = b"qSymbol:%b:%b" % (address or b"", asked[1])


def read(shadow: Shadow) -> Part:
    """Have a backend whose target is halted read the threads, although it misses a symbol and therefore did not.

    It does before a step. One of a thread that does not execute is answered by a stop at once, and not made: but only where it
    knows of a system at all.

    Which core of a group has stopped, a new process does not know: it takes the last one for it, and would not step GDB's.
    """
    stopped = named(shadow.last_stop)
    reply = (yield b"qC").body if stopped else b""
    if reply == _UNREAD:
        yield b"vCont;s:" + _NO_THREAD
    found = _CURRENT.fullmatch(reply)
    shadow.elsewhere = bool(found and found[1] and found[1] != stopped)


def step_there(shadow: Shadow) -> Part:
    """Step the core whose stop GDB has seen, by its name; OpenOCD then knows which one is meant."""
    shadow.elsewhere = False
    thread = named(shadow.last_stop)
    core = re.compile(rb'<thread id="%b" name="([\w.\-]+)"' % thread)
    name = next((found[1].decode() for reply in (shadow.lists or {}).values() if (found := core.search(reply))), "")
    before = (yield monitor_request("target current")).text.strip()
    if not name or (yield monitor_request(f"targets {name}")).body != OK:
        return
    stepped = yield monitor_request("step")
    if _NAME.fullmatch(before):
        yield monitor_request(f"targets {before}")
    if not is_error(stepped.body):
        shadow.forget_writes()
        shadow.stepped = thread


def choose(shadow: Shadow) -> Part:
    """Choose the thread whose registers GDB believes it reads; those of before a reset are no more."""
    for operation, body in list(shadow.threads.items()):
        if operation != b"Hg":
            yield body
    general = b"Hg0" if shadow.history or shadow.stale else _general(shadow) or shadow.threads.get(b"Hg", b"")
    if general:
        yield general


def current() -> Generator[bytes, Heard, bytes]:
    """Ask which thread the core executes; nothing where there are none."""
    found = _CURRENT.fullmatch((yield b"qC").body)
    return found[1] if found else b""
