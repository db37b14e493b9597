"""The real OpenOCD is found behind the drop-in, and its configuration files as it would find them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ocdsup.cli.real_openocd import BECAME, OVERRIDE, Files, another, become, find, version
from ocdsup.errors import BackendError


def program(path: Path, text: str) -> Path:
    """A program in a folder of its own."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of `first` and `second`."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    monkeypatch.delenv(OVERRIDE, raising=False)
    monkeypatch.delenv(BECAME, raising=False)
    return tmp_path


def test_scripts_that_lead_back_to_us_are_passed_over(folders: Path) -> None:
    program(folders / "first" / "openocd", '#!/bin/sh\nexec ocdsup openocd "$@"\n')
    real = program(folders / "second" / "openocd", "#!/bin/sh\n")
    assert find() == str(real)


def test_a_link_to_us_is_passed_over(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    us = program(folders / "bin" / "tool", "#!/bin/sh\n")
    (folders / "first").mkdir()
    (folders / "first" / "openocd").symlink_to(us)
    monkeypatch.setattr(sys, "argv", [str(folders / "first" / "openocd")])
    with pytest.raises(BackendError, match="besides this drop-in"):
        find()


def test_a_path_in_the_environment_counts(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "/elsewhere/openocd")
    assert find() == "/elsewhere/openocd"


def test_a_version_is_what_the_program_says_on_stderr(folders: Path) -> None:
    own = program(folders / "first" / "openocd", "#!/bin/sh\necho 'Open On-Chip Debugger 0.11.0-rc2' >&2\n")
    assert str(version(str(own))) == "0.11.0-rc2"


@pytest.mark.parametrize("text", ["#!/bin/sh\n", "#!/nowhere/sh\n", "#!/bin/sh\necho Open On-Chip Debugger 0.7.0\n"])
def test_a_program_without_a_usable_version_is_said(folders: Path, text: str) -> None:
    with pytest.raises(BackendError):
        version(str(program(folders / "first" / "openocd", text)))


def test_a_benchs_own_program_is_told_from_the_callers(folders: Path) -> None:
    own = program(folders / "first" / "openocd", "#!/bin/sh\n")
    (folders / "link").symlink_to(own)
    assert another("/opt/other/openocd", str(own))
    assert not another(str(folders / "link"), str(own))
    assert not another("openocd", str(own)), "a name is looked up in each one's own PATH"


def test_becoming_ourselves_is_noticed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BECAME, "1")
    with pytest.raises(BackendError, match="leads back to this drop-in"):
        become(["-c", "init"])


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with a board file, what it sources, and a file of commands."""
    program(tmp_path / "board" / "x.cfg", "# a board\nsource [find interface/y.cfg]\n  source [find target/z.cfg]\n")
    program(tmp_path / "interface" / "y.cfg", "adapter driver dummy\n")
    program(tmp_path / "target" / "z.cfg", "source [find board/x.cfg]\nswd newdap z cpu\n")
    program(tmp_path / "helpers.tcl", "proc CDHello {} {}\n")
    return tmp_path


def test_a_board_file_is_known_by_all_that_it_sources(scripts: Path) -> None:
    """Also when two files source each other."""
    assert Files([str(scripts)]).names(["board/x.cfg"]) == {"board/x.cfg", "interface/y.cfg", "target/z.cfg"}


def test_a_file_that_is_not_there_is_known_by_its_name(scripts: Path) -> None:
    assert Files([]).names(["nowhere.cfg"]) == {"nowhere.cfg"}


def test_a_file_that_is_not_read_is_named_with_the_reason(scripts: Path) -> None:
    program(scripts / "mine.cfg", "adapter speed 100\n")
    asked = ["board/x.cfg", "mine.cfg", "helpers.tcl", "target/z.cfg", "nowhere.cfg"]
    assert Files([str(scripts)]).unread(asked, frozenset({"target/z.cfg"})) == [
        ("board/x.cfg", "it sets OpenOCD up"),
        ("mine.cfg", "it sets OpenOCD up"),
        ("nowhere.cfg", "it is not found"),
    ]


def test_only_files_that_set_nothing_up_are_scripts(scripts: Path) -> None:
    assert Files([str(scripts)]).scripts(["board/x.cfg", "helpers.tcl", "nowhere.cfg"]) == [str(scripts / "helpers.tcl")]
