"""OpenOCD's command line is read as OpenOCD reads it."""

from __future__ import annotations

import pytest

from ocdsup.dropin.arguments import Arguments, Item, Kind, parse, spell

F, S, C, D, L = Kind.FILE, Kind.SEARCH, Kind.COMMAND, Kind.DEBUG, Kind.LOG


@pytest.mark.parametrize(
    ("argv", "items"),
    [
        (["-f", "a.cfg", "-s", "dir", "-c", "init"], [(F, "a.cfg"), (S, "dir"), (C, "init")]),
        (["-fa.cfg", "-sdir", "-cinit"], [(F, "a.cfg"), (S, "dir"), (C, "init")]),
        (["--file", "a.cfg", "--search=dir", "--command", "init"], [(F, "a.cfg"), (S, "dir"), (C, "init")]),
        (["--fil", "a.cfg", "--comm=init", "--log", "x.log"], [(F, "a.cfg"), (C, "init"), (L, "x.log")]),
        (["-c init"], [(C, " init")]),
        (["-d", "-d2", "--debug", "--debug=1", "-l", "log"], [(D, "3"), (D, "2"), (D, "3"), (D, "1"), (L, "log")]),
        (["-c", "-f"], [(C, "-f")]),
        (["-d-1", "-d0", "-d4"], [(D, "-1"), (D, "0"), (D, "4")]),
        (["-c", ""], [(C, "")]),
        (["-f", "a.cfg", "--"], [(F, "a.cfg")]),
        ([], []),
    ],
)
def test_items_come_in_their_order_glued_or_not_short_or_long(argv: list[str], items: list[tuple[Kind, str]]) -> None:
    assert parse(argv) == Arguments(tuple(Item(kind, text) for kind, text in items))


@pytest.mark.parametrize(
    ("argv", "question"), [(["--version"], "version"), (["-v"], "version"), (["-h"], "help"), (["-f", "x", "--help"], "help")]
)
def test_questions_are_noticed(argv: list[str], question: str) -> None:
    assert parse(argv).question == question


@pytest.mark.parametrize(
    ("argv", "wrong"),
    [
        (["board.cfg"], "unexpected argument 'board.cfg'"),
        (["-f", "a.cfg", "--", "b"], "unexpected argument 'b'"),
        (["-p"], "unknown option -p"),
        (["-x"], "unknown option -x"),
        (["--speed", "3"], "unknown option --speed"),
        (["-f"], "-f needs an argument"),
        (["--command"], "--command needs an argument"),
        (["--version=1"], "--version takes no argument"),
        (["-"], "unexpected argument '-'"),
        (["-dx"], "debug level 'x'"),
        (["-d9"], "debug level '9'"),
        (["--debug=2x"], "debug level '2x'"),
    ],
)
def test_what_cannot_be_read_is_said(argv: list[str], wrong: str) -> None:
    assert parse(argv).wrong == wrong


def test_items_can_be_spelt_again() -> None:
    argv = ["-d2", "-s", "x y", "-f", "a.cfg", "-c", "program {a b.elf} verify reset exit", "-l", "log"]
    assert spell(parse(argv).items) == argv
