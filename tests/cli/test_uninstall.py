"""`uninstall` takes away what `install` wrote, and nothing else."""

from pathlib import Path

import pytest

from ocdsup.cli import install
from ocdsup.cli.main import main


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_only_the_configuration_and_foreign_files_stay(tmp_path: Path) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    (tmp_path / "etc/systemd/system/other.service").write_text("mine")
    assert main(["uninstall", "--system", "--root", str(tmp_path)]) == 0
    assert files(tmp_path) == {"etc/ocdsup/ocdsup.yaml", "etc/systemd/system/other.service"}


def test_a_dry_run_takes_nothing_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    before = files(tmp_path)
    capsys.readouterr()
    assert main(["uninstall", "--system", "--dry-run", "--root", str(tmp_path)]) == 0
    assert files(tmp_path) == before
    assert f"would remove {tmp_path}/etc/systemd/system/ocdsup.service\n" in capsys.readouterr().out


def test_what_was_never_installed_is_no_error(tmp_path: Path) -> None:
    assert main(["uninstall", "--system", "--root", str(tmp_path)]) == 0


def test_the_service_is_ended_before_its_files_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["uninstall", "--user", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "would run systemctl --user disable --now ocdsup.service"


def test_a_mask_and_any_other_link_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    unit = tmp_path / "etc/systemd/system/ocdsup.service"
    unit.unlink()
    unit.symlink_to(tmp_path / "mine")
    capsys.readouterr()
    for words in (["--dry-run"], []):
        assert main(["uninstall", "--system", "--root", str(tmp_path), *words]) == 0
        assert f"left     {unit}: a link to {tmp_path}/mine" in capsys.readouterr().out
    assert unit.is_symlink()


@pytest.mark.parametrize("text", ["version: 1\nbenches: {a: {openocd: {confg: [x]}}}\n", "\t{", ""])
def test_a_configuration_with_mistakes_keeps_nobody_from_it(tmp_path: Path, text: str) -> None:
    """Only the places of the files are needed to take them away."""
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    (tmp_path / "etc/ocdsup/ocdsup.yaml").write_text(text)
    assert main(["uninstall", "--system", "--root", str(tmp_path)]) == 0
    assert files(tmp_path) == {"etc/ocdsup/ocdsup.yaml"}


def test_a_unit_that_was_changed_by_hand_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    unit = tmp_path / "etc/systemd/system/ocdsup.service"
    unit.write_text("mine")
    for words, said in ((["--dry-run"], "would rename"), ([], "renamed ")):
        assert main(["uninstall", "--system", "--root", str(tmp_path), *words]) == 0
        assert f"{said} {unit}" in capsys.readouterr().out
    assert files(tmp_path) == {"etc/ocdsup/ocdsup.yaml", "etc/systemd/system/ocdsup.service.bak"}
    assert unit.with_name("ocdsup.service.bak").read_text() == "mine"


def test_directories_that_were_made_for_it_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_command", lambda *_args, **_kwargs: True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    assert main(["install", "--user"]) == 0
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o700
    assert main(["uninstall", "--user"]) == 0
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"data", "config", "config/ocdsup", "config/ocdsup/ocdsup.yaml"}


def test_it_says_what_stays_and_tells_udev_and_systemd(capsys: pytest.CaptureFixture[str]) -> None:
    """The rule is gone for what is plugged in, too; the user and its files are named with the command that takes them away."""
    assert main(["uninstall", "--system", "--dry-run"]) == 0
    out = capsys.readouterr().out
    commands = [line.removeprefix("would run ") for line in out.splitlines() if line.startswith("would run ")]
    assert commands[0] == "systemctl disable --now ocdsup.socket ocdsup.service"
    assert {"udevadm control --reload", "systemctl daemon-reload"} <= set(commands)
    assert not [line for line in commands if "sysusers" in line or "verify" in line]
    assert "userdel ocdsup; rm -r /etc/ocdsup /var/lib/ocdsup" in out
