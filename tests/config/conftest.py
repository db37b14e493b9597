"""A minimal configuration that the tests vary."""

import textwrap
from collections.abc import Callable

import pytest

from ocdsup.config.load import load
from ocdsup.errors import ConfigError, Problem

Faults = Callable[[str], tuple[Problem, ...]]


@pytest.fixture
def faults() -> Faults:
    """Return a function that loads a configuration which must be wrong and gives its problems."""

    def problems(text: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            load(textwrap.dedent(text), "bench.yaml")
        return caught.value.problems

    return problems
