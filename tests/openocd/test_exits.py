"""Why OpenOCD ended, from transcripts and from silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocdsup.openocd.catalogue import Catalogue, load_builtin
from ocdsup.openocd.classify import Classifier
from ocdsup.openocd.exits import explain_exit
from ocdsup.openocd.findings import LAST_LINES, Traces
from ocdsup.openocd.lines import LineSplitter


def after(data: bytes) -> Classifier:
    splitter, classifier = LineSplitter(), Classifier(load_builtin())
    for line in splitter.feed(data) + splitter.flush():
        classifier.feed(line, 0.0)
    return classifier


@pytest.mark.parametrize(
    ("name", "status", "fault"),
    [
        ("no-probe-hla", 1, "probe-absent"),
        ("no-probe-dap", 1, "probe-absent"),
        ("no-probe-cmsis-dap", 1, "probe-absent"),
        ("no-probe-jlink", 1, "probe-absent"),
        ("no-probe-ftdi", 1, "probe-absent"),
        ("no-stlink-server-hla", 1, "probe-absent"),
        ("no-stlink-server-dap", 1, "probe-absent"),
        ("no-file", 1, "config-rejected"),
        ("unknown-command", 1, "config-rejected"),
        ("unbalanced-tcl", 1, "config-rejected"),
        ("wrong-args", 1, "config-rejected"),
        ("no-adapter", 1, "config-rejected"),
        ("unknown-adapter", 1, "config-rejected"),
        ("no-transport", 0, "config-rejected"),
        ("dummy-dead-chain", 1, "target-not-answering"),
        ("port-taken", 1, "port-in-use"),
        ("debug-level-3", 1, "probe-absent"),
    ],
)
def test_a_real_failed_start_has_the_right_fault(golden: Path, name: str, status: int, fault: str) -> None:
    classifier = after((golden / f"0.12.0-{name}.txt").read_bytes())
    verdict = classifier.explain_exit(f"exit code {status}")
    assert verdict.fault == fault
    assert verdict.evidence


HEAD = b"Open On-Chip Debugger 0.12.0\r\nInfo : Listening on port 1 for tcl connections\r\nInfo : clock speed 2000 kHz\r\n"
PROBE = b"Info : STLINK V2J37S7 (API v2) VID:PID 0483:3748\r\nInfo : Target voltage: 3.21\r\n"
LOW = b"Info : Target voltage: 0.01\r\nError: target voltage may be too low for reliable debugging\r\n"
DEAD = b"Error: init mode failed (unable to connect to the target)\r\n\r\n\r\n"
DENIED = b"Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\r\nError: open failed\r\n\r\n"
WRONG = b"Warn : UNEXPECTED idcode: 0x1ba01477\r\nError: expected 1 of 1: 0x2ba01477\r\n\r\n"


@pytest.mark.parametrize(
    ("output", "status", "fault"),
    [
        (HEAD + b"\r\n\r\n", "exit code 1", "probe-held"),
        (b"Info : auto-selecting first available session transport \"dapdirect_swd\".\r\n\r\n", "exit code 1", "probe-held"),
        (HEAD + PROBE, "exit code 1", "target-not-answering"),
        (HEAD + PROBE + b"\r\n\r\n", "exit code 1", "target-not-answering"),
        (HEAD + PROBE + DEAD, "exit code 1", "target-not-answering"),
        (HEAD + LOW + DEAD, "exit code 1", "target-not-answering"),
        (HEAD + LOW + b"\r\n", "exit code 1", "target-not-answering"),
        (HEAD + DENIED, "exit code 1", "probe-denied"),
        (HEAD + b"Info : No device matches the serial string\r\nError: open failed\r\n\r\n", "exit code 1", "probe-absent"),
        (HEAD + b"Error: the selected device is already used\r\n\r\n", "exit code 1", "probe-held"),
        (HEAD + b"Error: read version failed\r\n\r\n", "exit code 1", "probe-wedged"),
        (HEAD + PROBE + WRONG, "exit code 1", "wrong-target"),
        (HEAD + b"Error: something new\r\n\r\n", "exit code 1", "backend-exited"),
        (b"shutdown command invoked\r\n", "exit code 0", "config-rejected"),
        (b"wrong # args: should be x\r\n", "exit code 1", "config-rejected"),
        (HEAD + PROBE, "SIGSEGV", "backend-exited"),
        (HEAD + b"Error: open failed\r\n", "SIGABRT", "backend-exited"),
        (b"", "exit code 1", "backend-exited"),
        (b"", "exit code 0", "backend-exited"),
        (b"couldn't bind gdb to socket: Address already in use\r\n", "exit code 255", "port-in-use"),
        (HEAD + PROBE.splitlines(keepends=True)[0], "exit code 1", "target-not-answering"),
        (b"\r\n\r\nwrong # args: should be x\r\n", "exit code 1", "config-rejected"),
        (HEAD + DENIED + b"Error: the selected device is already used\r\n\r\n", "exit code 1", "probe-denied"),
    ],
    ids=range(23),
)  # fmt: skip
def test_a_start_is_explained_by_its_words_or_its_silence(output: bytes, status: str, fault: str) -> None:
    assert after(output).explain_exit(status).fault == fault


def test_the_lines_of_the_start_do_not_explain_a_later_end() -> None:
    classifier = after(HEAD + PROBE + b"Error: couldn't bind gdb to socket on port 1: Address already in use\r\n")
    assert classifier.explain_exit("exit code 1", ready=True).fault == "backend-exited"


def test_a_flood_of_symptoms_does_not_bury_the_cause(catalogue: Catalogue) -> None:
    classifier = after(b"Error: cannot connect to stlink server, errno: x\r\n" + b"Error: JTAG-DP STICKY ERROR\r\n" * 5000)
    assert classifier.explain_exit("exit code 1").rule_id == "stlink-server-unreachable"


def test_the_evidence_of_a_talkative_end_is_its_last_lines(catalogue: Catalogue) -> None:
    faults = [rule.examples[0] for rule in catalogue.rules if rule.fault is not None and rule.tool == "openocd"]
    assert len(faults) > 2 * LAST_LINES
    evidence = after("\n".join([*faults, ""]).encode()).explain_exit("exit code 1").evidence
    assert len(evidence) == LAST_LINES


def test_an_exit_without_any_output_says_so() -> None:
    assert "none" in explain_exit("exit code 3", Traces()).text
