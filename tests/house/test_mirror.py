"""The test tree mirrors the source: `ocdsup/x/y.py` is tested by `tests/x/test_y.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.house.conftest import Module

# Modules with logic that are tested somewhere else, and where. This list only ever gets shorter.
ELSEWHERE: dict[str, str] = {
    "ocdsup/runtime/gdb_session": "tests/runtime/test_gdb_port.py",  # a session has no life without its port
    "ocdsup/cli/dropin_bridge": "tests/dropin/test_real_tools.py",  # a bridge: there is nothing in it without two ends
    "ocdsup/cli/openocd": "tests/dropin/test_real_tools.py",  # the rooms behind it decide, and are tested in their place
    "ocdsup/cli/evict": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/reload": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/restart": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/start": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/stop": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/wait": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
    "ocdsup/cli/why": "tests/cli/test_ask.py",  # a row of the table of verbs that only ask the daemon
}


def place_of(module: Module) -> str:
    """Where the tests of a module stand."""
    *rooms, name = module.name.split("/")[1:]
    return "/".join(["tests", *rooms, f"test_{name}.py"])


def untested(sources: tuple[Module, ...], root: Path) -> set[str]:
    """Modules with logic and without tests in their place."""
    some = (module for module in sources if module.has_logic() and not module.name.endswith("__init__"))
    return {module.name for module in some if not (root / place_of(module)).exists()}


def test_every_module_with_logic_has_its_tests(sources: tuple[Module, ...], root: Path) -> None:
    assert untested(sources, root) - set(ELSEWHERE) == set()


def test_no_exception_is_left_over(sources: tuple[Module, ...], root: Path) -> None:
    assert set(ELSEWHERE) - untested(sources, root) == set()


def test_where_an_exception_is_tested_there_is_a_test(root: Path) -> None:
    assert [place for place in ELSEWHERE.values() if not (root / place).exists()] == []
