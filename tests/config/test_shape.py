"""pydantic reads the model that never imports it."""

import pytest
from pydantic import ValidationError

from ocdsup.config.shape import adapter


def test_strict_means_no_value_is_converted() -> None:
    tree = '{"version":1,"benches":[{"name":"a","openocd":{"config":["x"]},"ports":{"gdb":"3333"}}]}'
    with pytest.raises(ValidationError, match="int_type"):
        adapter().validate_json(tree)


def test_the_adapter_is_built_once() -> None:
    assert adapter() is adapter()
