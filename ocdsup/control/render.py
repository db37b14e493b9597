"""The snapshot of the contract → text for people. Pure; tolerant of fields it does not know and of fields that are missing."""

from __future__ import annotations

from ocdsup.core.span import span as words

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

CUT = 400  # characters of one foreign text


def safe(text: str) -> str:
    """Return text of foreign origin without anything that steers a terminal; line ends stay."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def span(seconds: float) -> str:
    """Return a duration as people say it, with tenths below a minute: 3.0 s, 4 min 10 s, 2 h 5 min, 3 d 1 h."""
    return f"{seconds:.1f} s" if seconds < 60 else words(seconds)


def status_text(snapshot: Mapping[str, Any]) -> str:
    """Return the whole snapshot as text, one block per bench."""
    benches = snapshot.get("benches", [])
    blocks = ["\n".join(_bench(bench)) for bench in benches] or ["no benches"]
    blocks += [_cut(f"note: {note}") for note in snapshot.get("notes") or []]
    return "\n\n".join(blocks) + "\n"


def _bench(bench: Mapping[str, Any]) -> Iterator[str]:
    phase = f"{bench['phase']} for {span(bench.get('since_s') or 0)}"
    summary = bench.get("summary") or ""
    yield _cut(f"{bench['name']}: {phase}" + (f", {summary}" if summary else ""))
    for title, lines in (
        ("fault", _fault(bench.get("fault"))),
        ("loan", _loan(bench.get("loan"))),
        ("doing", _doing(bench)),
        ("do", bench.get("advice") or []),
        ("gdb", [_target(target) for target in bench.get("targets") or []]),
        ("ports", _ports(bench.get("ports") or {})),
        ("probe", _probe(bench)),
        ("openocd", _backend(bench.get("backend"))),
        ("last", [_recovery(recovery) for recovery in (bench.get("recoveries") or [])[-1:]]),
    ):
        for number, line in enumerate(lines):
            yield f"  {title if number == 0 else '':<8} {_cut(line)}"


def _cut(text: str) -> str:
    line = safe(str(text).replace("\n", " "))
    return line if len(line) <= CUT else line[: CUT - 1] + "…"


def _fault(fault: Mapping[str, Any] | None) -> list[str]:
    if not fault:
        return []
    since = f" for {span(fault['since_s'])}" if fault.get("since_s") is not None else ""
    return [f"{fault['code']}{since}: {fault.get('text', '')}", *(f"| {line}" for line in fault.get("evidence") or [])]


def _loan(loan: Mapping[str, Any] | None) -> list[str]:
    if not loan:
        return []
    left = f", {span(loan['left_s'])} left" if loan.get("left_s") is not None else ""
    over = f", told to give it back: {loan['over']}" if loan.get("over") else ""
    return [f"for {span(loan.get('since_s') or 0)}{left}{over}", *(f"waiting: {name}" for name in loan.get("waiting") or [])]


def _doing(bench: Mapping[str, Any]) -> list[str]:
    lines = [f"recovery: {bench['rung']}"] if bench.get("rung") else []
    if bench.get("next_try_s") is not None:
        lines.append(f"next try in {span(bench['next_try_s'])}")
    return lines


def _target(target: Mapping[str, Any]) -> str:
    sessions = target.get("gdb_sessions") or 0
    attached = f"{sessions} session{'' if sessions == 1 else 's'}" if sessions else "no session"
    return f"localhost:{target.get('gdb_port')}  {target.get('name')}, {target.get('state')}, {attached}"


def _ports(ports: Mapping[str, Any]) -> list[str]:
    gdb = " ".join(map(str, ports.get("gdb") or []))
    shown = {"gdb": gdb, "telnet": ports.get("telnet"), "tcl": ports.get("tcl")}
    return [", ".join(f"{name} {port}" for name, port in shown.items() if port)]


def _probe(bench: Mapping[str, Any]) -> Iterator[str]:
    probe = bench.get("probe") or {}
    missed = (bench.get("fault") or {}).get("code") == "probe-absent"
    names = [probe.get("vid_pid"), probe.get("serial"), probe.get("location") and f"at {probe['location']}"]
    present = "present" if probe.get("present") else "absent" if missed else "not looked at"
    yield ", ".join([*(str(name) for name in names if name), present])
    for holder in probe.get("holders") or []:
        stale = ", stale" if holder.get("stale") else ""
        yield f"held by PID {holder.get('pid')} {holder.get('name')} of {holder.get('user')} since {holder.get('since')}{stale}"


def _backend(backend: Mapping[str, Any] | None) -> list[str]:
    if not backend or backend.get("pid") is None:
        return []
    volts = f", target {backend['voltage']:.2f} V" if backend.get("voltage") is not None else ""
    up = f", up {span(backend['uptime_s'])}" if backend.get("uptime_s") is not None else ""
    restarts = backend.get("restarts") or 0
    return [f"{backend.get('version') or 'version unknown'}, PID {backend['pid']}{up}, {restarts} restarts{volts}"]


def _recovery(recovery: Mapping[str, Any]) -> str:
    rungs = ", ".join(recovery.get("rungs") or []) or "nothing"
    took = f" after {span(recovery['took_s'])}" if recovery.get("took_s") is not None else ""
    return f"{recovery.get('outcome')}{took} from {recovery.get('fault')} at {recovery.get('at')}: {rungs}"


def log_line(line: Mapping[str, Any]) -> str:
    """Return one line of the log for people; its text is foreign."""
    text = safe(str(line.get("text", ""))).replace("\n", "\\n")
    return f"{line.get('at', '')} {line.get('bench', '')} {line.get('source', '')}: {text}"
