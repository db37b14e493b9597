"""What the validating child tells the daemon: one JSON object, either a configuration or all its problems.

The child imports yaml and pydantic (some 20 MiB) and ends; the daemon reads its answer with the standard library alone.
JSON instead of pickle: the answer is data even if the child was replaced.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ocdsup.config.model import Config
from ocdsup.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that was found good, with what its owner should know nevertheless."""

    config: Config
    warnings: tuple[Problem, ...] = ()


def encode(checked: Checked) -> bytes:
    """Return the child's answer for a good configuration."""
    return _line({"config": asdict(checked.config), "warnings": [asdict(warning) for warning in checked.warnings]})


def encode_problems(problems: Iterable[Problem]) -> bytes:
    """Return the child's answer for a configuration with problems."""
    return _line({"problems": [asdict(problem) for problem in problems]})


def decode(answer: bytes, file: str) -> Checked:
    """Return what the child found; `file` is named when the answer is no answer (the child was killed, …).

    Raises:
        ConfigError: with the problems the child reported.
    """
    try:
        tree = json.loads(answer)
        problems = tuple(_build(Problem, problem) for problem in tree.get("problems", ()))
        checked = None if problems else Checked(_build(Config, tree["config"]), _build(tuple[Problem, ...], tree["warnings"]))
    except (ValueError, LookupError, TypeError, AttributeError):
        hint = "run `ocdsup check` and look at its messages"
        raise ConfigError(
            [Problem(file, 0, 0, "", "the check of the configuration gave no answer", hint)], unread=True
        ) from None
    if checked is None:
        raise ConfigError(problems)
    return checked


def _line(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode() + b"\n"


def _build(kind: Any, value: Any) -> Any:
    """Return `value`, as JSON gave it, as an instance of the annotation `kind`; raise TypeError or ValueError."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)  # without the Annotated limits: the child has checked them
        unknown = value.keys() - {entry.name for entry in fields(kind)}
        if unknown:
            raise TypeError(f"unknown {unknown}")
        build: Any = kind  # is_dataclass narrows to something without a call signature
        return build(**{name: _build(hints[name], part) for name, part in value.items()})
    if get_origin(kind) is UnionType:
        (other,) = (part for part in get_args(kind) if part is not NoneType)
        return None if value is None else _build(other, value)
    if get_origin(kind) is tuple:
        return tuple(_build(get_args(kind)[0], part) for part in value)
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum | float) else value
