"""`ocdsup VERB …`: finds the verb, imports its one file, runs it, turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS = {
    "run": "the daemon in the foreground",
    "demo": "the whole story on a simulated board, no hardware needed",
    "status": "what is going on",
    "why": "the diagnosis in plain words",
    "logs": "recent lines of OpenOCD and decisions of the supervisor",
    "restart": "restart a bench's OpenOCD",
    "stop": "take a bench's OpenOCD down and keep it down",
    "start": "bring a bench's OpenOCD back",
    "reload": "let the daemon read its configuration again",
    "probes": "every debug probe of the PC, and who holds it",
    "evict": "end whoever holds a bench's probe, as the policy allows",
    "lend": "free a bench's probe, run a command, take it back",
    "openocd": "the drop-in: OpenOCD's own arguments, on the supervised bench",
    "wait": "return when a bench's GDB port is usable",
    "check": "validate a configuration and show its effective values",
    "init": "write a first configuration from the probes that are plugged in",
    "ide": "what an IDE needs to use a bench's stable port",
    "install": "set ocdsup up as a service of this PC or of yours",
    "uninstall": "take that away again",
    "schema": "the JSON schema of the configuration",
    "front": "a stable GDB port in front of any other GDB server",
    "sim": "the simulated ST-LINK and board on their own",
}
"""Every verb with its line in `--help`; the verb's file is `ocdsup/cli/VERB.py`."""

FOREIGN = frozenset({"openocd"})
"""Verbs whose arguments are another program's: everything behind the verb is left as it is."""
LENDING = frozenset({"lend"})
"""Verbs that start a command: everything behind the first `--` is that command's."""

WITH_VALUE = frozenset({"-c", "--config", "--socket"})
EXIT_CODES = "exit codes: 0 done · 1 failed · 2 usage or configuration error · 3 daemon not running · 4 bench not usable"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if set(arguments) == {"--version", "--json"}:
        from ocdsup.cli import version

        return version.show()
    verb = verb_in(arguments)
    arguments, behind = behind_verb(verb, arguments)
    options = parser(verb).parse_args(arguments)
    options.behind = behind
    options.config = options.config or os.environ.get("OCDSUP_CONFIG")
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        code = run(options)
        sys.stdout.flush()
        if argv is None and options.quick_exit:
            os._exit(code)
    except BrokenPipeError:  # `ocdsup logs | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  (report() raises again what is not an error of ours)
        code = report(error)
    return code


def verb_in(arguments: Sequence[str]) -> str | None:
    """Return the verb among the arguments if it is a known one; options of `ocdsup` itself may come before it."""
    words = iter(arguments)
    for word in words:
        if word in WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word if word in VERBS else None
        elif word in {"-h", "--help"}:
            return None
    return None


def behind_verb(verb: str | None, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split off what argparse must not see; it would take options of the other program for ours."""
    mark = {True: verb, False: "--"}[verb in FOREIGN] if verb in FOREIGN | LENDING else None
    if mark is None or mark not in arguments:
        return arguments, []
    at = arguments.index(mark)
    return arguments[: at + (verb in FOREIGN)], arguments[at + 1 :]


class Parser(argparse.ArgumentParser):
    """A parser whose formatter is told its width: finding it out, argparse imports shutil with all its compressors (4 ms)."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        try:
            width = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(1).columns
        except (OSError, ValueError):
            width = 80
        return self.formatter_class(prog=self.prog, width=max(width - 2, 11))  # type: ignore[call-arg]  # HelpFormatter has it


def parser(verb: str | None) -> argparse.ArgumentParser:
    """Return the parser for one verb, or the one that lists them all."""
    from ocdsup import __version__

    top = Parser(prog="ocdsup", description="The OpenOCD supervisor.", epilog=EXIT_CODES)
    top.set_defaults(quick_exit=False)
    top.add_argument("--version", action="version", version=f"ocdsup {__version__}")
    _common(top, None)
    verbs = top.add_subparsers(prog="ocdsup", metavar="VERB", required=True, title="verbs")
    if verb is None:
        for name, text in VERBS.items():
            verbs.add_parser(name, help=text)
        return top
    from importlib import import_module

    import_module(f"ocdsup.cli.{verb}").add_parser(verbs)
    _common(verbs.choices[verb], argparse.SUPPRESS)
    return top


def _common(one: argparse.ArgumentParser, default: str | None) -> None:
    """Add the options that may stand before and after the verb; a verb that has its own keeps it."""
    taken = one._option_string_actions  # argparse has no public way to ask
    if "-c" not in taken:
        one.add_argument("-c", "--config", metavar="FILE", default=default, help="configuration (OCDSUP_CONFIG)")
    if "--socket" not in taken:
        one.add_argument("--socket", metavar="PATH", default=default, help="control socket (OCDSUP_SOCKET)")


def report(error: Exception) -> int:
    """Print an error of the package's tree and return its exit code; raise any other, which is a bug."""
    errors = sys.modules.get("ocdsup.errors")  # never imported: then this cannot be one of its errors
    if errors is None or not isinstance(error, errors.OcdsupError):
        raise error
    from ocdsup.control.codes import EXIT_CODES, FAILED, USAGE

    if isinstance(error, errors.ConfigError):
        print(error, file=sys.stderr)
        return FAILED if error.unread else USAGE  # systemd does not try again after USAGE (RestartPreventExitStatus=)
    print(f"ocdsup: {error}", file=sys.stderr)
    return EXIT_CODES.get(error.code, FAILED) if isinstance(error, errors.ControlError) else FAILED
