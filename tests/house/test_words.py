"""What no file of the repository may say, and what may lie at its top."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOP = frozenset(
    """
    pyproject.toml README.md CHANGELOG.md LICENSE requirements.lock dev ocdsup configs tests systemd docker
    """.split()  # noqa: SIM905  # a list of names reads better as a line
)
# Spelled in halves, so that this file does not say them either.
REGISTRIES = tuple(
    "".join(halves)
    for halves in (
        ("pypi", ".org"),
        ("python", "hosted"),
        ("npmjs", ".com"),
        ("npmjs", ".org"),
        ("crates", ".io"),
        ("rubygems", ".org"),
        ("docker", ".io"),
        ("ghcr", ".io"),
        ("quay", ".io"),
        ("proxy.golang", ".org"),
        ("--extra-index", "-url "),
        ("conda", ".anaconda"),
    )
)
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")


@pytest.fixture
def tracked(root: Path) -> dict[str, bytes]:
    """Every file under version control and its bytes; in an unpacked archive, every file of the known folders."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    if not names:
        files = (path for top in TOP for path in [root / top, *(root / top).rglob("*")])
        names = [path.relative_to(root).as_posix() for path in files if "__pycache__" not in path.parts]
    return {name: (root / name).read_bytes() for name in names if (root / name).is_file()}


def saying(tracked: dict[str, bytes], words: tuple[str, ...]) -> list[str]:
    return [f"{name}: {word}" for name, text in tracked.items() for word in words if word.encode() in text]


def test_no_file_names_a_package_registry(tracked: dict[str, bytes]) -> None:
    assert saying(tracked, REGISTRIES) == []


def test_nothing_is_left_for_later(tracked: dict[str, bytes]) -> None:
    ours = {name: text for name, text in tracked.items() if name.endswith((".py", ".toml", ".md", ".sh", ".yaml", "dev"))}
    assert saying(ours, UNFINISHED) == []


def test_the_top_holds_only_what_belongs_there(tracked: dict[str, bytes]) -> None:
    tops = {name.split("/")[0] for name in tracked}
    assert {top for top in tops if not top.startswith(".")} - TOP == set()


def test_every_text_file_ends_with_a_newline(tracked: dict[str, bytes]) -> None:
    texts = (name for name in tracked if name.endswith((".py", ".toml", ".md", ".yaml", ".json")))
    assert [name for name in texts if tracked[name] and not tracked[name].endswith(b"\n")] == []
