"""Why OpenOCD ended: from its exit status and its last words, or from what it did not say.

OpenOCD is silent where it matters most: a probe that another process holds, and a dead target behind some ST-LINKs, end it
with code 1 and blank lines (0.8 … master; the claim failure is a debug line, stlink_usb.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from ocdsup.openocd.findings import LAST_LINES, Finding, Traces
from ocdsup.openocd.rule import Role

# Without a cause of its own these only colour the picture: an exit is never blamed on them alone if there is anything else.
_REMARKS = frozenset({"target-unpowered", "flash-failed"})
_IDENTITY = frozenset({"stlink-identity", "stlink-identity-old"})
_VOLTAGE = frozenset({"target-voltage", "jlink-voltage"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a backend ended: `fault` is a code of the contract, `evidence` the lines that say so, oldest first."""

    rule_id: str
    fault: str
    text: str
    evidence: tuple[str, ...]


def explain_exit(status: str, traces: Traces, ready: bool = False) -> Verdict:
    """Say why a backend ended; `backend-exited` when nothing better is known.

    `status` reads `exit code N` or a signal's name (as the launcher reports it); `ready` is whether it had announced itself:
    from then on the lines of its start explain nothing.
    """
    found = None
    if not ready and status.startswith("exit code"):
        found = _by_words(traces) or _by_silence(status, traces)
    if found is None:
        last = traces.last_error or traces.last or "none"
        found = _finding("exit-unexplained", "backend-exited", f"OpenOCD ended ({status}); its last words: {last}")
    return Verdict(found.rule_id, found.fault or "backend-exited", found.text, _evidence(traces))


def _evidence(traces: Traces) -> tuple[str, ...]:
    """The lines that speak of a fault; without any, the last lines as they are: a silent exit shows by what it did not say."""
    telling = tuple(finding.text for finding in traces.firsts.values() if finding.fault)
    return telling[-LAST_LINES:] or tuple(traces.lines)


def _finding(rule_id: str, fault: str, text: str) -> Finding:
    return Finding(rule_id, fault, Role.CAUSE, None, text)


def _by_words(traces: Traces) -> Finding | None:
    """The first cause that was named, else the newest symptom; remarks only if there is nothing else."""
    blamed = [finding for finding in traces.firsts.values() if finding.fault and finding.fault not in _REMARKS]
    causes = [finding for finding in blamed if finding.role is Role.CAUSE]
    if causes:
        return causes[0]
    if traces.last_blamed is not None and traces.last_blamed.fault not in _REMARKS:
        return traces.last_blamed
    return blamed[-1] if blamed else None


def _by_silence(status: str, traces: Traces) -> Finding | None:
    """The shapes of an exit without an error line (seen with 0.12.0 on a kernel USB stack and on a simulated ST-LINK).

    A failed `init` leaves blank lines, the empty results of the commands behind it; a configuration error ends in its text.
    """
    seen = traces.firsts.keys()
    if status == "exit code 0":
        text = "the configuration ended OpenOCD by itself"
        return _finding("exit-by-config", "config-rejected", text) if "shutdown" in seen else None
    known = {finding.text for finding in traces.firsts.values()}  # without a fault, or a remark: no reason to end
    if status != "exit code 1" or (traces.last_error and traces.last_error not in known):
        return None
    if seen & (_VOLTAGE | _IDENTITY):
        text = "the probe answers, but no target behind it; OpenOCD ended without an error line"
        return _finding("exit-silent-target", "target-not-answering", text)
    if traces.blanks:
        text = "OpenOCD ended without an error line where it opens the probe: another process has it"
        return _finding("exit-silent-probe", "probe-held", text)
    return _finding("exit-config-error", "config-rejected", traces.last) if traces.last else None
