"""The model is data: frozen, hashable, and free of validators."""

import dataclasses
import subprocess
import sys

import pytest

from ocdsup.config.model import Bench, Config, OpenOcd

CONFIG = Config(1, (Bench("a", OpenOcd(("x",))),))


def test_a_configuration_is_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONFIG.http = "x"  # type: ignore[misc]  # the point of the test
    assert {CONFIG: 1}[Config(1, (Bench("a", OpenOcd(("x",))),))] == 1


def test_a_bench_is_found_by_name() -> None:
    assert CONFIG.bench("a") is CONFIG.benches[0]
    assert CONFIG.bench("b") is None


def test_the_model_imports_no_validator_and_no_loop() -> None:
    code = "import sys, ocdsup.config.model\nprint(sorted({'pydantic', 'yaml', 'asyncio', 'socket'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
