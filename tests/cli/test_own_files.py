"""Files are put in their place whole, and what is not ours there is named and left."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup.cli import own_files
from ocdsup.errors import OcdsupError


def test_a_file_is_replaced_by_another_and_never_written_into(tmp_path: Path) -> None:
    """Who has the old one open, or another name of it, keeps the old text."""
    path, other = tmp_path / "unit", tmp_path / "other"
    path.write_text("old")
    os.link(path, other)
    own_files.put(path, "new")
    assert path.read_text().startswith("new")
    assert other.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OcdsupError, match="No space left on device"):
        own_files.put(tmp_path / "unit", "new")
    assert list(tmp_path.iterdir()) == []


def test_everybody_reads_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        own_files.put(tmp_path / "a/b/unit", "new")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/unit")]
    assert modes == [0o755, 0o755, 0o644]


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(0o700)
    own_files.put(tmp_path / "mine/unit", "new")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700


def test_the_directories_that_were_made_for_a_file_go_with_it(tmp_path: Path) -> None:
    """Also after it was written a second time; those that were there before stay, empty or not."""
    (tmp_path / "there").mkdir()
    path = tmp_path / "there/made/too/unit"
    for text in ("old\n", "new\n"):
        own_files.put(path, text)
    own_files.take_away(path)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_directory_with_something_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "made/too/unit"
    own_files.put(path, "new")
    (tmp_path / "made/theirs").touch()
    own_files.take_away(path)
    assert {one.name for one in tmp_path.rglob("*")} == {"made", "theirs"}


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_is_not_followed(tmp_path: Path, there: bool) -> None:
    """A dotfiles folder, `systemctl link`: neither the text nor the mode of what it leads to changes."""
    path, target = tmp_path / "unit", tmp_path / "mine"
    if there:
        target.write_text("mine")
        target.chmod(0o600)
    path.symlink_to(target)
    with pytest.raises(OcdsupError, match=f"it is a link to {target}, which is not ours"):
        own_files.put(path, "new")
    assert path.is_symlink()
    assert target.exists() == there
    if there:
        assert (target.read_text(), target.stat().st_mode & 0o777) == ("mine", 0o600)
    assert "a link to" in str(own_files.take_away(path))
    assert path.is_symlink()


def test_a_mask_is_named_with_the_command_that_takes_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for /dev/null, which a mistake here would take away from the whole PC."""
    stand_in = tmp_path / "null"
    stand_in.touch(0o666)
    monkeypatch.setattr(os, "devnull", str(stand_in))
    (tmp_path / "ocdsup.service").symlink_to(stand_in)
    with pytest.raises(OcdsupError, match=r"it is masked.*`systemctl --user unmask ocdsup.service`"):
        own_files.check(tmp_path / "ocdsup.service", "systemctl --user")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    with pytest.raises(OcdsupError, match="a directory is in its place"):
        own_files.put(tmp_path / "unit", "new")


def test_what_is_not_there_cannot_be_taken_away(tmp_path: Path) -> None:
    assert own_files.take_away(tmp_path / "unit") is None


@pytest.mark.parametrize("name", ["ocdsup.service", "ocdsup.1"])
def test_a_file_as_it_was_written_is_known(tmp_path: Path, name: str) -> None:
    """And its last line is a comment for its reader."""
    path = tmp_path / name
    path.write_text(own_files.marked(path, "[Unit]\n"))
    assert not own_files.changed(path)
    assert path.read_text().splitlines()[-1].startswith('.\\" ' if name == "ocdsup.1" else "# ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Restart=always", "Restart=no"),  # a line
        ("\n", "\r\n"),  # an editor of another system
        ("[Unit]", "# mine\n[Unit]"),
        ("Written by", "written by"),  # the mark itself
        ("made: 0): ", "made: 0): 00"),
    ],
)
def test_a_file_that_was_changed_is_known(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "unit"
    path.write_text(own_files.marked(path, "[Unit]\nRestart=always\n").replace(old, new), newline="")
    assert own_files.changed(path)


@pytest.mark.parametrize("added", ["# mine\n", "mine", "\xff"])
def test_a_line_behind_the_last_one_counts(tmp_path: Path, added: str) -> None:
    path = tmp_path / "unit"
    path.write_bytes(own_files.marked(path, "[Unit]\n").encode() + added.encode("latin-1"))
    assert own_files.changed(path)


def test_nothing_there_is_nothing_changed(tmp_path: Path) -> None:
    assert not own_files.changed(tmp_path / "unit")


def test_a_changed_file_stays_under_another_name(tmp_path: Path) -> None:
    """Replaced twice and taken away once: three versions of it, none lost."""
    path = tmp_path / "unit"
    texts = ["first", "second", "third"]
    for text in texts[:2]:
        path.write_text(text)
        assert own_files.put(path, "ours\n") is not None
        assert not own_files.changed(path)
    assert own_files.put(path, "ours, newer\n") is None
    path.write_text(texts[2])
    assert str(own_files.take_away(path)).endswith(f"is now {tmp_path}/unit.bak2")
    assert [(tmp_path / f"unit.bak{number}").read_text() for number in ("", 1, 2)] == texts
    assert not path.exists()


@pytest.mark.parametrize("step", [own_files.check, own_files.changed, own_files.take_away])
def test_what_may_not_be_looked_at_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Callable[[Path], object]
) -> None:
    """A dry run of somebody who is not root; which root, who may run this test, cannot be shown without a stand-in."""

    def denied(*_: object, **_keywords: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "unit"
    path.touch()
    for name in ("lstat", "read_bytes"):
        monkeypatch.setattr(Path, name, denied)
    with pytest.raises(OcdsupError, match=f"cannot (look at|remove) {path}: Permission denied; run it as root"):
        step(path)
