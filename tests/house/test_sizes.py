"""Every module can be read in one sitting, every function in one look."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Function, Module

MODULE = {"sources": 400, "tests": 650}  # lines; tests may be longer, because tables of cases are long and read row by row
FUNCTION, NESTING = 60, 3
MEDIAN_MODULE, MEDIAN_FUNCTION = 150, 8


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.mark.parametrize("tree", ["sources", "tests"])
def test_no_module_is_too_long(request: pytest.FixtureRequest, tree: str) -> None:
    modules: tuple[Module, ...] = request.getfixturevalue(tree)
    assert {module.name: module.lines for module in modules if module.lines > MODULE[tree]} == {}


@pytest.mark.parametrize("tree", ["sources", "tests"])
def test_no_function_is_too_long_or_too_deep(
    request: pytest.FixtureRequest, tree: str, nesting: Callable[[Function], int]
) -> None:
    modules: tuple[Module, ...] = request.getfixturevalue(tree)
    every = [(f"{module.name}.{f.name}", length(f), nesting(f)) for module in modules for f in module.functions()]
    assert [one for one in every if one[1] > FUNCTION or one[2] > NESTING] == []


def test_the_usual_module_and_function_are_short(sources: tuple[Module, ...]) -> None:
    assert median(module.lines for module in sources) <= MEDIAN_MODULE
    assert median(length(f) for module in sources for f in module.functions()) <= MEDIAN_FUNCTION
