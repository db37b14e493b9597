"""`check` shows effective values, or every problem."""

from pathlib import Path

import pytest

from ocdsup.cli.main import main

GOOD = "version: 1\nbenches: {a: {openocd: {config: [x]}}}\n"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_good_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", write(tmp_path / "a.yaml", GOOD)]) == 0
    assert "gdb: 3333  # default" in capsys.readouterr().out


def test_a_bad_file_is_2_with_all_problems_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.yaml", "version: 1\nbenches: {A: {openocd: {}}}\n")
    assert main(["-c", file, "check"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"{file}:2:11: benches.A: 'A' is not a bench name; use lower-case letters, digits and '-', a letter first, at most 32",
        f"{file}:2:15: benches.A.openocd.config: 'config' is missing",
    ]


def test_quiet_says_nothing_and_json_says_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.yaml", GOOD)
    assert main(["check", "--quiet", file]) == 0
    assert capsys.readouterr().out == ""
    assert main(["check", "--json", file]) == 0
    assert '"window": 10.0' in capsys.readouterr().out


def test_the_default_file_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["check"]) == 2
    assert f"{tmp_path}/.config/ocdsup/ocdsup.yaml: cannot read it" in capsys.readouterr().err


def test_a_group_writable_file_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.yaml", GOOD)
    Path(file).chmod(0o660)
    assert main(["check", "-q", file]) == 0
    assert "warning: " in capsys.readouterr().err
