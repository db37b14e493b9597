"""Lines in, findings out: what OpenOCD says, in our words, with outages counted instead of lines.

Repeated lines cost one dictionary look-up: an OpenOCD that lost its adapter writes tens of thousands of them a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ocdsup.openocd.catalogue import Catalogue, Match
from ocdsup.openocd.dialect import Version, find_version
from ocdsup.openocd.exits import Verdict as ExitVerdict
from ocdsup.openocd.exits import explain_exit
from ocdsup.openocd.findings import Finding, Traces
from ocdsup.openocd.lines import Level, Line
from ocdsup.openocd.outage import Outages, Verdict
from ocdsup.openocd.rule import Role

__all__ = ["POLL_FAILED", "RECOVERED", "Classifier", "ExitVerdict", "Finding"]

POLL_FAILED = "target-poll-failed"
RECOVERED = "target-recovered"
POLL_FAULT = "target-poll-failing"
UNKNOWN_KEPT = 32  # different unknown warnings and errors kept with their text; the rest are only counted
_CACHED = 512
_LONGEST = 400  # characters of evidence


class Classifier:
    """Recognises the lines of one backend; make a new one for each run.

    `version` is OpenOCD's, if known; the banner of a log tells it too. `unknown` counts warnings and errors that
    no rule knows, the first UNKNOWN_KEPT of them by text, the others under `…`.
    """

    def __init__(self, catalogue: Catalogue, version: Version | None = None) -> None:
        self.traces = Traces()
        self.unknown: Counter[str] = Counter()
        self._catalogue = catalogue
        self._family = version.family if version else None
        self._outages = Outages()
        self._cache: dict[Line, Match | None] = {}

    def feed(self, line: Line, now: float) -> list[Finding]:
        """Classify one line at `now` (monotonic seconds): what it says, and what it settles about an outage."""
        findings = self.settle(now) if self._outages.open else []
        return findings + self._take(line, now)

    def _take(self, line: Line, now: float) -> list[Finding]:
        text = line.text[:_LONGEST]
        if not text:
            self.traces.blanks += 1
            return []
        self._trace(line, text)
        match = self._find(line)
        if match is None:
            self._count_unknown(line, text)
            return []
        findings = self._findings(match, text, now)
        for finding in findings:
            self.traces.remember(finding)
        return findings

    def settle(self, now: float) -> list[Finding]:
        """Findings that silence makes: a target whose failed poll nothing followed is back."""
        return [_outage_finding(verdict, "", {}) for verdict in self._outages.settle(now)]

    def explain_exit(self, status: str, ready: bool = False) -> ExitVerdict:
        """Why this backend ended; see `exits.explain_exit`."""
        return explain_exit(status, self.traces, ready)

    @property
    def deadline(self) -> float | None:
        """When to call `settle`, monotonic seconds; None when nothing is open."""
        return self._outages.deadline

    def _trace(self, line: Line, text: str) -> None:
        traces = self.traces
        traces.blanks = 0
        traces.last = text
        traces.lines.append(text)
        if line.level is Level.ERROR:
            traces.last_error = text

    def _find(self, line: Line) -> Match | None:
        try:
            return self._cache[line]
        except KeyError:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            match = self._cache[line] = self._catalogue.find(line, self._family)
            return match

    def _count_unknown(self, line: Line, text: str) -> None:
        if line.level not in {Level.ERROR, Level.WARN}:
            return
        key = f"{line.level.value}: {text}"
        self.unknown[key if key in self.unknown or len(self.unknown) < UNKNOWN_KEPT else "…"] += 1

    def _findings(self, match: Match, text: str, now: float) -> list[Finding]:
        rule, fields = match.rule, match.fields
        if rule.id == "banner":
            version = find_version(text)
            self._family = self._family or (version.family if version else None)
        target = fields.get("target")
        verdict = self._outages.take(rule.outage, target, now) if rule.outage else None
        if verdict is not None and verdict.failed:
            return [_outage_finding(verdict, text, fields)]
        said = Finding(rule.id, rule.fault, rule.role, target, text, fields)
        return [said, _outage_finding(verdict, text, fields)] if verdict else [said]


def _outage_finding(verdict: Verdict, text: str, fields: Mapping[str, str]) -> Finding:
    target = verdict.target or None
    count = {**fields, "failures": str(verdict.failures)}
    if verdict.failed:
        return Finding(POLL_FAILED, POLL_FAULT, Role.SYMPTOM, target, text, count)
    return Finding(RECOVERED, None, Role.RECOVERY, target, text, count)
