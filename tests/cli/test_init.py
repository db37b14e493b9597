"""`init` writes a configuration that loads, and never over one that is there."""

from pathlib import Path

import pytest

from ocdsup.cli import init
from ocdsup.cli.main import main
from ocdsup.config.starter import Found
from ocdsup.probes.known import ST_LINK_V2
from ocdsup.probes.probe import Probe


def test_what_it_writes_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "ocdsup.yaml"
    assert main(["init", str(file), "--simulated"]) == 0
    assert f"ocdsup check -c {file}" in capsys.readouterr().err
    assert main(["check", "-q", str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ocdsup.yaml"
    file.write_text("mine")
    assert main(["init", str(file)]) == 2
    assert "it is there already" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main(["init", str(file), "--force"]) == 0
    assert file.read_text().startswith("#")


def test_stdout_is_a_place_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-", "--simulated"]) == 0
    assert capsys.readouterr().out.endswith("ports: {gdb: 3333, telnet: 4444}\n")


def test_without_a_name_it_goes_where_the_daemon_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OCDSUP_CONFIG", raising=False)
    assert main(["init", "--simulated"]) == 0
    assert (tmp_path / "ocdsup/ocdsup.yaml").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file" / "a.yaml")]) == 2
    assert "cannot write it" in capsys.readouterr().err


@pytest.mark.parametrize("serial", ["\x01\x02W\xff", 'a"b', "a\\b", ""])
def test_a_serial_that_cannot_be_written_down_is_not(serial: str) -> None:
    """Old ST-LINK/V2 send raw bytes; the USB port tells such a probe apart."""
    assert init.found(Probe("0483:3748", serial, ST_LINK_V2, location="1-2")).serial == ""
    assert init.found(Probe("0483:3748", "066BFF", ST_LINK_V2, location="1-2")).serial == "066BFF"


@pytest.mark.parametrize(
    ("words", "probes", "noted"),
    [
        (["--target", "target/stm32f1x.cfg"], (), "no probe that OpenOCD drives is plugged in"),
        (["--target", "target/stm32f1x.cfg", "--simulated"], (), "the simulated board has its own"),
        (["--target", "target/stm32f4x.cfg"], (), ""),
        (["--target", "target/stm32f1x.cfg"], (Found("st-link", "ST-LINK/V2", "0483:3748", "066B", "1-2"),), ""),
    ],
)
def test_a_target_that_is_not_used_is_said(
    words: list[str],
    probes: tuple[Found, ...],
    noted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a probe the file is for the simulated board, whatever chip was named."""
    monkeypatch.setattr(init, "probes", lambda: probes)
    assert main(["init", "-", *words]) == 0
    said = capsys.readouterr()
    assert said.err == (f"ocdsup: --target {words[1]} is not used: {noted}\n" if noted else "")
    assert (words[1] in said.out) == (not noted)


def test_it_says_where_the_examples_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the package: nobody who has installed it with pipx has a clone."""
    assert main(["init", str(tmp_path / "a.yaml"), "--simulated"]) == 0
    folder = Path(capsys.readouterr().err.rpartition(": ")[2].strip())
    assert (folder / "nucleo-f411re.yaml").is_file()


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    """A link is followed here: the name is the user's own choice."""
    (tmp_path / "a.yaml").symlink_to("real.yaml")
    (tmp_path / "real.yaml").write_text("mine")
    (tmp_path / "real.yaml").chmod(0o600)
    assert main(["init", str(tmp_path / "a.yaml"), "--simulated", "--force"]) == 0
    assert (tmp_path / "real.yaml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "real.yaml").read_text().startswith("#")
