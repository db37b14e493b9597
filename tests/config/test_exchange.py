"""The child's answer comes back as the same configuration or the same problems, without pydantic or yaml."""

import subprocess
import sys

import pytest

from ocdsup.config.exchange import Checked, decode, encode, encode_problems
from ocdsup.config.load import load
from ocdsup.errors import ConfigError, Problem

TEXT = """
version: 1
benches:
  a: {openocd: {config: [x], commands: ["é {}"]}, probe: {serial: A}, recovery: {window: 1500ms, under_reset: never}}
"""


def test_a_configuration_survives_the_exchange() -> None:
    checked = Checked(load(TEXT, "f"), (Problem("f", 0, 0, "", "group may write", "chmod"),))
    again = decode(encode(checked), "f")
    assert again == checked
    assert hash(again) == hash(checked)
    assert type(again.config.benches[0].recovery.under_reset) is type(checked.config.benches[0].recovery.under_reset)


def test_problems_survive_the_exchange() -> None:
    problems = (Problem("f", 1, 2, "a.b", "bad", "good"), Problem("f", 0, 0, "", "worse"))
    with pytest.raises(ConfigError) as caught:
        decode(encode_problems(problems), "f")
    assert caught.value.problems == problems


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"config":{}}',
        b'{"config":{"x":1},"warnings":[]}',
        b'{"config":3,"warnings":[]}',
        b"\xff",
    ],
)
def test_no_answer_is_a_config_error(answer: bytes) -> None:
    with pytest.raises(ConfigError, match="gave no answer"):
        decode(answer, "f")


def test_the_daemons_side_imports_neither_pydantic_nor_yaml_nor_asyncio() -> None:
    code = "import sys, ocdsup.config.exchange, ocdsup.config.paths\nprint({'pydantic', 'yaml', 'asyncio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
