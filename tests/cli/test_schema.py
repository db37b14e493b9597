"""`schema` prints the schema."""

import json

import pytest

from ocdsup.cli.main import main


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "ocdsup configuration"
