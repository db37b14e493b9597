"""Completion and manual page are generated, current, and read without a complaint by bash and man."""

import re
import subprocess
from pathlib import Path

import pytest

from ocdsup.cli import pages
from ocdsup.cli.install import SHARE
from ocdsup.cli.main import VERBS


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_shipped_file_is_the_generated_one(name: str) -> None:
    assert (SHARE / name).read_text(encoding="utf-8") == pages.PAGES[name](), "run `python -m ocdsup.cli.pages`"


def completed(*words: str, folder: Path) -> list[str]:
    """What bash offers for the last word; `ocdsup` is a stand-in that knows one bench."""
    stand_in = folder / "ocdsup"
    stand_in.write_text('#!/bin/sh\necho \'{"benches": [{"name": "nucleo-7", "desired": "up"}]}\'\n', encoding="utf-8")
    stand_in.chmod(0o755)
    line = " ".join(f"'{word}'" for word in ("ocdsup", *words))
    script = (
        f'. "{SHARE}/ocdsup.bash"; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _ocdsup; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "--norc", "-uc", script], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["stat"], ["status"]),
        (["restart", "nuc"], ["nucleo-7"]),
        (["restart", "--un"], ["--under-reset"]),
        (["-c", "x.yaml", "ide", "plat"], ["platformio"]),
        (["--socket", "stop", "why", "n"], ["nucleo-7"]),
        (["check", "bench."], ["bench.yaml"]),
        (["-c", "bench."], ["bench.yaml"]),
        (["frobnicate", ""], []),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").touch()
    assert completed(*words, folder=tmp_path) == offered


def test_man_reads_the_page_without_a_warning(tmp_path: Path) -> None:
    """As Debian's lintian asks: no warning of groff, every verb is there."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100", "HOME": str(tmp_path)}
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(SHARE / "ocdsup.1")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    plain = re.sub(".\x08", "", done.stdout)  # bold is a letter typed twice
    assert [verb for verb in VERBS if not re.search(rf"^ +{verb}\b", plain, re.MULTILINE)] == []
