"""The GDB/MI client: answers belong to their commands, stops are kept, and what does not come is an error in time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ocdsup.demo.gdb import Gdb, GdbError, find_gdb
from ocdsup.demo.story import firmware
from ocdsup.errors import OcdsupError

# A GDB of a few lines: `-say TEXT` prints TEXT, every other command is done; `\\n` in TEXT ends a line.
FAKE = """#!{python} -SE
import re, sys
for line in sys.stdin:
    token, text = re.fullmatch(r"([0-9]*)(.*)", line.rstrip()).groups()
    if text == "-gdb-exit":
        break
    if text.startswith("-say "):
        print(text[5:].replace("\\\\n", "\\n").replace("TOKEN", token), flush=True)
    elif text != "-silence":
        print(token + "^done,seen=" + text, flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the small GDB first on the PATH."""
    program = tmp_path / "gdb-multiarch"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program


def test_the_real_gdb_answers_about_the_demo_firmware() -> None:
    with Gdb(firmware()) as gdb:
        assert gdb.command("-data-evaluate-expression 6*7") == ',value="42"'
        assert 'name="blink"' in gdb.command("-symbol-info-functions --name ^blink$")


def test_an_error_of_gdb_is_raised_with_its_own_words() -> None:
    with Gdb(firmware()) as gdb, pytest.raises(GdbError, match="No symbol"):
        gdb.command("-data-evaluate-expression no_such_thing")


def test_a_gdb_that_is_not_installed_is_named_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OcdsupError, match="apt install gdb-multiarch"):
        find_gdb()


def test_the_late_answer_to_a_command_that_was_given_up_is_not_taken_for_the_next(fake: Path) -> None:
    with Gdb(firmware()) as gdb:
        with pytest.raises(GdbError, match=r"no answer within 0\.05 s"):
            gdb.command("-silence", timeout_s=0.05)
        late = f"{gdb._token}^done,late"
        assert gdb.command(f"-say {late}\\nTOKEN^done,right") == ",right"


def test_a_stop_is_kept_until_it_is_waited_for_and_one_without_a_reason_is_none(fake: Path) -> None:
    with Gdb(firmware()) as gdb:
        gdb.command('-say *stopped,frame={}\\n*stopped,reason="breakpoint-hit"\\nTOKEN^done')
        assert not gdb.no_stop_waiting()
        assert gdb.wait_stop() == '*stopped,reason="breakpoint-hit"'
        assert gdb.no_stop_waiting()


def test_a_program_that_does_not_stop_is_an_error_with_the_end_of_the_log(fake: Path) -> None:
    with Gdb(firmware()) as gdb:
        gdb.command("-say ~last words\\nTOKEN^done")
        with pytest.raises(GdbError, match=r"ran on for 0\.05 s.*last words"):
            gdb.wait_stop(timeout_s=0.05)


def test_a_gdb_that_has_ended_is_an_error_and_closes_all_the_same(fake: Path) -> None:
    gdb = Gdb(firmware())
    gdb.close()
    with pytest.raises((GdbError, ValueError)):
        gdb.command("-gdb-version")
    gdb.close()
