"""`ocdsup openocd …`, installed as `ocdsup-openocd`: takes OpenOCD's own arguments and lands on the supervised bench.

A server (an IDE's debug session) is a bridge from the ports that were asked for to the bench's stable ports: it dies without
hurting anything. Something done once (`program … exit`) borrows the probe and runs the real OpenOCD with the same command line,
bound to this probe: its output, its exit code, the caller's rights to his files, the caller's configuration. Run over the
bench's own OpenOCD it could only imitate those: log lines are not part of a Tcl result, and paths and rights would be the
daemon's. Whatever is not understood goes to the real OpenOCD as it is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocdsup.cli import real_openocd
from ocdsup.cli.client import Client, default_socket
from ocdsup.control.codes import EXIT_CODES
from ocdsup.control.render import safe
from ocdsup.dropin import arguments, lines, match
from ocdsup.dropin.plan import Plan, pinned, plan
from ocdsup.errors import ControlError, OcdsupError
from ocdsup.openocd import pin
from ocdsup.openocd.tcl import tcl_quote

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INSIDE = ("OCDSUP_BACKEND", "OCDSUP_LEASE")  # we are the daemon's own OpenOCD, or have the probe already


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb; its arguments are OpenOCD's."""
    verb = verbs.add_parser("openocd", add_help=False, description="OpenOCD's own arguments, on the supervised bench.")
    verb.set_defaults(run=lambda options: _guarded(options.behind, options.socket))


def main() -> int:
    """Be `ocdsup-openocd`, or `openocd` itself in somebody's PATH."""
    return _guarded(sys.argv[1:], None)


def _guarded(argv: Sequence[str], socket: str | None) -> int:
    try:
        return run(argv, socket)
    except KeyboardInterrupt:
        return 130
    except OcdsupError as error:
        say(lines.error(str(error)))
        code = EXIT_CODES.get(error.code, 1) if isinstance(error, ControlError) else 1
        return min(code, 1)  # OpenOCD knows no other failure


def run(argv: Sequence[str], socket: str | None = None) -> int:
    """Carry out one command line; returns the exit code. Raises OcdsupError."""
    if any(name in os.environ for name in INSIDE):
        real_openocd.become(argv)
    parsed = arguments.parse(argv)
    if parsed.question or parsed.wrong:
        real_openocd.become(argv)
    try:
        client = Client(socket or default_socket(os.environ, os.geteuid()), for_ever=True)
    except ControlError as error:
        if error.code == "silent":  # a daemon that hangs has its probes all the same
            raise
        say(lines.note(f"{error}; the real OpenOCD runs without supervision"))
        real_openocd.become(argv)
    with client:
        return Job(client, socket, list(argv), parsed.items).run()


@dataclass(slots=True)
class Job:
    """One command line and the daemon that may have a bench for it."""

    client: Client
    socket: str | None
    argv: list[str]
    items: tuple[arguments.Item, ...]

    def run(self) -> int:
        """Find the bench and do it there, or elsewhere."""
        benches: list[dict[str, Any]] = self.client.request("benches")["benches"]
        first = plan(self.items)
        files = real_openocd.Files(first.search)
        wanted = plan(self.items, files.texts(first.files, _read_by(benches)))
        asked = match.Named(wanted.serial, wanted.location, files.names(wanted.files))
        match match.find(asked, [_candidate(bench) for bench in benches]):
            case match.Meant(name, why):
                bench = next(bench for bench in benches if bench["name"] == name)
                return self._on(bench, wanted, files, why)
            case match.Elsewhere(why, touches):
                return self._elsewhere(why, touches)
            case match.Unclear(names):
                hint = "add -c 'adapter serial …' of the probe you mean"
                raise OcdsupError(f"choose between {', '.join(names)}", "this command line fits all of them", hint)

    def _elsewhere(self, why: str, touches: tuple[str, ...]) -> int:
        """No bench: the real OpenOCD, with the probe lent to it if it could take a supervised one."""
        if not touches:
            real_openocd.become(self.argv)
        if len(touches) > 1:
            names = ", ".join(touches)
            raise OcdsupError(
                f"keep {names} apart", f"{why}, and OpenOCD would take the first probe it finds", "add the serial"
            )
        say(lines.note(f"{why}; the real OpenOCD runs, and {touches[0]} lends its probe meanwhile"))
        return self._borrow(touches[0], [real_openocd.find(), *self.argv])

    def _on(self, bench: dict[str, Any], wanted: Plan, files: real_openocd.Files, why: str) -> int:
        if wanted.once:
            return self._borrow(bench["name"], self._real(bench, wanted))
        if wanted.flashes or wanted.doubt:  # what only the real one can do, or can tell, comes first, and then the server
            code, served = self._first(bench, wanted)
            if not served:
                return code
        from ocdsup.cli.dropin_server import Server

        server = Server(self.client, self.socket, bench, wanted, files.scripts(wanted.files), why)
        return server.run(files.unread(wanted.files, _candidate(bench).files))

    def _first(self, bench: dict[str, Any], wanted: Plan) -> tuple[int, bool]:
        """Run the real one to the end of the command line; returns its exit code, and whether it would have served then."""
        with tempfile.TemporaryDirectory(prefix="ocdsup-") as folder:
            reached = os.path.join(folder, "reached")
            code = self._borrow(bench["name"], self._real(bench, wanted, tcl_quote(reached)))
            return code, code == 0 and os.path.exists(reached)

    def _real(self, bench: dict[str, Any], wanted: Plan, reached: str | None = None) -> list[str]:
        """The caller's own OpenOCD on the bench's probe. The daemon says which probe that is, and nothing that is executed."""
        program = real_openocd.find()
        if real_openocd.another(str(bench["binary"]), program):
            own = safe(str(bench["binary"]))
            say(lines.note(f"{program} is run; {bench['name']} itself has {own}, which {real_openocd.OVERRIDE} could name"))
        pins = pin.heard(bench.get("pin")).tcl(real_openocd.version(program))
        run = pinned(self.items, pins, once=False, works=wanted.works, flashes=wanted.flashes, reached=reached)
        return [program, *arguments.spell(run)]

    def _borrow(self, bench: str, command: list[str]) -> int:
        from ocdsup.cli.lend import borrow

        with Client(self.socket or default_socket(os.environ, os.geteuid()), for_ever=True) as client:
            return borrow(client, bench, command)


def _read_by(benches: Sequence[dict[str, Any]]) -> frozenset[Path]:
    """The files that a bench's own OpenOCD has read, and lives."""
    known = [real_openocd.Files(bench["search"]).paths(bench["config"]) for bench in benches]
    return frozenset().union(*known)


def _candidate(bench: dict[str, Any]) -> match.Candidate:
    probe = bench["probe"]
    names = real_openocd.Files(bench["search"]).names(bench["config"])
    return match.Candidate(bench["name"], probe.get("serial"), probe.get("location"), names)


def say(text: str) -> None:
    """A line on stderr, where OpenOCD has all of its lines."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
