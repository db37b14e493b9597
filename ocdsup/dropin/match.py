"""Which supervised bench a command line means: by serial, by USB location, by the names of its files, or the only one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ocdsup.probes.serials import same_serial

_FAMILY = re.compile(r"interface/(?:ftdi/)?([a-z]+(?:-[a-z]+)*)")
_ONE_FAMILY = {"stlink": "stlink", "st-link": "stlink", "cmsis-dap": "cmsis-dap", "jlink": "jlink"}


@dataclass(frozen=True, slots=True)
class Named:
    """What is asked for; `files` are the names of all configuration files, with those that they source."""

    serial: str | None = None
    location: str | None = None
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A supervised bench, by the same signs."""

    name: str
    serial: str | None = None
    location: str | None = None
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Meant:
    """This bench is meant; `why` names the sign."""

    bench: str
    why: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """No bench is meant. `touches`: benches whose probe the real OpenOCD might take all the same."""

    why: str
    touches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclear:
    """Several benches fit, and guessing would mean somebody else's board."""

    benches: tuple[str, ...]


def find(asked: Named, benches: Sequence[Candidate]) -> Meant | Elsewhere | Unclear:
    """Return the bench that is meant. Never guesses between two."""
    if asked.serial is not None:
        same = [bench for bench in benches if bench.serial and same_serial(bench.serial, asked.serial)]
        return _by("serial", asked.serial, same, benches, asked)
    if asked.location is not None:
        there = [bench for bench in benches if bench.location == asked.location]
        return _by("location", asked.location, there, benches, asked)
    fitting = [bench for bench in benches if not _differ(asked.files, bench.files)]
    if len(fitting) > 1:
        fitting = [b for b in fitting if asked.files and _kinds(asked.files) == _kinds(b.files)] or fitting
    if len(fitting) == 1:
        why = "the only bench" if len(benches) == 1 else "the only bench with these files"
        return Meant(fitting[0].name, why)
    if fitting:
        return Unclear(tuple(bench.name for bench in fitting))
    return Elsewhere("no bench has these files", _reachable(asked, benches))


def _by(
    sign: str, value: str, found: Sequence[Candidate], benches: Iterable[Candidate], asked: Named
) -> Meant | Elsewhere | Unclear:
    if len(found) == 1:
        return Meant(found[0].name, f"{sign} {value}")
    if found:
        return Unclear(tuple(bench.name for bench in found))
    unknown = [bench for bench in benches if (bench.serial if sign == "serial" else bench.location) is None]
    return Elsewhere(f"no bench has the {sign} {value}", _reachable(asked, unknown))


def _reachable(asked: Named, benches: Iterable[Candidate]) -> tuple[str, ...]:
    """Benches with a probe of the kind that is asked for: without a selection OpenOCD takes the first it finds."""
    wanted = families(asked.files)
    return tuple(bench.name for bench in benches if not wanted or not families(bench.files) or wanted & families(bench.files))


def _differ(some: frozenset[str], others: frozenset[str]) -> bool:
    pairs = ((families(some), families(others)), (targets(some), targets(others)))
    return any(one and other and not one & other for one, other in pairs)


def _kinds(files: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    return families(files), targets(files)


def families(files: Iterable[str]) -> frozenset[str]:
    """The kinds of probe that configuration files are for: all of ST's are one, an FTDI layout is its own."""
    found = (_FAMILY.search(name) for name in files)
    names = [match[1] for match in found if match]
    return frozenset(next((family for start, family in _ONE_FAMILY.items() if name.startswith(start)), name) for name in names)


def targets(files: Iterable[str]) -> frozenset[str]:
    """The chips that configuration files are for."""
    found = (re.search(r"target/([\w.-]+)\.cfg$", name) for name in files)
    return frozenset(match[1] for match in found if match)
