"""The udev rule covers the probes that ocdsup knows, gives rights to nobody, and is written in udev's own grammar."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from ocdsup.probes.known import TABLE

# udev(7) of systemd 252: keys that the file uses, with the operators each may have.
KEYS = {
    "ACTION": {"==", "!="},
    "SUBSYSTEM": {"==", "!="},
    "ATTRS": {"==", "!="},
    "ATTR": {"==", "!=", "="},
    "ENV": {"==", "!=", "="},
    "TEST": {"==", "!="},
    "IMPORT": {"=", "=="},
    "SYMLINK": {"+="},
    "GOTO": {"="},
    "LABEL": {"="},
}
PAIR = re.compile(r'([A-Z]+)(?:\{([^}]+)\})?(==|!=|\+=|=)"([^"]*)"')


@pytest.fixture
def rules(units: Path) -> list[list[tuple[str, str, str, str]]]:
    """Every rule as its pairs: key, attribute, operator, value."""
    lines = (units / "60-ocdsup.rules").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    for line in kept:
        assert re.fullmatch(rf"{PAIR.pattern}(, {PAIR.pattern})*", line), line
    return [PAIR.findall(line) for line in kept]


def marked(rules: list[list[tuple[str, str, str, str]]], vid: str, pid: str) -> bool:
    """Whether the rules call this USB device a probe."""

    def fits(pair: tuple[str, str, str, str]) -> bool:
        _, attribute, _, pattern = pair
        value = {"idVendor": vid, "idProduct": pid}[attribute]
        return any(fnmatch.fnmatchcase(value, one) for one in pattern.split("|"))

    marking = [rule for rule in rules if ("ENV", "OCDSUP_PROBE", "=", "1") in rule]
    return any(all(fits(pair) for pair in rule if pair[0] == "ATTRS") for rule in marking)


def test_every_key_and_operator_is_one_that_udev_has(rules: list[list[tuple[str, str, str, str]]]) -> None:
    assert [pair for rule in rules for pair in rule if pair[2] not in KEYS.get(pair[0], set())] == []


def test_every_goto_has_its_label(rules: list[list[tuple[str, str, str, str]]]) -> None:
    def named(key: str) -> set[str]:
        return {value for rule in rules for name, _, _, value in rule if name == key}

    assert named("GOTO") == named("LABEL")


@pytest.mark.parametrize(("usb_ids", "model"), TABLE, ids=[f"{model.name} {ids[0]}" for ids, model in TABLE])
def test_the_rules_cover_what_ocdsup_knows_for_certain(
    rules: list[list[tuple[str, str, str, str]]], usb_ids: tuple[str, ...], model: object
) -> None:
    """A chip that is as often a plain serial adapter stays with ModemManager."""
    for usb_id in usb_ids:
        vid, _, pid = usb_id.partition(":")
        assert marked(rules, vid, pid) == getattr(model, "certain", None)


@pytest.mark.parametrize(
    ("vid", "pid"), [("0403", "6001"), ("10c4", "ea60"), ("0483", "5740"), ("2e8a", "0003"), ("0483", "374c")]
)
def test_devices_that_are_no_probes_are_left_alone(rules: list[list[tuple[str, str, str, str]]], vid: str, pid: str) -> None:
    """A serial adapter, an STM32's own USB port, an RP2040's boot loader."""
    assert not marked(rules, vid, pid)


def test_nobody_gets_a_right_from_them(units: Path) -> None:
    lines = (units / "60-ocdsup.rules").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if not line.startswith("#") and re.search(r"MODE|GROUP|OWNER|uaccess|RUN|PROGRAM", line)]


def test_no_name_is_made_of_what_a_device_says_itself(rules: list[list[tuple[str, str, str, str]]]) -> None:
    """A serial may be "/../x"; udev leaves slashes in $attr{} (udev(7)), and only usb_id's properties are without them."""
    names = [value for rule in rules for key, _, _, value in rule if key == "SYMLINK"]
    assert len(names) == 2
    used = {word for name in names for word in re.findall(r"\$\w+(?:\{\w+\})?|%\w", name)}
    assert used == {"$env{ID_SERIAL_SHORT}", "$env{ID_USB_INTERFACE_NUM}"}
