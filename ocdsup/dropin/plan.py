"""What a command line wants of a bench: a server, or something done once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ocdsup.dropin.arguments import Item, Kind
from ocdsup.dropin.commands import Statement, What, ends, statements
from ocdsup.dropin.ending import DEFAULT_FILE, FileText, dangers, flat, later, marked

DEFAULT_PORTS = {"gdb": "3333", "telnet": "4444", "tcl": "6666"}
_SETS_UP = frozenset({What.PORT, What.PROBE, What.FILE, What.CONFIG})
_NOT_THERE = frozenset({What.ECHO, What.FILE_WORK, What.DOUBT})  # said by the drop-in, or done by the real OpenOCD
_NAME = re.compile(r"[\w:]+")


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` are the configuration files by name, `search` the folders to look in, `ports` what was asked for each service.

    `steps` are the statements of `-c` with an effect, and each `set` that they need, in their order. `once`: OpenOCD is to end
    behind them. `flashes`: they read or write a file of the caller. `doubt`: only OpenOCD can tell whether they end it.
    `works`: a configuration file does more than to set OpenOCD up. `parting`: OpenOCD ends when GDB goes, and does this first.
    `left_out` is what sets OpenOCD up, which is the affair of the bench's configuration.
    """

    files: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    serial: str | None = None
    location: str | None = None
    ports: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Statement, ...] = ()
    left_out: tuple[str, ...] = ()
    once: bool = False
    flashes: bool = False
    doubt: bool = False
    works: bool = False
    log_file: str | None = None
    parting: str | None = None

    def port(self, service: str) -> str:
        """What a service is to listen on: a number, `pipe`, or `disabled`."""
        return self.ports.get(service, DEFAULT_PORTS[service])


def plan(items: Sequence[Item], files: Mapping[str, FileText] | None = None) -> Plan:
    """Return what the items of a command line want; `files` are the texts of the configuration files, by the names used."""
    files = files or {}
    met = flat(items, files)
    known = dangers(met)
    met = marked(met, known, files)
    over = next((at for at, one in enumerate(met) if ends(one) or later(one, known)), None)
    met = met if over is None else met[: over + 1]
    by_key, steps = _probe(met), _steps(met)
    return Plan(
        files=tuple(_files(items)),
        search=tuple(item.text for item in items if item.kind is Kind.SEARCH),
        serial=by_key.get("serial"),
        location=by_key.get("location"),
        ports={one.key: one.value for one in met if one.what is What.PORT},
        steps=steps,
        left_out=tuple(_left_out(items, steps)),
        once=over is not None,
        flashes=any(one.what is What.FILE_WORK for one in met),
        doubt=any(one.what is What.DOUBT for one in met),
        works=any(one.origin and one.what not in _SETS_UP | {What.ECHO} for one in met),
        parting=next((one.value for one in reversed(met) if one.what is What.PARTING), None),
        log_file=next((item.text for item in reversed(items) if item.kind is Kind.LOG), None),
    )


_VARIABLE = re.compile(r"\$\{?([\w:]+)\}?")


def _probe(some: Sequence[Statement]) -> dict[str, str]:
    """The serial and the location that are asked for; one in a variable is known if a plain `set` stands before it."""
    known, found = dict[str, str](), dict[str, str]()
    for one in some:
        if one.words[:1] == ("set",) and len(one.words) == 3:
            known[one.words[1]] = one.words[2]
        if one.what is What.PROBE:
            variable = _VARIABLE.fullmatch(one.value)
            value = known.get(variable[1]) if variable else one.value
            found |= {one.key: value} if value is not None else {}
    return found


def _steps(some: Sequence[Statement]) -> tuple[Statement, ...]:
    """What the bench is to do; a `set` is part of it if something later that is done there names its variable."""
    found, named = list[Statement](), set[str]()
    for one in reversed([one for one in some if not one.origin]):
        if one.what in _SETS_UP and _variable(one) not in named:
            continue
        found.append(one)
        if one.what not in _NOT_THERE:
            named |= {word.removeprefix("::") for word in _NAME.findall(one.text)}
    return tuple(reversed(found))


def _variable(one: Statement) -> str | None:
    """The variable, or the array, that a `set` of the set-up gives a value."""
    is_set = one.what is What.CONFIG and one.words[0] == "set" and len(one.words) == 3
    return one.words[1].partition("(")[0].removeprefix("::") if is_set else None


