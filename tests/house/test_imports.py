"""Imports run one way: rooms that decide know nothing of the world, and nobody looks up to the floor that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Module

# Which rooms a room may import, and why no others. `errors` is the one page that everybody may raise from.
MAY_IMPORT: dict[str, tuple[frozenset[str], str]] = {
    "core": (frozenset(), "decides with nothing but its own words, so that a night can be played in a second"),
    "rsp": (frozenset(), "could be published on its own: a GDB proxy that has never heard of OpenOCD"),
    "telnet": (frozenset({"core"}), "knows lines and options, not what they mean"),
    "sim": (frozenset(), "a board does not know who debugs it"),
    "errors": (frozenset(), "the whole tree on one page"),
    "openocd": (frozenset({"errors", "core"}), "knows OpenOCD's dialects and lines, not what follows from them"),
    "probes": (frozenset({"errors", "core"}), "knows selectors and holders as values; who looks is the runtime"),
    "config": (frozenset({"errors", "core"}), "a model and its mistakes, and the numbers it gives the core"),
    "dropin": (frozenset({"probes"}), "reads somebody else's command line; what to do about it is done at the desk"),
    "control": (frozenset({"errors", "core"}), "the words of the control socket, and what they ask of a bench"),
    "runtime": (
        frozenset({"errors", "core", "openocd", "rsp", "telnet", "probes", "config", "control"}),
        "the only floor that faces the world; it performs what the others decide",
    ),
    "demo": (frozenset({"errors", "sim", "config", "control"}), "a user of the whole thing, with a story"),
    "ide": (frozenset(), "what other tools read; it knows a bench by its ports"),
    "cli": (
        frozenset({"errors", "config", "control", "core", "openocd", "probes", "dropin", "sim", "demo", "ide"}),
        "the desk in front",
    ),
    "__main__": (frozenset({"cli"}), "`python -m ocdsup`"),
}

# Single modules that may do what their room may not.
EXCEPTIONS: dict[str, tuple[frozenset[str], str]] = {
    "ocdsup/cli/run": (frozenset({"runtime"}), "the verb that starts the daemon"),
    "ocdsup/cli/demo": (frozenset({"runtime"}), "the verb that starts a daemon beside a simulated board"),
    "ocdsup/cli/init": (frozenset({"runtime"}), "the verb that looks which probes are plugged in, without a daemon"),
    "ocdsup/cli/doctor": (frozenset({"runtime"}), "the verb that looks at the PC itself, without a daemon"),
    "ocdsup/cli/front": (frozenset({"runtime"}), "the verb that is a stable GDB port, without a daemon"),
    "ocdsup/demo/stage": (frozenset({"cli"}), "asks the daemon as every user does (cli/client)"),
}

PURE = frozenset({"core", "dropin", "openocd", "rsp", "telnet", "probes", "config", "control", "sim", "errors", "ide"})
WORLDLY = frozenset(
    """
    asyncio concurrent fcntl glob http importlib io logging multiprocessing os pathlib pexpect psutil pty pyudev random resource
    select selectors shutil signal socket socketserver ssl structlog subprocess sys tempfile termios threading time tty urllib
    """.split()  # noqa: SIM905  # a paragraph of names reads better than a column of them
)
WORLDLY_CALLS = frozenset({"open", "print", "input", "datetime.now", "datetime.today", "datetime.utcnow", "date.today"})
HARMLESS = frozenset({"os.path.basename"})  # text in, text out

# Modules of pure rooms that touch the world, with what they need it for.
EDGES: dict[str, str] = {
    "ocdsup/sim/server": "the TCP port of the simulated ST-LINK",
    "ocdsup/sim/client": "speaks to that server's control socket",
    "ocdsup/sim/faults": "`flaky` needs a seeded random.Random",
    "ocdsup/sim/board": "reads the demo firmware out of the package",
    "ocdsup/sim/cpu": "the seam to the emulator, which is optional and imported late",
    "ocdsup/config/__main__": "the short-lived process that reads and checks a file",
    "ocdsup/openocd/catalogue": "reads catalogue.yaml out of the package",
    "ocdsup/core/diagram": "rewrites this room's README when a developer asks for it",
}


def own_rooms(module: Module) -> set[str]:
    """Rooms of ours that a module imports from; the package itself counts as none."""
    parts = [name.split(".") for name in module.imports()]
    found = {part[1] for part in parts if part[0] == "ocdsup" and len(part) > 1}
    return found - {module.room, "__version__"}


def worldly(module: Module) -> set[str]:
    """What a module imports or calls that a pure room may not."""
    imported = {name for name in module.imports() if name.split(".")[0] in WORLDLY and name not in HARMLESS}
    return imported | (set(module.calls()) & WORLDLY_CALLS)


def test_every_room_has_its_rule(sources: tuple[Module, ...]) -> None:
    assert {module.room for module in sources} - {"__init__"} <= set(MAY_IMPORT)


def test_imports_between_rooms_run_one_way(sources: tuple[Module, ...]) -> None:
    wrong = {}
    for module in sources:
        allowed, _ = MAY_IMPORT.get(module.room, (frozenset(), ""))
        extra, _ = EXCEPTIONS.get(module.name, (frozenset(), ""))
        if beyond := own_rooms(module) - allowed - extra:
            wrong[module.name] = sorted(beyond)
    assert wrong == {}


def test_pure_rooms_do_not_touch_the_world(sources: tuple[Module, ...]) -> None:
    suspects = [module for module in sources if module.room in PURE and module.name not in EDGES]
    assert {module.name: sorted(found) for module in suspects if (found := worldly(module))} == {}


def test_every_edge_is_one(sources: tuple[Module, ...]) -> None:
    """An exception that is not needed any more goes."""
    there = {module.name: module for module in sources}
    assert [name for name in EDGES if name not in there or not worldly(there[name])] == []


def test_the_rooms_do_not_import_each_other_in_a_circle() -> None:
    ahead = {room: set(allowed) for room, (allowed, _) in MAY_IMPORT.items()}
    while leaves := {room for room, others in ahead.items() if not others & set(ahead)}:
        ahead = {room: others for room, others in ahead.items() if room not in leaves}
    assert ahead == {}


@pytest.mark.parametrize("heavy", ["pydantic", "yaml", "rich", "prometheus_client", "unicorn"])
def test_heavy_libraries_stay_out_of_the_rooms_that_run_for_months(sources: tuple[Module, ...], heavy: str) -> None:
    rooms = {"core", "rsp", "telnet", "probes", "control", "runtime"}
    users = [m.name for m in sources if m.room in rooms and any(name.split(".")[0] == heavy for name in m.imports())]
    assert users == []
