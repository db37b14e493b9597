"""`ocdsup lend BENCH [--for 5m] -- CMD …`: free the probe, run CMD, take the probe back; exit code of CMD.

The loan is the connection to the daemon: whoever holds it is served, and when it closes the probe is taken back. A command runs
under a guard (`borrower`), a process of its own that holds the connection as well and ends the command when this process is
killed, so that the daemon never reaches for a probe that is still in use.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any

from ocdsup.cli.ask import connect
from ocdsup.cli.wait import duration
from ocdsup.control.render import safe
from ocdsup.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocdsup.cli.client import Client

_LOOKS = {
    "bench": re.compile(r"[a-z][a-z0-9-]*"),
    "serial": re.compile(r"[A-Za-z0-9._:+=@%,/ -]{1,126}"),
    "vid_pid": re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}"),
    "location": re.compile(r"[0-9]+-[0-9]+(?:\.[0-9]+)*"),
    "server": re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}"),
    "node": re.compile(r"[0-9]{1,3}:[0-9]{1,3}"),
}
BY_LIMIT = 200  # characters of a command line that the status shows


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "lend",
        description="Free a bench's probe for another tool, and take it back when the command ends, or on Ctrl-C without one.",
        usage="ocdsup lend BENCH [--for TIME] [--force] [-- CMD …]",
    )
    verb.add_argument("bench", metavar="BENCH")
    verb.add_argument("--for", dest="limit", type=duration, default=None, metavar="TIME", help="at most so long, as 30s or 5m")
    verb.add_argument("--force", action="store_true", help="even while a flash operation runs")
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Borrow the probe, and give it back; inside a loan of this bench the command has it already."""
    if options.behind and os.environ.get("OCDSUP_LEASE") == options.bench:
        return _have_it(options.behind)
    with connect(options, for_ever=True) as client:
        return borrow(client, options.bench, options.behind, options.limit, force=options.force)


def _have_it(command: Sequence[str]) -> int:
    """Become the command: a second loan would wait for the first one, which waits for this command."""
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - a shell is what this must not go through
    except OSError as error:
        say(f"cannot run {command[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126


def borrow(client: Client, bench: str, command: Sequence[str], limit_s: float | None = None, *, force: bool = False) -> int:
    """Borrow a probe over an open connection and run `command` with it, or hold it until a signal; returns the exit code.

    Raises ControlError when the daemon refuses.
    """
    news = client.stream("lend", bench, request(command, limit_s, force=force))
    probe = granted(news, bench)
    if not command:
        return _hold(news, bench)
    from ocdsup.cli.borrower import Borrower, CannotStartError

    try:
        return Borrower(command, {**os.environ, **environment(bench, probe)}, client, news).run()
    except CannotStartError as error:
        say(str(error))
        return error.code


def request(command: Sequence[str], limit_s: float | None, *, force: bool) -> dict[str, object]:
    """Return the arguments of the verb."""
    by = safe(shlex.join(command) or "ocdsup lend").replace("\n", " ")
    args: dict[str, object] = {"hold": True, "by": by if len(by) <= BY_LIMIT else by[: BY_LIMIT - 1] + "…"}
    if limit_s is not None:
        args["seconds"] = limit_s
    return {**args, "force": True} if force else args


def granted(news: Iterator[Any], bench: str) -> Mapping[str, Any]:
    """Wait for our turn; returns what is known of the probe. Raises ControlError when it never comes."""
    for event in news:
        match event.get("step"):
            case "waiting":
                before = event["place"]
                say(f"{bench} is lent to {event['borrower']}; {before} borrower{'s' if before > 1 else ''} before this one")
            case "granted":
                probe: Mapping[str, Any] = event["probe"]
                return probe
            case _:
                break
    raise ControlError("refused", f"borrow the probe of {bench}", "the loan was over before it began", "try again")


def environment(bench: str, probe: Mapping[str, Any]) -> dict[str, str]:
    """What tells a command which probe is meant: for scripts, and what tools read by themselves.

    PROBE_RS_PROBE: probe-rs, src/bin/probe-rs/util/common_options.rs. STLINK_DEVICE and, after 1.7.0, STLINK_SERIAL: stlink
    tools, src/stlink-lib/usb.c. pyOCD, OpenOCD and STM32_Programmer_CLI read none: give them the serial as an argument.

    Scripts put these into commands of shell and Tcl, so a value that is not what it is called, or has a character that means
    something there, is left out.
    """
    told = {"bench": bench, **probe}
    known = {key: str(told[key]) for key, looks in _LOOKS.items() if looks.fullmatch(str(told.get(key) or ""))}
    serial, vid_pid, node = known.get("serial"), known.get("vid_pid"), known.get("node")
    named = {
        "OCDSUP_LEASE": known.get("bench"),
        "OCDSUP_PROBE_SERIAL": serial,
        "OCDSUP_PROBE_VID_PID": vid_pid,
        "OCDSUP_PROBE_LOCATION": known.get("location"),
        "OCDSUP_PROBE_SERVER": known.get("server"),
        "PROBE_RS_PROBE": ":".join(filter(None, (vid_pid, serial))) if vid_pid else None,
    }
    if vid_pid and vid_pid.startswith("0483:"):
        named |= {"STLINK_SERIAL": serial, "STLINK_DEVICE": node}
    return {name: value for name, value in named.items() if value}


def _hold(news: Iterator[Any], bench: str) -> int:
    """Keep the probe until Ctrl-C, SIGTERM, or the end of the loan."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say(f"the probe of {bench} is free; Ctrl-C gives it back")
    try:
        for event in news:
            if event.get("step") in {"over", "let-go"}:
                say(f"the loan is over: {event['why']}")
                return 0
    except KeyboardInterrupt:
        say("the probe goes back")
        return 0
    return 1


def say(text: str) -> None:
    """One line for a person; stdout belongs to the command."""
    print(f"ocdsup: {safe(text)}", file=sys.stderr, flush=True)
