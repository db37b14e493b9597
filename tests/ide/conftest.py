"""A bench to write snippets for."""

import pytest

from ocdsup.ide.place import Place


@pytest.fixture
def place() -> Place:
    """A bench with numbers that nothing else has."""
    return Place("nucleo-7", 3393, 4494)
