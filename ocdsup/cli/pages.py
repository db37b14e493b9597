"""The bash completion and the manual page, from the parsers: `python -m ocdsup.cli.pages` writes both into `share/`."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ocdsup import __version__
from ocdsup.cli.main import EXIT_CODES, VERBS, parser

COMMON = ("-c", "--config", "--socket", "-h", "--help")
_FILES = frozenset({"FILE", "PATH"})
_BENCHES = frozenset({"BENCH"})


@dataclass(frozen=True, slots=True)
class Argument:
    """One option or operand: its spellings, what its value is called, the values it may have, its line of help."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb as its parser has it."""

    name: str
    text: str
    arguments: tuple[Argument, ...]


def verbs() -> tuple[Verb, ...]:
    """Every verb, read from its own parser."""
    return tuple(_verb(name) for name in VERBS)


def _verb(name: str) -> Verb:
    import_module(f"ocdsup.cli.{name}")
    top = parser(name)
    groups = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]  # no public way to ask
    own: argparse.ArgumentParser = groups[0].choices[name]
    return Verb(name, VERBS[name], tuple(_argument(action) for action in own._actions if action.help != argparse.SUPPRESS))


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(str(choice) for choice in action.choices or ())
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    return Argument(tuple(action.option_strings), value, choices, action.help or "")


# ---- bash ----


def bash() -> str:
    """A completion for bash: verbs, options, choices, files, and the names of benches that the daemon tells."""
    cases = "\n".join(_case(verb) for verb in verbs())
    return f"""\
# bash completion for ocdsup {__version__}; generated from its parsers
_ocdsup_benches() {{
    ocdsup status --json 2>/dev/null | tr '{{' '\\n' | sed -n 's/^"name": "\\([a-z][a-z0-9-]*\\)", "desired".*/\\1/p'
}}

_ocdsup() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} verb= at words= files= benches=
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${{COMP_WORDS[at]}} in
            -c | --config | --socket) ((at++)) ;;
            -*) ;;
            *) verb=${{COMP_WORDS[at]}}; break ;;
        esac
    done
    case $before in -c | --config | --socket) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
    case $verb in
        '') words='{" ".join((*VERBS, *COMMON, "--version"))}' ;;
{cases}
    esac
    [[ $benches && $word != -* ]] && words+=" $(_ocdsup_benches)"
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ $files && $word != -* ]] && COMPREPLY+=($(compgen -f -- "$word"))
}}
complete -o filenames -F _ocdsup ocdsup
"""


def _case(verb: Verb) -> str:
    flags = [flag for argument in verb.arguments for flag in argument.flags]
    choices = [choice for argument in verb.arguments if not argument.flags for choice in argument.choices]
    operands = {argument.value for argument in verb.arguments if not argument.flags}
    extra = " files=1" * bool(operands & _FILES) + " benches=1" * bool(operands & _BENCHES)
    return f"        {verb.name}) words='{' '.join([*flags, *choices])}'{extra} ;;"


# ---- manual page ----


def manual() -> str:
    """The manual page, as man(7) has it."""
    lines = [
        f'.TH OCDSUP 1 "" "ocdsup {__version__}" "User Commands"',
        ".SH NAME",
        "ocdsup \\- keeps OpenOCD, the debug probe and the debug session alive, behind ports that never move",
        ".SH SYNOPSIS",
        ".B ocdsup",
        "[\\fB\\-c\\fR \\fIFILE\\fR] [\\fB\\-\\-socket\\fR \\fIPATH\\fR] \\fIVERB\\fR \\&...",
        ".SH VERBS",
        *(line for verb in verbs() for line in _manual_verb(verb)),
        ".SH EXIT STATUS",
        _roff(EXIT_CODES.partition(": ")[2] + "."),
        ".SH ENVIRONMENT",
        *_term("\\fBOCDSUP_CONFIG\\fR", "The configuration, as with \\fB\\-c\\fR."),
        *_term("\\fBOCDSUP_SOCKET\\fR", "The control socket, as with \\fB\\-\\-socket\\fR."),
        *_term("\\fBNO_COLOR\\fR", "No colours."),
        ".SH FILES",
        *_term("\\fI/etc/ocdsup/ocdsup.yaml\\fR, \\fI~/.config/ocdsup/ocdsup.yaml\\fR", "The configuration."),
        *_term("\\fI/run/ocdsup/control.sock\\fR", "The control socket of the system service."),
        ".SH SEE ALSO",
        ".BR openocd (1),",
        ".BR gdb (1),",
        ".BR systemd.service (5)",
    ]
    return "\n".join(lines) + "\n"


def _manual_verb(verb: Verb) -> list[str]:
    lines = [f".SS {_roff(_usage(verb))}", _roff(verb.text[0].upper() + verb.text[1:] + ".")]
    for argument in verb.arguments:
        if not set(argument.flags) & set(COMMON) and (argument.text or argument.choices):
            names = ", ".join(f"\\fB{_roff(flag)}\\fR" for flag in argument.flags)
            shown = f"{names} \\fI{_roff(argument.value)}\\fR" if argument.value else names
            lines += _term(shown.strip(), _roff(_text(argument)))
    return lines


def _text(argument: Argument) -> str:
    return argument.text.replace("%%", "%") or "one of " + ", ".join(argument.choices)


def _usage(verb: Verb) -> str:
    operands = [argument.value for argument in verb.arguments if not argument.flags]
    return " ".join([verb.name, *operands])


def _term(name: str, text: str) -> list[str]:
    return [".TP", name, text]


def _roff(text: str) -> str:
    """Text as troff takes it: hyphens that can be copied, no line that begins as a request."""
    text = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("·", "\\(bu")
    return f"\\&{text}" if text.startswith((".", "'")) else text


PAGES = {"ocdsup.bash": bash, "ocdsup.1": manual}


def main() -> int:
    """Write both."""
    share = Path(__file__).parents[1] / "share"
    for name, make in PAGES.items():
        (share / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
