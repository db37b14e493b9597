"""The checking child reads a file and answers in one line of JSON."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup.config.__main__ import read
from ocdsup.config.exchange import Checked, decode
from ocdsup.errors import ConfigError

GOOD = b"version: 1\nbenches: {a: {openocd: {config: [x]}}}\n"


def child(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ocdsup.config", *arguments], capture_output=True, check=False)


def write(path: Path, content: bytes, mode: int = 0o644) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_good_file_ends_with_0_and_the_configuration(tmp_path: Path) -> None:
    done = child(write(tmp_path / "a.yaml", GOOD))
    assert (done.returncode, done.stderr) == (0, b"")
    assert isinstance(decode(done.stdout, "a"), Checked)


def test_a_bad_file_ends_with_2_and_its_problems(tmp_path: Path) -> None:
    done = child(write(tmp_path / "a.yaml", b"version: 2"))
    assert (done.returncode, done.stderr) == (2, b"")
    with pytest.raises(ConfigError, match=r"a\.yaml:1:10"):
        decode(done.stdout, "a")


def test_a_group_writable_file_is_used_with_a_warning(tmp_path: Path) -> None:
    (warning,) = read(write(tmp_path / "a.yaml", GOOD, 0o664)).warnings
    assert "group" in warning.text


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (GOOD, 0o666, "everybody may write"),
        (b"version: 1\n# \xff", 0o644, "a.yaml:2:3: byte 0xff is not UTF-8"),
        (b"x" * 300_000, 0o644, "larger than a configuration may be, 262144 bytes"),
        (b"version: 3", 0o646, "everybody may write"),
        (b"version: 3", 0o646, "version 3 is newer"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, mode: int, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write(tmp_path / "a.yaml", content, mode))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("name", "sentence"), [("absent.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(str(tmp_path / name))


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def _large(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**30)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (os.mkfifo, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (_bind, "it is a socket"),
        (lambda path: path.mkdir(), "Is a directory; name a file in it"),
        (_large, "larger than a configuration may be"),
    ],
    ids=["pipe", "device", "socket", "directory", "large"],
)
def test_what_is_no_configuration_file_is_named_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    make(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match=sentence):
        read(str(tmp_path / "a.yaml"))


def test_a_key_that_has_no_effect_is_told(tmp_path: Path) -> None:
    """`check` prints it, the daemon logs it at the start; the file is good nevertheless."""
    (warning,) = read(write(tmp_path / "a.yaml", GOOD + b"http: 127.0.0.1:8333\n")).warnings
    assert "http: nothing is served at 127.0.0.1:8333" in str(warning)


@pytest.mark.parametrize(
    ("written", "meant"), [(".", ""), ("scripts", "scripts"), ("../x", "../x"), ("/opt/scripts", "/opt/scripts")]
)
def test_search_counts_from_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    """Not from the working directory, which is / for a service; also when the file is named without its folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "a.yaml").write_text(f"version: 1\nbenches: {{a: {{openocd: {{config: [x], search: [{written}]}}}}}}\n")
    monkeypatch.chdir(folder)
    for file in ("a.yaml", str(folder / "a.yaml")):
        (bench,) = read(file).config.benches
        assert bench.openocd.search == (os.path.normpath(folder / meant),)
