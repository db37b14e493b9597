"""YAML text → `Config`, or one `ConfigError` with every problem of the file.

The order: YAML (`document`), then the shape (`shape`: keys, types, limits), then what only the whole file shows
(`checks`: ports and probes used twice, …). No step hides the problems of the next: wrong parts are first
replaced by harmless ones (`mend`) before the whole is looked at.
"""

import json

from pydantic import ValidationError

from ocdsup.config import checks, document, mend, wording
from ocdsup.config.document import Node, Plain
from ocdsup.config.model import SUPPORTED_VERSION, Config
from ocdsup.config.shape import adapter
from ocdsup.config.wording import Place
from ocdsup.errors import ConfigError, Problem


def load(text: str, file: str) -> Config:
    """Return the configuration that `text` holds; `file` is only named in problems.

    Raises:
        ConfigError: with all problems, in the order of the file.
    """
    root, problems = document.read(text, file)
    config: Config | None = None
    if root is not None:
        config, found = _validate(root, file)
        problems += found
    if problems or config is None:
        raise ConfigError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return config


def _validate(root: Node, file: str) -> tuple[Config | None, list[Problem]]:
    if not isinstance(root.value, dict):
        return None, [Problem(file, root.line, root.column, "", "the file is not a mapping", "begin with `version: 1`")]
    version = _version_problem(root, root.value.get("version"), file)
    if version is not None and "version" in root.value:
        return None, [version]  # every other line may mean something else in that version
    found = [] if version is None else [version]
    found += _names_inside(root, file)
    plain = _as_model(root)
    try:
        config = adapter().validate_json(json.dumps(plain))
    except ValidationError as error:
        found += wording.problems(error, root, file)
        config = adapter().validate_json(json.dumps(mend.mended(plain, [fault["loc"] for fault in error.errors()])))
    found += [_at(root, file, *issue) for issue in checks.cross(config)]
    return config, found


def _version_problem(root: Node, version: Node | None, file: str) -> Problem | None:
    if version is None:
        return Problem(file, root.line, root.column, "version", "`version` is missing", "add the line `version: 1`")
    value = version.value
    if type(value) is int and value == SUPPORTED_VERSION:
        return None
    if type(value) is int and value > SUPPORTED_VERSION:
        text = f"version {value} is newer than this ocdsup, which reads version {SUPPORTED_VERSION}"
        return Problem(file, version.line, version.column, "version", text, "upgrade ocdsup, or write `version: 1`")
    text = f"{wording.shown(version.plain())} is not a version of this file"
    return Problem(file, version.line, version.column, "version", text, "write `version: 1`")


def _as_model(root: Node) -> dict[str, Plain]:
    """Return the plain tree with `benches` as a list, each with its key as `name`: the shape of the model."""
    plain = root.plain()
    assert isinstance(plain, dict)
    plain.setdefault("version", SUPPORTED_VERSION)  # its absence is already a problem of its own
    benches = plain.get("benches")
    if isinstance(benches, dict):
        plain["benches"] = [
            body | {"name": name} if isinstance(body, dict) else {"": body, "name": name} for name, body in benches.items()
        ]
    elif isinstance(benches, list):
        plain["benches"] = "a list"  # a list of benches has no names; say so instead of reading it
    return plain


def _names_inside(root: Node, file: str) -> list[Problem]:
    """Find `name:` inside a bench: the key above is the name, a second one would be silently lost."""
    assert isinstance(root.value, dict)
    benches = root.value.get("benches")
    bodies = benches.value if benches is not None and isinstance(benches.value, dict) else {}
    hint = "the key above is the bench's name; remove this line"
    return [
        Problem(file, key.line, key.column, f"benches.{name}.name", "unknown key 'name'", hint)
        for name, body in bodies.items()
        if isinstance(body.value, dict) and (key := body.keys.get("name")) is not None
    ]


def _at(root: Node, file: str, path: Place, text: str, hint: str) -> Problem:
    line, column = wording.position(root, path)
    return Problem(file, line, column, ".".join(map(str, path)), text, hint)