def _left_out(items: Sequence[Item], steps: Sequence[Statement]) -> Iterator[str]:
    done = {one.text for one in steps}
    for item in items:
        if item.kind is Kind.DEBUG:
            yield f"-d{item.text}"
        elif item.kind is Kind.COMMAND:
            yield from (one.text for one in statements(item.text) if one.what is What.CONFIG and one.text not in done)


def _files(items: Sequence[Item]) -> list[str]:
    found: list[str] = []
    for item in items:
        if item.kind is Kind.FILE:
            found.append(item.text)
        elif item.kind is Kind.COMMAND:
            found += [one.value for one in statements(item.text) if one.what is What.FILE]
    return found if any(item.kind in {Kind.FILE, Kind.COMMAND} for item in items) else [DEFAULT_FILE]


def pinned(
    items: Sequence[Item],
    pins: Sequence[str],
    *,
    once: bool,
    works: bool = False,
    flashes: bool = False,
    reached: str | None = None,
) -> list[Item]:
    """Return the items of a run of the real OpenOCD on the bench's probe: exactly this probe, and none of our ports.

    The pins go behind everything that sets OpenOCD up, and before the first statement that needs the target; where nothing can
    name an adapter there are none. With `works` that statement may stand in a file, and the first `init` brings them. With
    `once` a `shutdown` is added, for a command line that would go on as a server; `reached` is a file in Tcl quotes that is
    made then, if nothing before it has ended OpenOCD.
    """
    if not any(item.kind in {Kind.FILE, Kind.COMMAND} for item in items):
        items = [*items, Item(Kind.FILE, DEFAULT_FILE)]  # OpenOCD reads it only while there is no -c
    scripts = [*(pins if _may_have_adapter(items) else []), *(f"{service}_port disabled" for service in DEFAULT_PORTS)]
    if works:
        line = [_command(_AT_INIT % "; ".join(scripts)), *items]
    else:
        before, behind = _halves(items)
        line = [*before, *map(_command, scripts), *behind]
    if reached is not None:
        return [_command(_NOTICE), *line, *([_command(_REST)] if flashes else []), _command(_REACHED % reached)]
    return [*line, *([_command("shutdown")] if once else [])]


# How a `-c` may come to an adapter: its driver, a file that names it, or text that only OpenOCD can read.
_ADAPTER = re.compile(r"adapter|interface|hla|link|source|script|eval|[$\[\\]|\{\*\}", re.IGNORECASE)


def _may_have_adapter(items: Sequence[Item]) -> bool:
    """Whether there may be a probe to select. Without an adapter its commands are errors, and OpenOCD opens no probe."""
    return any(item.kind is Kind.FILE or (item.kind is Kind.COMMAND and _ADAPTER.search(item.text)) for item in items)


# OpenOCD runs `init` itself when nothing else does (openocd.c), and `program` does (startup.tcl): the name is looked up then.
_AT_INIT = (
    "rename init _ocdsup_init; "
    "proc init {args} {rename init {}; rename _ocdsup_init init; uplevel #0 {%s}; tailcall init {*}$args}; list"
)
# A `shutdown` inside of `catch` ends OpenOCD behind the command line, and leaves no other trace.
_NOTICE = (
    "rename shutdown _ocdsup_shutdown; proc shutdown {args} {set ::_ocdsup_over 1; tailcall _ocdsup_shutdown {*}$args}; list"
)

# An OpenOCD that ends behind `program` leaves the registers of its flash loader in the core (0.12); one that goes on as a
# server shows those of the reset that `program` begins with.
_REST = "foreach t [target names] {if {[$t curstate] eq {halted}} {catch {reset init}; break}}"
_REACHED = "if {![info exists ::_ocdsup_over]} {close [open %s w]}; shutdown"


def _command(script: str) -> Item:
    return Item(Kind.COMMAND, script)


def _halves(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    last_file = max((at for at, item in enumerate(items) if item.kind is Kind.FILE), default=-1)
    for at, item in enumerate(items):
        parts = statements(item.text) if item.kind is Kind.COMMAND else []
        early_words = _SETS_UP | {What.ECHO} | ({What.WORK} if at < last_file else set())  # what a file needs is no work yet
        first = next((number for number, one in enumerate(parts) if one.what not in early_words), None)
        if first is not None:
            head, tail = parts[:first], parts[first:]
            early = [Item(Kind.COMMAND, "; ".join(one.text for one in head))] if head else []
            late = Item(Kind.COMMAND, "; ".join(one.text for one in tail)) if head else item
            return [*items[:at], *early], [late, *items[at + 1 :]]
    return list(items), []
