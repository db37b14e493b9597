"""Tcl read as data: where the commands and the words of a script begin and end. Nothing is evaluated.

The rules are Jim's, which OpenOCD embeds (jim.c, JimParseScript): a quote or a brace opens a group only at the start of a word,
a bracket everywhere but in braces, and a `#` a comment only where a command may begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACE = " \t\r\f\v"
_ENDS = ";\n"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"n": "\n", "t": "\t", "r": "\r", "\n": " "}


class OpenGroupError(ValueError):
    """A brace, bracket or quote is not closed, which Jim refuses before it runs anything."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its braces or quotes. `literal`: no substitution can change it."""

    text: str
    literal: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is written, and its words."""

    text: str
    words: tuple[Word, ...]


def commands(script: str) -> list[Command]:
    """Return the commands of a script, without its comments. Raises OpenGroupError."""
    found, at = list[Command](), 0
    while at < len(script):
        if script[at] in _SPACE + _ENDS:
            at += 1
        elif script.startswith("\\\n", at):
            at += 2
        elif script[at] == "#":
            at = _comment_end(script, at)
        else:
            one, at = _command(script, at)
            found.append(one)
    return found


def substituted(word: str) -> list[str]:
    """Return the scripts in the brackets of a word that is not literal. Raises OpenGroupError."""
    found, at = list[str](), 0
    while at < len(word):
        end = _past(word, at)
        if word[at] == "[":
            found.append(word[at + 1 : end - 1])
        at = end
    return found


def _comment_end(script: str, at: int) -> int:
    while at < len(script) and script[at] != "\n":
        at += 2 if script[at] == "\\" else 1  # a backslash at the end of the line continues the comment
    return at


def _command(script: str, at: int) -> tuple[Command, int]:
    start, words = at, list[Word]()
    while at < len(script) and script[at] not in _ENDS:
        if script[at] in _SPACE:
            at += 1
        elif script.startswith("\\\n", at):
            at += 2
        else:
            word, at = _word(script, at)
            words.append(word)
    return Command(script[start:at].strip(), tuple(words)), at


def _word(script: str, at: int) -> tuple[Word, int]:
    if script[at] == "{":
        end = _brace_end(script, at)
        if end >= len(script) or script[end] in _SPACE + _ENDS:
            return Word(script[at + 1 : end - 1], literal=True), end
        _, end = _word(script, end)  # `{*}$list`: a word that becomes several
        return Word(script[at:end], literal=False), end
    if script[at] == '"':
        end = _quote_end(script, at)
        return _plain(script[at + 1 : end - 1]), end
    end = _bare_end(script, at)
    return _plain(script[at:end]), end


def _plain(text: str) -> Word:
    meant = _ESCAPED.sub(lambda found: _MEANS.get(found[1], found[1]), text)
    return Word(meant, literal=not set("$[") & set(_ESCAPED.sub("", text)))


def _bare_end(script: str, at: int) -> int:
    while at < len(script) and script[at] not in _SPACE + _ENDS and not script.startswith("\\\n", at):
        at = _past(script, at)
    return at


def _past(script: str, at: int) -> int:
    """The place behind one character of a word, or behind the substitution that begins there."""
    if script[at] == "\\":
        return min(at + 2, len(script))
    if script[at] == "[":
        return _bracket_end(script, at)
    if script.startswith("${", at):
        end = script.find("}", at)
        if end < 0:
            raise OpenGroupError("a brace is not closed")
        return end + 1
    return at + 1


def _brace_end(script: str, at: int) -> int:
    depth = 0
    while at < len(script):
        char = script[at]
        depth += (char == "{") - (char == "}")
        at += 2 if char == "\\" else 1
        if not depth:
            return at
    raise OpenGroupError("a brace is not closed")


def _quote_end(script: str, at: int) -> int:
    at += 1
    while at < len(script) and script[at] != '"':
        at = _past(script, at)
    if at >= len(script):
        raise OpenGroupError("a quote is not closed")
    return at + 1


def _bracket_end(script: str, at: int) -> int:
    """Behind the `]` of a command substitution: groups count where its own words begin."""
    at, fresh = at + 1, True
    while at < len(script) and script[at] != "]":
        char = script[at]
        if char in _SPACE + _ENDS:
            at, fresh = at + 1, True
        elif fresh and char in '{"':
            at, fresh = (_brace_end if char == "{" else _quote_end)(script, at), False
        else:
            at, fresh = _past(script, at), False
    if at >= len(script):
        raise OpenGroupError("a bracket is not closed")
    return at + 1
