"""`--version --json` names what a report of a problem has to name."""

import json
from pathlib import Path

import pytest

from ocdsup import __version__
from ocdsup.cli.main import main


def test_all_four_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"ocdsup", "python", "kernel", "openocd"}
    assert found["ocdsup"] == __version__
    assert found["openocd"].startswith("Open On-Chip Debugger ")


def test_no_openocd_is_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--json", "--version"]) == 0
    assert json.loads(capsys.readouterr().out)["openocd"] is None


def test_an_openocd_that_cannot_be_run_is_null(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "openocd").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "openocd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["openocd"] is None
