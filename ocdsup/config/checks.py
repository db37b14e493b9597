"""What only the whole configuration shows: things used twice, selectors that fit several probes, binds without a guard.

Each check yields (path, sentence, next step); `load` adds file, line and column.
"""

import ipaddress
from collections.abc import Iterator
from itertools import permutations

from ocdsup.config import kinds
from ocdsup.config.model import Bench, Config, Probe

LAST_PORT = 65535
Issue = tuple[tuple[str | int, ...], str, str]


def cross(config: Config) -> Iterator[Issue]:
    """Yield every issue between the parts of a configuration that is valid part by part."""
    yield from _ports(config)
    yield from _probes(config.benches)
    for bench in config.benches:
        yield from _binds(bench)
        yield from _durations(bench)


def _ports(config: Config) -> Iterator[Issue]:
    taken: dict[int, str] = {}
    if config.http is not None:
        taken[kinds.split_endpoint(config.http)[1]] = "http"
    for bench in config.benches:
        first, further = bench.ports.gdb, range(1, bench.ports.targets) if bench.ports.gdb else ()
        if first + len(further) > LAST_PORT:
            yield ("benches", bench.name, "ports", "gdb"), f"no port {LAST_PORT + 1} for the next target", "choose a lower one"
        ports = (("gdb", first), ("telnet", bench.ports.telnet), ("tcl", bench.ports.tcl))
        for name, port in (*ports, *(("gdb", first + number) for number in further)):
            if not port:
                continue  # 0 takes a free port, None is off
            owner = taken.setdefault(port, where := f"benches.{bench.name}.ports.{name}")
            if owner != where:
                hint = "give each its own number, or 0 for any free port"
                yield ("benches", bench.name, "ports", name), f"port {port} is already used by {owner}", hint


def _probes(benches: tuple[Bench, ...]) -> Iterator[Issue]:
    """A selector is ambiguous when everything it says is also said by another bench's selector."""
    reported: set[str] = set()
    for first, second in permutations(benches, 2):
        if first.name in reported or not _fits(_said(first.probe), _said(second.probe)):
            continue
        reported |= {first.name} if _said(first.probe) != _said(second.probe) else {first.name, second.name}
        yield _ambiguous(first, second)


def _ambiguous(first: Bench, second: Bench) -> Issue:
    hint = "tell the probes apart by `serial` (`lsusb -v`: iSerial) or, for probes without one, by `location` (`lsusb -t`)"
    if _said(first.probe) == _said(second.probe):
        first, second = second, first  # blame the later of two equals
    if first.probe == Probe():
        text = f"no probe is chosen, but bench {second.name!r} needs one too"
    elif _said(first.probe) == _said(second.probe):
        text = f"this is also the probe of bench {second.name!r}"
    else:
        text = f"this also fits the probe of bench {second.name!r}"
    return ("benches", first.name, "probe"), text, hint


def _said(probe: Probe) -> dict[str, str]:
    pairs = (("vid_pid", probe.vid_pid), ("serial", probe.serial), ("location", probe.location))
    return {name: value for name, value in (*pairs, ("server", probe.server or "usb")) if value is not None}


def _fits(general: dict[str, str], special: dict[str, str]) -> bool:
    return general.items() <= special.items()


def _binds(bench: Bench) -> Iterator[Issue]:
    wide = [host for host in bench.bind if not kinds.is_loopback(host)]
    for index, host in enumerate(bench.bind):
        if host in bench.bind[:index]:
            yield ("benches", bench.name, "bind", index), f"{host} is already in the list", "keep one of the two"
        elif not bench.allow and not kinds.is_loopback(host):
            text = f"{host} is reachable from other machines, and whoever reaches these ports has a shell here"
            hint = "use `ssh -L` and 127.0.0.1, or name the networks that may connect: `allow: [192.168.1.0/24]`"
            yield ("benches", bench.name, "bind", index), text, hint
    if bench.allow and not wide:
        hint = "remove `allow`, or add an address of this machine to `bind`"
        yield ("benches", bench.name, "allow"), "`allow` has no effect: every address in `bind` is loopback", hint
    for index, network in enumerate(bench.allow):
        if ipaddress.ip_network(network).prefixlen == 0:
            text = f"{network} lets the whole Internet in"
            yield ("benches", bench.name, "allow", index), text, "name the networks that may connect"


def _durations(bench: Bench) -> Iterator[Issue]:
    backoff = bench.recovery.backoff
    if backoff.limit < backoff.first:
        text = f"limit {kinds.duration_text(backoff.limit)} is less than first {kinds.duration_text(backoff.first)}"
        yield ("benches", bench.name, "recovery", "backoff"), text, "make `limit` at least as long as `first`"
