"""Replace the wrong parts of a plain tree by harmless ones, so that the rest can still be checked as a whole.

Harmless means that no cross check of `checks` can fire because of the replacement: a free port, a serial nobody
has, the default bind. The result is only ever looked at, never used: the file has problems already.
"""

from collections.abc import Sequence

from ocdsup.config.document import Plain

Location = tuple[int | str, ...]


def mended(plain: dict[str, Plain], wrong: Sequence[Location]) -> dict[str, Plain]:
    """Return a valid tree without the parts at `wrong` (locations with bench numbers, as pydantic gives them)."""
    benches = plain.get("benches")
    bodies = [dict(body) for body in benches if isinstance(body, dict)] if isinstance(benches, list) else []
    lost: set[int] = set()
    for place in wrong:
        if len(place) < 2 or place[0] != "benches":
            continue  # keys of the file itself are left out below
        number = int(place[1])
        if len(place) < 3 or place[2] in {"name", ""}:
            lost.add(number)
        else:
            _mend_bench(bodies[number], place[2:], number)
    kept = [body for number, body in enumerate(bodies) if number not in lost]
    spare: dict[str, Plain] = {"name": "none", "openocd": {"config": ["none"]}, "ports": {"gdb": 0, "telnet": 0}}
    whole: dict[str, Plain] = {"version": 1, "benches": [*kept] or [spare]}
    return whole | {key: plain[key] for key in ("control", "http") if key in plain and (key,) not in wrong}


def _mend_bench(body: dict[str, Plain], place: Location, number: int) -> None:
    match place:
        case ("openocd", *_):
            body["openocd"] = {"config": ["none"]}
        case ("ports", str() as port) if port in {"gdb", "telnet", "tcl"} and isinstance(body["ports"], dict):
            body["ports"] = body["ports"] | {port: 0}
        case ("ports", str() as unknown) if isinstance(body["ports"], dict):
            body["ports"] = {key: value for key, value in body["ports"].items() if key != unknown}
        case ("ports",):
            body["ports"] = {"gdb": 0, "telnet": 0}
        case ("probe", *_):
            body["probe"] = {"serial": f"unknown {number}"}
        case ("bind" | "allow", *_):
            body |= {"bind": ["127.0.0.1"], "allow": []}
        case _:
            body.pop(str(place[0]), None)
