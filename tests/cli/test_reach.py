"""What a program needs to start is followed through links and first lines."""

from pathlib import Path

import pytest

import ocdsup
from ocdsup.cli import reach


def test_every_link_on_the_way_is_a_step(tmp_path: Path) -> None:
    """Of the file and of a directory: each place has to be seen, not only the last."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "program").touch()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "second").symlink_to(tmp_path / "folder/program")
    (tmp_path / "first").symlink_to("second")
    steps = [Path(step).relative_to(tmp_path).as_posix() for step in reach.way(str(tmp_path / "first"))]
    assert steps == ["first", "second", "folder/program", "real/program"]


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(reach.way(str(tmp_path / "loop")))) == reach.LINKS


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("#!/opt/venv/bin/python\n", ["/opt/venv/bin/python"]),
        ("#! /opt/venv/bin/python -s\nimport x\n", ["/opt/venv/bin/python"]),
        ("import x\n", []),
        ("", []),
    ],
)
def test_a_script_needs_its_interpreter(tmp_path: Path, first: str, found: list[str]) -> None:
    (tmp_path / "script").write_text(first)
    assert list(reach.interpreter(str(tmp_path / "script"))) == found


def test_env_finds_it_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python9").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "script").write_text("#!/usr/bin/env python9\n")
    assert reach.interpreter(str(tmp_path / "script")) == ("/usr/bin/env", str(tmp_path / "python9"))


def test_what_is_not_there_has_none(tmp_path: Path) -> None:
    assert reach.interpreter(str(tmp_path / "none")) == ()


def test_a_command_needs_its_program_its_interpreter_and_the_package(tmp_path: Path) -> None:
    """The package: an editable installation imports it from somebody's clone."""
    (tmp_path / "python").touch()
    (tmp_path / "ocdsup").write_text(f"#!{tmp_path}/python\n")
    found = reach.needed([str(tmp_path / "ocdsup"), "-m", "x"])
    assert set(found) >= {f"{tmp_path}/ocdsup", f"{tmp_path}/python", ocdsup.__file__}
    assert "x" not in found
