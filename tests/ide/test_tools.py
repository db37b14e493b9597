"""Every tool of the table has a snippet that names its bench's port."""

import pytest

from ocdsup.ide.place import Place
from ocdsup.ide.tools import TOOLS


@pytest.mark.parametrize("name", TOOLS)
def test_every_snippet_names_the_stable_port_and_its_place(name: str, place: Place) -> None:
    assert "3393" in TOOLS[name].make(place)
    assert TOOLS[name].place


def test_the_tools_are_those_of_the_contract() -> None:
    assert set(TOOLS) == {"vscode", "eclipse", "platformio", "clion", "gdb", "zephyr"}
