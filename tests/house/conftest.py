"""The source tree as data: modules, what they import, their functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.Match)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of ours; `name` is its path below the root, without the ending."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def room(self) -> str:
        """The folder below `ocdsup/`; a file directly in it is a room of its own."""
        return self.name.split("/")[1]

    def imports(self) -> Iterator[str]:
        """Dotted names of everything imported, absolute; `from a import b` is `a.b`."""
        package = self.name.split("/")[:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                start = ".".join([*base, *([node.module] if node.module else [])])
                yield from (f"{start}.{alias.name}" for alias in node.names)

    def calls(self) -> Iterator[str]:
        """Names of everything called, as it is written (`open`, `datetime.now`)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func)

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def has_logic(self) -> bool:
        """Whether any function does more than a docstring, a `pass` or an ellipsis."""
        plain = (ast.Pass, ast.Expr)
        return any(not isinstance(step, plain) for function in self.functions() for step in function.body)


def depth(node: ast.AST, level: int = 0) -> int:
    """How deep blocks are nested below `node`; `elif` goes no deeper, and inner functions count for themselves."""
    deepest = level
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            continue
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        deepest = max(deepest, depth(child, level + (isinstance(child, _BLOCKS) and not is_elif)))
    return deepest


@cache
def read(folder: str) -> tuple[Module, ...]:
    files = sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)
    texts = [(path, path.read_text(encoding="utf-8")) for path in files]
    return tuple(Module(path.relative_to(ROOT).with_suffix("").as_posix(), text, ast.parse(text)) for path, text in texts)


@pytest.fixture
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture
def sources() -> tuple[Module, ...]:
    """Every module of the package."""
    return read("ocdsup")


@pytest.fixture
def tests() -> tuple[Module, ...]:
    """Every module of the test tree."""
    return read("tests")


@pytest.fixture
def nesting() -> object:
    """Measures how deep a function's blocks are nested."""
    return depth
