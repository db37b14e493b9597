"""OpenOCD's own command line, read as its getopt_long reads it (src/helper/options.c, 0.10 … 0.12)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an item is; the value is the short option that spells it."""

    FILE = "f"
    SEARCH = "s"
    COMMAND = "c"
    DEBUG = "d"
    LOG = "l"


@dataclass(frozen=True, slots=True)
class Item:
    """One option with its argument, in the order of the command line."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """`question` is `version` or `help` if that was asked, `wrong` what could not be read: both are for the real one."""

    items: tuple[Item, ...] = ()
    question: str = ""
    wrong: str = ""


LONG = {"help": "h", "version": "v", "debug": "d", "file": "f", "search": "s", "log_output": "l", "command": "c"}
QUESTIONS = {"h": "help", "v": "version"}
TAKES = frozenset("fslc")
DEFAULT_DEBUG = "3"  # `-d` alone
_LEVEL = re.compile(r"-[1-3]|[0-5]")  # log.c: silent to 4, on master 5


class _WrongError(Exception):
    pass


def parse(argv: Sequence[str]) -> Arguments:
    """Return what a command line (without the program's name) says."""
    items: list[Item] = []
    try:
        for letter, text in _options(argv):
            if letter in QUESTIONS:
                return Arguments(tuple(items), question=QUESTIONS[letter])
            if letter == "d" and not _LEVEL.fullmatch(text):
                return Arguments(tuple(items), wrong=f"debug level {text!r}")
            items.append(Item(Kind(letter), text))
    except _WrongError as error:
        return Arguments(tuple(items), wrong=str(error))
    return Arguments(tuple(items))


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    words = iter(argv)
    for word in words:
        if word == "--":
            for more in words:
                raise _WrongError(f"unexpected argument {more!r}")
            return
        if word.startswith("--"):
            yield _long(word[2:], words)
        elif word.startswith("-") and len(word) > 1:
            yield from _short(word[1:], words)
        else:
            raise _WrongError(f"unexpected argument {word!r}")


def _long(word: str, words: Iterator[str]) -> tuple[str, str]:
    name, equals, glued = word.partition("=")
    fitting = [known for known in LONG if known == name] or [known for known in LONG if known.startswith(name)]
    if len(fitting) != 1:
        raise _WrongError(f"unknown option --{name}")
    letter = LONG[fitting[0]]
    if letter in TAKES:
        return letter, glued if equals else _argument(f"--{name}", words)
    if letter == "d":
        return letter, glued or DEFAULT_DEBUG
    if equals:
        raise _WrongError(f"--{name} takes no argument")
    return letter, ""


def _short(letters: str, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """One word may hold several letters; the first that takes an argument takes the rest of the word (west: `-c init`)."""
    for at, letter in enumerate(letters):
        rest = letters[at + 1 :]
        if letter in TAKES:
            yield letter, rest or _argument(f"-{letter}", words)
            return
        if letter == "d":
            yield letter, rest or DEFAULT_DEBUG
            return
        if letter not in QUESTIONS:
            raise _WrongError(f"unknown option -{letter}")
        yield letter, ""


def _argument(option: str, words: Iterator[str]) -> str:
    text = next(words, None)
    if text is None:
        raise _WrongError(f"{option} needs an argument")
    return text


def spell(items: Sequence[Item]) -> list[str]:
    """Return a command line that says these items."""
    return [word for item in items for word in _spelt(item)]


def _spelt(item: Item) -> list[str]:
    return [f"-d{item.text}"] if item.kind is Kind.DEBUG else [f"-{item.kind.value}", item.text]
