"""pydantic's errors → problems in our words, at their place in the file, with "did you mean".

One row of `SENTENCES` per error type that the model can cause; a type without a row shows pydantic's own message.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import ValidationError

from ocdsup.config import model
from ocdsup.config.document import Node
from ocdsup.core import policy
from ocdsup.errors import Problem

Place: TypeAlias = tuple[str | int, ...]
"""A path as the user wrote it: `("benches", "nucleo", "ports", "gdb")`."""

KEYS: dict[str, type[Any]] = {
    "probe": model.Probe,
    "openocd": model.OpenOcd,
    "ports": model.Ports,
    "recovery": model.Recovery,
    "backoff": model.Backoff,
    "intensity": model.Intensity,
}
"""Which dataclass a key opens; `benches.NAME` is a Bench and the root a Config."""

ENUMS: dict[str, type[StrEnum]] = {
    "under_reset": policy.UnderReset,
    "after_recovery": policy.AfterRecovery,
    "holders": model.HolderPolicy,
    "monitor": model.MonitorPolicy,
    "on_detach": model.OnDetachPolicy,
    "second_client": model.SecondClientPolicy,
}

QUOTES = "put it in quotes if it is meant as text"

SENTENCES: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "missing": lambda e: (f"{str(e['loc'][-1])!r} is missing", ""),
    "string_type": lambda e: (f"{shown(e['input'])} is not text", QUOTES),
    "int_type": lambda e: (f"{shown(e['input'])} is not a whole number", _unquote(e["input"])),
    "int_from_float": lambda e: (f"{shown(e['input'])} is not a whole number", ""),
    "float_type": lambda e: (f"{shown(e['input'])} is not a number", _unquote(e["input"])),
    "finite_number": lambda e: (f"{shown(e['input'])} is not a number", ""),
    "bool_type": lambda e: (f"{shown(e['input'])} is neither true nor false", "write `true` or `false`"),
    "tuple_type": lambda e: (f"{shown(e['input'])} is not a list", "write `[first, second]`, also for one entry"),
    "dataclass_type": lambda e: (f"{shown(e['input'])} is not a mapping", "write its keys below it, indented"),
    "greater_than_equal": lambda e: (f"{shown(e['input'])} is too small; the least is {e['ctx']['ge']}", ""),
    "less_than_equal": lambda e: (f"{shown(e['input'])} is too large; the most is {e['ctx']['le']}", ""),
    "too_short": lambda e: ("the list is empty; it needs at least one entry", ""),
    "kind": lambda e: (e["ctx"]["fault"], ""),
}


def problems(error: ValidationError, root: Node, file: str) -> list[Problem]:
    """Return one problem per fault, with line and column from the tree."""
    return list(_problems(error, root, file))


def _problems(error: ValidationError, root: Node, file: str) -> Iterator[Problem]:
    for fault in error.errors(include_url=False):
        if _echo(dict(fault)):
            continue
        path = user_path(fault["loc"], root)
        text, hint = _sentence(dict(fault), path)
        if path[-1:] in {("",), ("name",)}:
            path = path[:-1]  # both stand for the bench itself
        of_key = fault["type"] in {"missing", "unexpected_keyword_argument"} or fault["loc"][-1:] == ("name",)
        line, column = position(root, path[:-1] if fault["type"] == "missing" else path, of_key=of_key)
        yield Problem(file, line, column, ".".join(map(str, path)), text, hint)


def _echo(fault: dict[str, Any]) -> bool:
    """Tell whether a fault only repeats others: a list too short as its entries failed, keys missing in no mapping."""
    short = fault["type"] == "too_short" and bool(fault["input"])
    return short or (fault["type"] == "missing" and "" in fault["input"])


def _sentence(fault: dict[str, Any], path: Place) -> tuple[str, str]:
    key = str(path[-1]) if path else ""
    match fault["type"]:
        case "unexpected_keyword_argument" if key == "":
            return f"{shown(fault['input'])} is not a mapping", "write the bench's keys below its name, indented"
        case "unexpected_keyword_argument":
            choices = allowed_keys(path[:-1])
            return f"unknown key {shown(key)}", suggestion(key, choices) or f"known here: {', '.join(choices)}"
        case "enum":
            words = [str(word) for word in ENUMS[key]]
            return f"{shown(fault['input'])} is not one of {', '.join(words)}", suggestion(str(fault["input"]), words)
        case "missing" if path == ("benches",):
            return "'benches' is missing", "name at least one bench; `configs/` of ocdsup has examples"
        case "tuple_type" | "too_short" if path == ("benches",):
            return (
                "`benches` is not a mapping of names to benches",
                "write `benches:`, then `  nucleo:` and its keys below",
            )
        case "string_type" if "recovery" in path and isinstance(fault["input"], int | float):
            return f"{shown(fault['input'])} has no unit", f"write {fault['input']}s or {fault['input']}ms"
        case kind if kind in SENTENCES:
            return SENTENCES[kind](fault)
        case _:
            return str(fault["msg"]), ""


def user_path(loc: tuple[int | str, ...], root: Node) -> Place:
    """Turn pydantic's location, where benches have numbers, into the user's, where they have names."""
    if len(loc) < 2 or loc[0] != "benches":
        return loc
    assert isinstance(root.value, dict)
    benches = root.value["benches"].value
    assert isinstance(benches, dict)
    return ("benches", list(benches)[int(loc[1])], *loc[2:])


def position(root: Node, path: Place, *, of_key: bool = False) -> tuple[int, int]:
    """Return line and column of the deepest part of `path` that the file has: of its value, or of its key if asked."""
    node, key = root, root
    for step in path:
        match node.value, step:
            case dict() as entries, str() if step in entries:
                node, key = entries[step], node.keys[step]
            case list() as items, int() if step < len(items):
                node = key = items[step]
            case _:
                break
    chosen = key if of_key or node.value is None else node
    return chosen.line, chosen.column


def allowed_keys(path: Place) -> list[str]:
    """Return the keys the mapping at `path` may have."""
    if not path:
        return [entry.name for entry in fields(model.Config)]
    if len(path) == 2:
        return [entry.name for entry in fields(model.Bench) if entry.name != "name"]
    return [entry.name for entry in fields(KEYS[str(path[-1])])]


def suggestion(word: str, choices: list[str]) -> str:
    """Return "did you mean …?" for the nearest choice, or nothing when none is near."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), choices, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    near = near or [choice for choice in choices if len(word) > 2 and choice.startswith(word.lower())][:1]
    return f"did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """Return a value as the user may have written it, on one line and cut at 60 characters."""
    match value:
        case None:
            return "an empty value"
        case True | False:
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "…")
        case _:
            return str(value)[:60]


def _unquote(value: object) -> str:
    return "write it without quotes" if isinstance(value, str) and value.strip().isdigit() else ""
