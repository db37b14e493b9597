"""YAML text → a tree of nodes that know their line and column, strict where YAML is dangerous.

Plain scalars follow the core schema of YAML 1.2 (its specification, 10.3.2), not PyYAML's 1.1: `no` and `1:30`
are strings and `0777` is no octal number. Anchors, aliases and tags are refused (an alias bomb is 2 ms to load and an
eternity to print), as are duplicate keys, further documents, deep nesting and large files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from ocdsup.errors import Problem

SIZE_LIMIT = 256 * 1024  # bytes
DEPTH_LIMIT = 16  # the model needs 5

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

CORE = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,40}"), int),
    (re.compile(r"0o[0-7]{1,40}"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,40}"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
)


@dataclass(slots=True)
class Node:
    """One value of the file; `line` and `column` count from 1. Containers hold nodes, scalars a resolved value."""

    line: int
    column: int
    value: "bool | int | float | str | list[Node] | dict[str, Node] | None"
    keys: "dict[str, Node]" = field(default_factory=dict)
    """Where each key of a mapping stands (the value of such a node is the key itself)."""

    def plain(self) -> Plain:
        """Return the value without positions."""
        match self.value:
            case dict() as entries:
                return {key: node.plain() for key, node in entries.items()}
            case list() as items:
                return [node.plain() for node in items]
            case scalar:
                return scalar


class _RefusedError(Exception):
    """A construct that makes the rest of the file meaningless to read."""

    def __init__(self, mark: yaml.Mark, text: str, hint: str) -> None:
        self.mark, self.text, self.hint = mark, text, hint


def read(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Return the tree of the file and the problems of its YAML; no tree when there is nothing to go on with."""
    if len(text.encode("utf-8", "surrogatepass")) > SIZE_LIMIT:  # whoever reads it stops there and does not know its size
        said = f"the file is larger than a configuration may be, {SIZE_LIMIT} bytes"
        return None, [Problem(file, 0, 0, "", said, "is it the file you mean? `configs/` of ocdsup has examples")]
    problems: list[Problem] = []
    try:
        root = _Builder(file, problems).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except _RefusedError as fault:
        mark = fault.mark
        problems.append(Problem(file, mark.line + 1, mark.column + 1, "", fault.text, fault.hint))
        return None, problems
    except yaml.YAMLError as error:
        problems.append(_syntax(error, text, file))
        return None, problems
    if root is None:
        problems.append(
            Problem(
                file, 0, 0, "", "the file is empty", "begin with `version: 1` and `benches:`; `configs/` of ocdsup has examples"
            )
        )
    return root, problems


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Turn PyYAML's own error into a problem with a place."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Problem(file, line, column, "", f"character U+{ord(text[error.position]):04X} is not allowed in YAML")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    what = getattr(error, "problem", None) or "the YAML cannot be read"
    hint = "indent with spaces" if "\\t" in what else "check indentation, quotes and brackets on this line and the one above"
    return Problem(file, line, column, "", what, hint)


def scalar_value(text: str) -> bool | int | float | str | None:
    """Return what a plain (unquoted) scalar means in the YAML 1.2 core schema."""
    for pattern, convert in CORE:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _mark(event: yaml.Event) -> yaml.Mark:
    """Return where an event begins; the parser always knows, the type stubs do not say so."""
    assert isinstance(event.start_mark, yaml.Mark)
    return event.start_mark


class _Builder:
    """Consumes parser events; keeps a stack of open containers so that nesting never recurses."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.root: Node | None = None
        self.open: list[tuple[Node, Node | None]] = []  # container, key waiting for its value
        self.documents = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            self._refuse(event)
            match event:
                case yaml.MappingStartEvent():
                    self._enter(event, {})
                case yaml.SequenceStartEvent():
                    self._enter(event, [])
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._place(self.open.pop()[0])
                case yaml.ScalarEvent():
                    self._scalar(event)
                case _:
                    pass  # begin and end of stream and document
        return self.root

    def _refuse(self, event: yaml.Event) -> None:
        mark = _mark(event)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _RefusedError(mark, "a second document begins here", "keep one document per file, remove the `---`")
        elif isinstance(event, yaml.AliasEvent):
            raise _RefusedError(mark, f"alias *{event.anchor} is not allowed", "write the value out")
        elif anchor := getattr(event, "anchor", None):
            raise _RefusedError(mark, f"anchor &{anchor} is not allowed", "write the value out where it is used")
        elif tag := getattr(event, "tag", None):
            raise _RefusedError(mark, f"tag {tag} is not allowed", "remove it; put text in quotes")

    def _enter(self, event: yaml.Event, empty: "list[Node] | dict[str, Node]") -> None:
        mark = _mark(event)
        if len(self.open) >= DEPTH_LIMIT:
            raise _RefusedError(mark, f"more than {DEPTH_LIMIT} levels of nesting", "no key needs so many")
        if self._key_expected():
            raise _RefusedError(
                mark, "a key must be a word, not a list or mapping", "put `{…}` or `[…]` in quotes or remove it"
            )
        self.open.append((Node(mark.line + 1, mark.column + 1, empty), None))

    def _key_expected(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0].value, dict) and self.open[-1][1] is None

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        mark = _mark(event)
        quoted = event.style is not None
        if self._key_expected():
            key = Node(mark.line + 1, mark.column + 1, event.value)
            self.open[-1] = (self.open[-1][0], key)
        else:
            value = event.value if quoted else scalar_value(event.value)
            self._place(Node(mark.line + 1, mark.column + 1, value))

    def _place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        container, key = self.open[-1]
        if isinstance(container.value, list):
            container.value.append(node)
            return
        assert isinstance(container.value, dict)
        assert key is not None
        self.open[-1] = (container, None)
        self._add(container, container.value, key, node)

    def _add(self, container: Node, entries: dict[str, Node], key: Node, node: Node) -> None:
        name = str(key.value)
        first = container.keys.get(name)
        if first is not None:
            text = f"key {name!r} is already on line {first.line}"
            self.problems.append(Problem(self.file, key.line, key.column, "", text, "keep one of the two"))
            return
        container.keys[name] = key
        entries[name] = node
