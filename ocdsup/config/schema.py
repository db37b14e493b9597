"""The JSON schema (2020-12) of the configuration file, for editors: generated from the model, kept in `configs/`."""

import json
from typing import Any

from ocdsup.config import kinds
from ocdsup.config.shape import adapter


def schema() -> dict[str, Any]:
    """Return the schema of the file as users write it: benches by name, durations as text."""
    tree: dict[str, Any] = adapter().json_schema()
    bench = tree["$defs"]["Bench"]
    del bench["properties"]["name"]
    bench["required"].remove("name")
    tree["properties"]["benches"] = {
        "type": "object",
        "description": "Every bench by its name: lower-case letters, digits and '-', a letter first.",
        "propertyNames": {"pattern": kinds.BENCH_NAME},
        "additionalProperties": {"$ref": "#/$defs/Bench"},
        "minProperties": 1,
    }
    for part in (tree, *tree["$defs"].values()):
        for entry in part.get("properties", {}).values():
            _tidy(entry)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree, "title": "ocdsup configuration"}


def schema_text() -> str:
    """Return the schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(entry: dict[str, Any]) -> None:
    """Drop titles that repeat the key, and write default durations as the file writes them."""
    entry.pop("title", None)
    if entry.get("pattern") == kinds.DURATION and isinstance(entry.get("default"), float):
        entry["default"] = kinds.duration_text(entry["default"])
