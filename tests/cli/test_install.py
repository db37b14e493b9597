"""`install` writes what it says, below a root of the test's own; what it wrote passes systemd's own check."""

import os
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup.cli import install, own_files, service_files
from ocdsup.cli.main import main
from tests.cli.conftest import Answers, Daemon

SYSTEM = {
    "etc/systemd/system/ocdsup.service",
    "etc/systemd/system/ocdsup.socket",
    "etc/sysusers.d/ocdsup.conf",
    "etc/tmpfiles.d/ocdsup.conf",
    "etc/udev/rules.d/60-ocdsup.rules",
    "etc/ocdsup/ocdsup.yaml",
    "usr/local/share/bash-completion/completions/ocdsup",
    "usr/local/share/man/man1/ocdsup.1",
}


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_system_files_are_where_systemd_looks(tmp_path: Path) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    assert files(tmp_path) == SYSTEM
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in SYSTEM} == {0o644}
    assert main(["check", "-q", str(tmp_path / "etc/ocdsup/ocdsup.yaml")]) == 0


def test_systemd_has_nothing_to_say_about_what_was_written(tmp_path: Path) -> None:
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    units = [str(tmp_path / "etc/systemd/system" / name) for name in ("ocdsup.service", "ocdsup.socket")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ExecStart={sys.executable} -m ocdsup run -c /etc/ocdsup/ocdsup.yaml" in Path(units[0]).read_text()


def test_a_configuration_that_is_there_stays_and_its_ports_are_listened_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "etc/ocdsup/ocdsup.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("version: 1\nbenches: {a: {openocd: {config: [x]}, ports: {gdb: 3393, telnet: 4494}}}\n")
    file.chmod(0o644)
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    assert f"kept     {file}" in capsys.readouterr().out
    socket = (tmp_path / "etc/systemd/system/ocdsup.socket").read_text()
    assert "ListenStream=[::1]:3393\n" in socket
    assert "3333" not in socket


def test_systemd_reloads_where_the_configuration_says_the_control_socket_is(
    tmp_path: Path, daemon: Callable[[Answers], Daemon]
) -> None:
    """ExecReload= of the unit as it was written, with a `control:` of the user's own."""
    running = daemon(lambda _: [{"ok": True, "result": {"text": "nothing changed"}}])
    file = tmp_path / "etc/ocdsup/ocdsup.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"version: 1\ncontrol: {running.path}\nbenches: {{a: {{openocd: {{config: [x]}}}}}}\n")
    file.chmod(0o644)
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    unit = (tmp_path / "etc/systemd/system/ocdsup.service").read_text().replace("/etc/ocdsup/ocdsup.yaml", str(file))
    command = next(line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecReload="))
    assert main(command.removeprefix(f"{sys.executable} -m ocdsup ").split()) == 0
    assert [request["verb"] for request in running.asked] == ["reload"]


def test_a_dry_run_shows_everything_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with their text, and every command."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert main(["install", "--user", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"would write {tmp_path}/config/systemd/user/ocdsup.service:\n" in out
    assert "    WatchdogSec=30\n" in out
    assert "would run systemctl --user daemon-reload\n" in out
    assert files(tmp_path) == set()


def test_a_user_gets_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside their home, and commands of their own manager only."""
    commands: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], *, dry_run: bool) -> bool:
        commands.append(command)
        return not dry_run

    monkeypatch.setattr(install, "run_command", run)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert main(["install", "--user"]) == 0
    assert files(tmp_path) == {
        "config/systemd/user/ocdsup.service",
        "config/ocdsup/ocdsup.yaml",
        "data/bash-completion/completions/ocdsup",
        "data/man/man1/ocdsup.1",
    }
    assert all("--user" in command for command in commands)


@pytest.mark.parametrize(
    ("there", "kept_away"),
    [("ocdsup", False), ("structlog", False), ("PyYAML", False), ("pydantic_core", True), ("other", True), (None, True)],
)
def test_a_program_in_the_packages_of_its_user_still_finds_itself(
    there: str | None,
    kept_away: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`pip install --user`, with `-e` too: the unit keeps Python away from that folder only when nothing of ocdsup is in it."""
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(tmp_path / "site"))
    if there is not None:
        (tmp_path / f"site/{there}-1.dist-info").mkdir(parents=True)
        (tmp_path / f"site/{there}-1.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: {there}\nVersion: 1\n")
    assert main(["install", "--user", "--dry-run"]) == 0
    assert ("PYTHONNOUSERSITE=1" in capsys.readouterr().out) == kept_away


@pytest.mark.parametrize("words", [[], ["--dry-run"]], ids=["for real", "dry run"])
def test_a_system_service_is_refused_a_program_that_it_could_not_see(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run shows its plan and then the same refusal; the hint is a line that can be typed in a clone."""
    monkeypatch.setattr(install, "own_program", lambda: ["/home/me/.local/bin/ocdsup"])
    monkeypatch.setattr(own_files, "put", lambda *_: pytest.fail("it wrote something"))
    monkeypatch.setattr(install, "run_command", lambda *_args, **_kwargs: None)
    assert main(["install", "--system", *words]) == 1
    said = capsys.readouterr()
    assert f"`{install.FOR_EVERYBODY}`" in said.err
    assert ("ExecStart=/home/me" in said.out) == bool(words)
    assert "next:" not in said.out


def test_a_program_is_looked_for_behind_its_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `sudo PIPX_BIN_DIR=/usr/local/bin pipx install` makes: a link from there to /root, where the service cannot look."""
    link = tmp_path / "ocdsup"
    link.symlink_to("/root/.local/share/pipx/venvs/ocdsup/bin/ocdsup")
    monkeypatch.setattr(install, "own_program", lambda: [str(link)])
    monkeypatch.setattr(service_files, "_UNSEEN", ("/root/",))  # the test itself may be below /tmp
    assert main(["install", "--system", "--dry-run"]) == 1
    assert "/root/.local/share/pipx/venvs/ocdsup/bin/ocdsup is below" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc").touch()
    assert main(["install", "--system", "--root", str(tmp_path)]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_command_that_is_missing_or_fails_does_not_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    """But the one that failed is named at the end, and in the exit code; what is not installed has nothing to be told."""
    assert install.run_commands([("ocdsup-no-such-program", "x"), ("false",), ("true",)], dry_run=False) == 1
    said = capsys.readouterr()
    assert "skipped  ocdsup-no-such-program x" in said.out
    assert "ran      false (exit code 1)\nran      true\n" in said.out
    assert "this failed: false; mend it" in said.err
    assert install.run_commands([("ocdsup-no-such-program", "x"), ("true",)], dry_run=False) == 0


def test_a_failed_command_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a script would go on as if systemd knew the unit."""
    monkeypatch.setattr(install, "run_command", lambda command, dry_run: "daemon-reload" not in command)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert main(["install", "--user"]) == 1
    assert (tmp_path / "config/systemd/user/ocdsup.service").exists()


def test_a_relative_directory_of_the_environment_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `run` does and the basedir-spec says; the unit would have gone below the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "rel")
    monkeypatch.setenv("XDG_DATA_HOME", "rel")
    assert main(["install", "--user", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"would write {tmp_path}/.config/systemd/user/ocdsup.service" in out
    assert f"would write {tmp_path}/.local/share/man/man1/ocdsup.1" in out
    assert "write rel" not in out


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_without_a_home_nothing_is_written(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user id without an entry in passwd: the files would have gone to a directory named `~`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert main([verb, "--user"]) == 1
    assert "set HOME" in capsys.readouterr().err
    assert files(tmp_path) == set()


@pytest.mark.parametrize("words", [[], ["--user", "--system"]])
def test_one_of_both_has_to_be_chosen(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["install", *words])
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [[], ["--dry-run"]], ids=["for real", "dry run"])
def test_a_masked_unit_ends_it_before_anything_is_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mask, a link to /dev/null (here to a stand-in), was written and chmodded through."""
    stand_in = tmp_path / "null"
    stand_in.touch()
    stand_in.chmod(0o666)
    monkeypatch.setattr("os.devnull", str(stand_in))
    unit = tmp_path / "root/etc/systemd/system/ocdsup.socket"
    unit.parent.mkdir(parents=True)
    unit.symlink_to(stand_in)
    assert main(["install", "--system", "--root", str(tmp_path / "root"), *words]) == 1
    assert "`systemctl unmask ocdsup.socket`" in capsys.readouterr().err
    assert (stand_in.read_text(), stand_in.stat().st_mode & 0o777) == ("", 0o666)
    assert files(tmp_path) == {"null", "root/etc/systemd/system/ocdsup.socket"}


def test_a_unit_that_was_changed_by_hand_is_kept_beside_the_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before it is done, and with the place for changes that survive."""
    assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    unit = tmp_path / "etc/systemd/system/ocdsup.service"
    mine = unit.read_text().replace("WatchdogSec=30", "WatchdogSec=90")
    unit.write_text(mine)
    for words, said in ((["--dry-run"], "would keep"), ([], "kept    ")):
        assert main(["install", "--system", "--root", str(tmp_path), *words]) == 0
        assert f"{said} what was there, and was changed by hand, as {unit}.bak; put your" in (out := capsys.readouterr().out)
        assert "systemctl edit ocdsup.service" in out
        assert out.count("changed by hand") == 1
    assert unit.with_name("ocdsup.service.bak").read_text() == mine
    assert "WatchdogSec=30" in unit.read_text()


def test_a_second_installation_keeps_no_copies(tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["install", "--system", "--root", str(tmp_path)]) == 0
    assert files(tmp_path) == SYSTEM


@pytest.mark.parametrize("words", [["install", "--system", "--root", "{}"], ["init", "{}/etc/ocdsup/ocdsup.yaml"]])
def test_the_service_can_read_its_files_whatever_the_umask_of_root(tmp_path: Path, words: list[str]) -> None:
    """077 on a hardened PC, which `sudo` keeps: /etc/ocdsup had mode 0700, and the service's user could not look in."""
    before = os.umask(0o077)
    try:
        assert main([word.format(tmp_path / "root") for word in words]) == 0
    finally:
        os.umask(before)
    assert (tmp_path / "root/etc/ocdsup/ocdsup.yaml").exists()
    found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "root").rglob("*")}
    if words[0] == "install" or os.geteuid() == 0:  # what somebody else makes at home is theirs
        assert {path: mode for path, mode in found.items() if mode != (0o755 if path.is_dir() else 0o644)} == {}
