"""What a command line wants of a bench: a server, or something done once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ocdsup.dropin.arguments import Item, Kind
from ocdsup.dropin.commands import Statement, What, ends, statements

DEFAULT_PORTS = {"gdb": "3333", "telnet": "4444", "tcl": "6666"}
_SETS_UP = frozenset({What.PORT, What.PROBE, What.FILE, What.CONFIG})


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` are the configuration files by name, `search` the folders to look in, `ports` what was asked for each service.

    `steps` are the statements with an effect, in their order. `once`: OpenOCD is to end behind them. `flashes`: they read or
    write a file of the caller. `left_out` is what sets OpenOCD up, which is the affair of the bench's configuration.
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
    log_file: str | None = None

    def port(self, service: str) -> str:
        """What a service is to listen on: a number, `pipe`, or `disabled`."""
        return self.ports.get(service, DEFAULT_PORTS[service])


def plan(items: Sequence[Item]) -> Plan:
    """Return what the items of a command line want."""
    all_of_it = [one for item in items if item.kind is Kind.COMMAND for one in statements(item.text)]
    by_key = {one.key: one.value for one in all_of_it if one.what is What.PROBE}
    steps = [one for one in all_of_it if one.what not in _SETS_UP]
    over = next((at for at, one in enumerate(steps) if ends(one)), None)
    return Plan(
        files=tuple(_files(items)),
        search=tuple(item.text for item in items if item.kind is Kind.SEARCH),
        serial=by_key.get("serial"),
        location=by_key.get("location"),
        ports={one.key: one.value for one in all_of_it if one.what is What.PORT},
        steps=tuple(steps if over is None else steps[: over + 1]),
        left_out=tuple(_left_out(items)),
        once=over is not None,
        flashes=any(one.what is What.FILE_WORK for one in steps),
        log_file=next((item.text for item in reversed(items) if item.kind is Kind.LOG), None),
    )


def _left_out(items: Sequence[Item]) -> Iterator[str]:
    for item in items:
        if item.kind is Kind.DEBUG:
            yield f"-d{item.text}"
        elif item.kind is Kind.COMMAND:
            yield from (one.text for one in statements(item.text) if one.what is What.CONFIG)


def _files(items: Sequence[Item]) -> list[str]:
    found: list[str] = []
    for item in items:
        if item.kind is Kind.FILE:
            found.append(item.text)
        elif item.kind is Kind.COMMAND:
            found += [one.value for one in statements(item.text) if one.what is What.FILE]
    return found


def pinned(items: Sequence[Item], pins: Sequence[str], *, once: bool) -> list[Item]:
    """Return the items of a run of the real OpenOCD on the bench's probe: exactly this probe, and none of our ports.

    The pins go behind everything that sets OpenOCD up, and before the first statement that needs the target. With `once` a
    `shutdown` is added, for a command line that would go on as a server.
    """
    quiet = [f"{service}_port disabled" for service in DEFAULT_PORTS]
    added = [Item(Kind.COMMAND, text) for text in (*pins, *quiet)]
    before, behind = _halves(items)
    return [*before, *added, *behind, *([Item(Kind.COMMAND, "shutdown")] if once else [])]


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
