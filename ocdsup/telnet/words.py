"""The words after `ocdsup` on a telnet line → a control verb with its arguments, or a sentence for the user."""

from dataclasses import dataclass, field

_WORDS = """\
ocdsup status [--json]          what is going on
ocdsup why                      the diagnosis in plain words
ocdsup logs [N]                 the last N lines of OpenOCD and of the supervisor (20)
ocdsup restart [--under-reset]  restart OpenOCD, with NRST held if asked
ocdsup stop | start             take OpenOCD down and keep it down | bring it back
                                (restart and stop with --force: even while flash is written)
ocdsup evict                    end whoever else holds the probe, as the policy allows
ocdsup lend SECONDS | resume    leave the probe to another tool for a while | take it back
ocdsup help                     this text
"""
HELP = f"""{_WORDS}\
exit                            close this session
Any other line goes to OpenOCD's own console."""
MONITOR_HELP = f"""{_WORDS}\
Any other `monitor` line goes to OpenOCD."""

LOGS_LIMIT = 10_000
LEND_LIMIT = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Own:
    """A request to the supervisor: a verb of `control.verbs` and its arguments."""

    verb: str
    args: dict[str, bool | int | float] = field(default_factory=dict)


FLAGS = {
    "status": {"--json": "json"},
    "restart": {"--under-reset": "under_reset", "--force": "force"},
    "stop": {"--force": "force"},
}
NUMBERS = {"logs": ("lines", LOGS_LIMIT, False), "lend": ("seconds", LEND_LIMIT, True)}
"""Verbs that take one whole number: name of the argument, largest value, must it be given."""
PLAIN = frozenset({"why", "start", "evict", "resume"})


def parse(words: tuple[str, ...]) -> Own | str:
    """Return the request that `words` (without `ocdsup`) make, or the text that answers them at once."""
    verb, rest = (words[0], words[1:]) if words else ("help", ())
    if verb in FLAGS:
        return _flags(verb, rest)
    if verb in NUMBERS:
        return _number(verb, rest)
    if verb in PLAIN:
        return f"ocdsup: {verb} takes no arguments" if rest else Own(verb)
    return HELP if verb in {"help", "--help", "-h"} else "ocdsup: unknown word; `ocdsup help` lists them"


def _flags(verb: str, rest: tuple[str, ...]) -> Own | str:
    known = FLAGS[verb]
    if any(word not in known for word in rest):
        return f"ocdsup: {verb} knows only {' '.join(known)}"
    return Own(verb, {known[word]: True for word in rest})


def _number(verb: str, rest: tuple[str, ...]) -> Own | str:
    name, limit, needed = NUMBERS[verb]
    if not rest and not needed:
        return Own(verb)
    digits = rest[0] if len(rest) == 1 else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) < 7 and 1 <= int(digits) <= limit):
        return f"ocdsup: {verb} needs a whole number from 1 to {limit}"
    return Own(verb, {name: int(digits)})
