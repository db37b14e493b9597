"""The one place where pydantic meets the model: how it reads a `Kind`, and the adapter for the whole configuration."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError, core_schema

from ocdsup.config.kinds import Kind
from ocdsup.config.model import Config


def kind_schema(kind: Kind) -> core_schema.CoreSchema:
    """Return the pydantic schema of a kind: a string that `kind.parse` turns into the value."""

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as fault:
            # {fault} is a parameter, not a template: the user's text may hold braces
            raise PydanticCustomError("kind", "{fault}", {"fault": str(fault)}) from None

    schema = {"pattern": kind.pattern} if kind.pattern else {}
    if kind.example:
        schema |= {"examples": [kind.example]}  # type: ignore[dict-item]  # JSON schema: any value
    return core_schema.no_info_after_validator_function(
        parse, core_schema.str_schema(strict=True), metadata={"pydantic_js_updates": schema}
    )


@cache
def adapter() -> TypeAdapter[Config]:
    """Return the validator of a whole configuration; built once per process (some 10 ms)."""
    return TypeAdapter(Config)
