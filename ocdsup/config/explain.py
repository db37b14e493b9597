"""`Config` → YAML text with every effective value, each default marked; loads back as the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from ocdsup.config import kinds
from ocdsup.config.model import Config

PLAIN_WORD = re.compile(r"(?!(true|false|null)$)[a-z/][a-z0-9/._-]*|[0-9]+(ms|s|m|h)")  # readable without quotes in every YAML


def explain(config: Config, control: str) -> str:
    """Return the configuration as YAML; `control` is the socket that counts when the file names none."""
    lines = [f"version: {config.version}"]
    lines.append(_line("control", config.control or control, default=config.control is None))
    lines.append(_line("http", config.http, default=config.http is None))
    lines.append("benches:")
    for bench in config.benches:
        lines.append(f"  {bench.name}:")
        lines += [f"    {line}" for line in _entries(bench, skip="name")]
    return "\n".join(lines) + "\n"


def _entries(part: Any, skip: str = "") -> Iterator[str]:
    hints = get_type_hints(type(part), include_extras=True)
    for entry in fields(part):
        value = getattr(part, entry.name)
        if entry.name == skip:
            continue
        if is_dataclass(value):
            yield f"{entry.name}:"
            yield from (f"  {line}" for line in _entries(value))
        else:
            duration = kinds.SECONDS in get_args(hints[entry.name])
            shown = kinds.duration_text(value) if duration else value
            yield _line(entry.name, shown, default=value == _default(entry))


def _default(entry: Field[Any]) -> object:
    return entry.default if entry.default is not MISSING else MISSING


def _line(key: str, value: object, *, default: bool) -> str:
    return f"{key}: {_text(value)}" + ("  # default" if default else "")


def _text(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(_text(item) for item in value)}]"
        case str():
            word = str(value)
            return word if PLAIN_WORD.fullmatch(word) else json.dumps(word, ensure_ascii=False)
        case _:
            return str(value)
