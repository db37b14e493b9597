"""The schema in the repository is the one the model gives, and it says what the contract says."""

from pathlib import Path

from ocdsup.config.schema import schema, schema_text

FILE = Path(__file__).parents[2] / "configs" / "ocdsup.schema.json"


def test_the_committed_schema_is_the_generated_one() -> None:
    assert FILE.read_text() == schema_text(), "run `ocdsup schema > configs/ocdsup.schema.json`"


def test_benches_are_named_by_their_key_and_unknown_keys_are_refused() -> None:
    tree = schema()
    assert tree["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert tree["properties"]["benches"]["additionalProperties"] == {"$ref": "#/$defs/Bench"}
    assert "name" not in tree["$defs"]["Bench"]["properties"]
    assert tree["$defs"]["Bench"]["required"] == ["openocd"]
    assert all(part["additionalProperties"] is False for part in tree["$defs"].values() if part["type"] == "object")


def test_durations_are_text_with_a_pattern_and_a_readable_default() -> None:
    window = schema()["$defs"]["Recovery"]["properties"]["window"]
    assert window["type"] == "string"
    assert window["default"] == "10s"
    assert window["pattern"]
