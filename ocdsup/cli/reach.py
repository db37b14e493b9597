"""Every path that the kernel and Python have to pass to start a program: links by links, the interpreter, the package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

import ocdsup

LINKS = 40  # as many as the kernel follows (path_resolution(7))


def needed(program: Sequence[str]) -> tuple[str, ...]:
    """The paths that a command needs: its absolute words, what they lead to, who interprets them, and where ocdsup is."""
    starts = [word for word in program if word.startswith("/")]
    starts += [inner for word in starts for inner in interpreter(word)]
    starts.append(os.path.abspath(ocdsup.__file__))
    return tuple(dict.fromkeys(path for start in starts for path in way(start)))


def way(path: str) -> Iterator[str]:
    """The path, and after each link on it, also of a directory, the path that it stands for."""
    for _ in range(LINKS):
        yield path
        link = next((part for part in _prefixes(path) if os.path.islink(part)), None)
        if link is None:
            return
        to = os.path.join(os.path.dirname(link), os.readlink(link))
        path = os.path.normpath(to + path[len(link) :])


def _prefixes(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(2, len(parts) + 1))


def interpreter(path: str) -> tuple[str, ...]:
    """The absolute words of a script's first line (execve(2)); `env` finds the last one on the PATH."""
    try:
        with open(path, "rb") as stream:
            first = stream.readline(256)
    except OSError:
        return ()
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env" and (found := shutil.which(words[-1])):
        words.append(found)
    return tuple(word for word in words if word.startswith("/"))
