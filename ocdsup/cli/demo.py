"""`ocdsup demo`: simulated ST-LINK, board and daemon, without hardware and without a configuration."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import threading
from pathlib import Path

from ocdsup.cli.front import port
from ocdsup.control.render import safe
from ocdsup.demo.stage import Stage
from ocdsup.demo.story import firmware, play
from ocdsup.sim.faults import FAULTS

GUIDE = """\
{summary}

  GDB      gdb-multiarch {elf} -ex 'target extended-remote localhost:{gdb}'
  telnet   telnet localhost {telnet}        (try: ocdsup status, ocdsup why, targets)
  status   {ocdsup} --socket {control} status    (why, logs -f, restart demo, …)
  faults   {ocdsup} sim --control {sim} break locked    (silent, sleeping, hang, unplugged, …; `heal` ends them)

Ctrl-C ends it. What ocdsup does meanwhile:
"""

_UNTOLD = frozenset({"level", "bench", "argv"})  # there is one bench, and its command line fills a screen


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("demo", description="The whole job on a simulated ST-LINK and board; no hardware needed.")
    verb.add_argument("--once", action="store_true", help="play the story once; exit 0 if all of it was true")
    verb.add_argument("--gdb-port", type=port, default=None, metavar="N", help="stable GDB port (3333; with --once any)")
    verb.add_argument("--telnet-port", type=port, default=None, metavar="N", help="stable telnet port (4444; with --once any)")
    verb.add_argument("--dap", action="store_true", help="OpenOCD's direct ST-LINK driver instead of HLA")
    verb.add_argument(
        "--fault",
        metavar="NAME",
        choices=sorted(FAULTS),
        help="break the board in this way once it is up (see `ocdsup sim --help`)",
    )
    verb.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play the story once, or run until Ctrl-C."""
    spare = (0, 0) if options.once else (3333, 4444)
    gdb = options.gdb_port if options.gdb_port is not None else spare[0]
    telnet = options.telnet_port if options.telnet_port is not None else spare[1]
    with Stage(gdb, telnet, dap=options.dap) as stage:
        if options.once:
            told = play(stage, lambda line: print(line, flush=True))
            print("every step really happened" if told else "the story broke off", flush=True)
            return 0 if told else 1
        return _stay(stage, options.fault)


def _stay(stage: Stage, fault: str | None) -> int:
    print(stage.start_sim())
    stage.start_daemon()
    bench = stage.await_bench("get the bench ready", lambda b: b["phase"] not in {"starting", "recovering"})
    if bench["phase"] != "ready":
        print(stage.ask("why")["text"], file=sys.stderr)
        return 4
    ports = bench["ports"]
    print(
        GUIDE.format(
            ocdsup=command(),
            summary=bench["summary"],
            elf=firmware(),
            gdb=ports["gdb"][0],
            telnet=ports["telnet"],
            control=stage.control,
            sim=stage.sim_control,
        )
    )
    if fault:
        print(f"breaking the board: {fault}")
        stage.tell_sim({"break": fault})
    _follow(stage)
    return 0


def command() -> str:
    """Our own command as it can be typed here: in a clone it is in the virtual environment, and not on the PATH."""
    own = Path(sys.executable).with_name("ocdsup")
    if shutil.which("ocdsup") == str(own):
        return "ocdsup"
    shown = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
    return str(shown) if own.exists() else f"{sys.executable} -m ocdsup"


def _follow(stage: Stage) -> None:
    """Show the daemon's decisions until a signal comes."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with stage.daemon.output.open(errors="replace") as log:
        unfinished = ""
        while not over.wait(0.2):
            *lines, unfinished = (unfinished + log.read()).split("\n")
            for line in lines:
                print(readable(line), flush=True)


def readable(line: str) -> str:
    """A line of the daemon's log for people: it writes JSON into files."""
    try:
        event = json.loads(line)
        at, name = str(event.pop("timestamp"))[11:23], event.pop("event")
    except (ValueError, LookupError, TypeError, AttributeError):
        return safe(line)
    fields = (f"{key}={value}" for key, value in event.items() if key not in _UNTOLD)
    return safe(" ".join((at, str(name), *fields)).replace("\n", " "))
