"""Which debug probe a bench means: selectors and matching them against the probes that are there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ocdsup.errors import ProbeError
from ocdsup.probes.probe import Probe
from ocdsup.probes.serials import RAW_BYTES, is_raw
from ocdsup.probes.serials import same_serial as same_serial
from ocdsup.probes.serials import serial_key as serial_key

VID_PID = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")
LOCATION = re.compile(r"[0-9]+-[0-9]+(?:\.[0-9]+)*")
SERVER = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}")
KEYS = ("vid_pid", "serial", "location", "server")


@dataclass(frozen=True, slots=True)
class ProbeSelector:
    """Which probe is meant; None leaves a field open, all None means the only probe there is.

    `location` is the bus-port path (`1-2.3`); `server` an ST-LINK server on loopback (`127.0.0.1:7184`).
    """

    vid_pid: str | None = None
    serial: str | None = None
    location: str | None = None
    server: str | None = None

    def __str__(self) -> str:
        pairs = [f"{key}={value}" for key in KEYS if (value := getattr(self, key)) is not None]
        return ",".join(pairs) or "the only probe"


def parse(text: str) -> ProbeSelector:
    """Return the selector that a text means: `0483:374b`, `0483:374b:SERIAL`, or what `str(selector)` prints.

    Raises ProbeError naming the part that is wrong.
    """
    text = text.strip()
    if text in {"", "the only probe"}:
        return ProbeSelector()
    if VID_PID.match(text):
        vid_pid, serial = text[:9], text[9:]
        if serial and not serial.startswith(":"):
            raise _wrong(text, f"{serial!r} follows the USB ID", "write VID:PID:SERIAL")
        return ProbeSelector(vid_pid.lower(), serial[1:] or None)
    fields = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if key not in KEYS or not equals or not value:
            raise _wrong(text, f"{pair!r} is not one of {', '.join(f'{k}=…' for k in KEYS)}", "e.g. 0483:374b:SERIAL")
        fields[key] = value
    return _checked(text, ProbeSelector(**fields))


def _checked(text: str, selector: ProbeSelector) -> ProbeSelector:
    for key, pattern, example in (
        ("vid_pid", VID_PID, "0483:374b"),
        ("location", LOCATION, "1-2.3"),
        ("server", SERVER, "127.0.0.1:7184"),
    ):
        value = getattr(selector, key)
        if value is not None and not pattern.fullmatch(value):
            raise _wrong(text, f"{key} {value!r} does not look like {example}", "see `ocdsup probes`")
    return selector


def _wrong(text: str, why: str, hint: str) -> ProbeError:
    return ProbeError(f"read the probe selector {text!r}", why, hint)


def openocd_serial(probe: Probe) -> str | None:
    """Return the serial to give to OpenOCD 0.11 and later, None when only the location can tell this probe.

    None for no serial at all, and for a raw serial that Linux has cut at a zero byte.
    """
    if not is_raw(probe.serial):
        return probe.serial or None
    return serial_key(probe.serial) if len(probe.serial) == RAW_BYTES else None


# Matching ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Exactly one probe is meant."""

    probe: Probe


@dataclass(frozen=True, slots=True)
class Absent:
    """No probe fits; `text` says what is there instead."""

    text: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several probes fit; `text` names the path of each."""

    probes: tuple[Probe, ...]
    text: str


Match = Found | Absent | Ambiguous


def match(selector: ProbeSelector, probes: Sequence[Probe]) -> Match:
    """Return the probe that is meant. Never guesses: two that fit are an answer of their own."""
    fitting = [probe for probe in probes if _fits(selector, probe)]
    exact = [probe for probe in fitting if probe.serial == selector.serial]
    if len(exact) == 1:  # another one that differs in case only
        fitting = exact
    if selector == ProbeSelector():  # "the only probe": a chip that may be a serial adapter does not count beside a real one
        fitting = [probe for probe in fitting if probe.model.certain] or fitting
    if len(fitting) == 1:
        return Found(fitting[0])
    if fitting:
        return Ambiguous(tuple(fitting), _too_many(selector, fitting))
    return Absent(_none(selector, probes))


def _fits(selector: ProbeSelector, probe: Probe) -> bool:
    return (
        (selector.server or None) == probe.server
        and (selector.vid_pid is None or selector.vid_pid.lower() == probe.vid_pid)
        and (selector.location is None or selector.location == probe.location)
        and (selector.serial is None or same_serial(selector.serial, probe.serial))
    )


def _too_many(selector: ProbeSelector, probes: Sequence[Probe]) -> str:
    places = " and ".join(probe.place for probe in probes)
    clones = selector.serial is not None
    why = "share this serial" if clones else f"fit {selector}"
    hint = "give each its `location`" if clones or len({probe.serial for probe in probes}) < len(probes) else "give `serial`"
    return f"{len(probes)} probes {why}: {places}; {hint} in the configuration"


def _none(selector: ProbeSelector, probes: Sequence[Probe]) -> str:
    here = [str(probe) for probe in probes if (probe.server is None) == (selector.server is None)]
    where = f"behind {selector.server}" if selector.server else "on USB"
    seen = f"there is {'; '.join(here[:4])}{'; …' if len(here) > 4 else ''}" if here else f"no debug probe is {where}"
    return seen if selector == ProbeSelector(server=selector.server) else f"no probe fits {selector}: {seen}"


def pin(probe: Probe) -> ProbeSelector:
    """Return the selector that means exactly this probe, also after a replug."""
    return ProbeSelector(probe.vid_pid, openocd_serial(probe), probe.location, probe.server)
