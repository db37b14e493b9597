"""What whole transcripts mean: outages counted instead of lines, floods bounded, hostile text harmless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.openocd.catalogue import Catalogue, load_builtin
from ocdsup.openocd.classify import POLL_FAILED, RECOVERED, UNKNOWN_KEPT, Classifier
from ocdsup.openocd.dialect import Family, Version
from ocdsup.openocd.findings import Finding
from ocdsup.openocd.lines import Level, Line, LineSplitter, parse_line
from ocdsup.openocd.outage import SETTLED_S, TARGETS
from ocdsup.openocd.rule import Role


def classify(classifier: Classifier, lines: Iterable[str], now: float = 0.0) -> list[Finding]:
    return [finding for text in lines for finding in classifier.feed(parse_line(text.encode()), now)]


def transcript(path: Path) -> tuple[Classifier, Counter[str]]:
    splitter, classifier = LineSplitter(), Classifier(load_builtin())
    lines = splitter.feed(path.read_bytes()) + splitter.flush()
    return classifier, Counter(finding.rule_id for line in lines for finding in classifier.feed(line, 0.0))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("seed-0.10.0-stlink-v2-f3", {POLL_FAILED: 6, "poll-failed": 6, "jtag-status-invalid": 6, "reconnect-try": 5}),
        ("seed-0.8.0-stlink-v2-f405", {POLL_FAILED: 6, "jtag-status-invalid": 7, "flash-algorithm-failed": 1}),
        ("seed-platformio-f407", {"init-mode-failed": 1, "program-init-failed": 1, "platformio-upload-failed": 2}),
        ("seed-platformio-f407", {"reset-halt-timeout": 1, "program-reset-failed": 1}),
        ("0.12.0-sim-silent-hla", {POLL_FAILED: 5, "poll-failed": 6, "processor-detected": 2, RECOVERED: 1}),
        ("0.12.0-sim-silent-dap", {POLL_FAILED: 5, "poll-failed": 6, "processor-detected": 2, RECOVERED: 1}),
        ("0.12.0-sim-unplugged-hla", {POLL_FAILED: 6, "stlink-server-error": 16, "stlink-close-failed": 1, RECOVERED: 0}),
        ("seed-probe-rs-f411", {"probe-rs-dp-wait": 26, "probe-rs-gave-up": 1, "probe-rs-not-connected": 1}),
        ("seed-cubeprogrammer-f407", {"cube-usb-comm": 1, "cube-connect-problem": 1}),
        ("0.12.0-no-probe-hla", {"probe-open-failed": 1, "clock-speed": 1}),
        ("0.12.0-debug-level-3", {"probe-open-failed": 1, "clock-speed": 1}),
        ("0.12.0-dummy-dead-chain", {"tap-without-idcode": 21, "ir-capture-error": 1, "invalid-ack": 1}),
        ("0.12.0-port-taken", {"port-in-use": 1}),
        ("0.12.0-no-transport", {"transport-order": 1, "transport-missing": 1, "shutdown": 1}),
    ],
)  # fmt: skip
def test_a_transcript_counts_as_a_person_would(golden: Path, name: str, counts: dict[str, int]) -> None:
    classifier, found = transcript(golden / f"{name}.txt")
    assert {rule: found[rule] for rule in counts} == counts
    assert found[RECOVERED] == counts.get(RECOVERED, 0)
    assert not classifier.unknown


def test_no_transcript_has_an_unknown_error(golden: Path) -> None:
    for path in golden.glob("*.txt"):
        classifier, _ = transcript(path)
        assert not [text for text in classifier.unknown if text.startswith("error")], path.name


FAILED = "Polling target stm32f4x.cpu failed, trying to reexamine"
EXAMINED = "Examination failed, GDB will be halted. Polling again in {}ms"
DETECTED = "Info : [stm32f4x.cpu] Cortex-M4 r0p1 processor detected"
POLLED = "Error: [stm32f4x.cpu] Polling failed, trying to reexamine"
LOST = "Error: [stm32f4x.cpu] Examination failed"
SUCCEED = "Info : [stm32f4x.cpu] Examination succeed"
UNITS = "Info : [stm32f4x.cpu] target has 6 breakpoints, 4 watchpoints"
HLA = "Error: jtag status contains invalid mode value - communication failure"
PERIODS = (100, 300, 700, 1500, 3100, 6300, 6300)
PLAYBOOKS = {
    "0.8": (
        [[f"Polling target stm32f4x.cpu failed, GDB will be halted. Polling again in {ms}ms"] for ms in PERIODS],
        ["Polling target stm32f4x.cpu succeeded again"],
    ),
    "0.9-0.11": (
        [[HLA, FAILED, EXAMINED.format(ms)] for ms in PERIODS],
        [FAILED, "Info : stm32f4x.cpu: hardware has 6 breakpoints, 4 watchpoints"],
    ),
    "0.12": ([[HLA, FAILED, EXAMINED.format(ms)] for ms in PERIODS], [FAILED, DETECTED, UNITS]),
    "master-2024": (
        [[POLLED, f"Error: [stm32f4x.cpu] {EXAMINED.format(ms)}"] for ms in PERIODS],
        [POLLED, DETECTED, UNITS, SUCCEED],
    ),
    "master-2026": (
        [[POLLED, LOST] for _ in PERIODS],
        [POLLED, DETECTED, UNITS, SUCCEED],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_an_outage_of_seven_rounds_and_its_end_count_seven_and_one(catalogue: Catalogue, name: str) -> None:
    rounds, back = PLAYBOOKS[name]
    classifier = Classifier(catalogue)
    found = [f for number, lines in enumerate(rounds) for f in classify(classifier, lines, number * 0.2)]
    found += classify(classifier, back, 7.0)
    told = [(f.rule_id, f.target, f.fields["failures"]) for f in found if f.rule_id in {POLL_FAILED, RECOVERED}]
    name_and_target = [(POLL_FAILED, "stm32f4x.cpu", str(n)) for n in range(1, 8)]
    assert told == [*name_and_target, (RECOVERED, "stm32f4x.cpu", "7")]


@pytest.mark.parametrize(
    ("name", "said"), [("0.8", []), ("0.9-0.11", ["poll-failed"]), ("master-2026", ["poll-failed-master"])]
)
def test_a_failed_examination_is_one_finding_and_its_line_says_nothing_else(
    catalogue: Catalogue, name: str, said: list[str]
) -> None:
    first = [line for line in PLAYBOOKS[name][0][0] if line != HLA]
    assert [finding.rule_id for finding in classify(Classifier(catalogue), first)] == [*said, POLL_FAILED]


def test_evidence_is_cut_to_what_a_person_reads(catalogue: Catalogue) -> None:
    line = "Error: couldn't bind gdb to socket on port 1: Address already in use" + " x" * 5000
    [found] = classify(Classifier(catalogue), [line])
    assert found.rule_id == "port-in-use"
    assert len(found.text) == 400


def test_the_recovery_line_alone_is_no_failure(catalogue: Catalogue) -> None:
    found = classify(Classifier(catalogue), [FAILED, DETECTED, UNITS])
    assert [finding.rule_id for finding in found] == ["poll-failed", "processor-detected", RECOVERED, "target-units"]
    assert not any(finding.fault for finding in found)


def test_a_start_that_examines_its_target_is_no_recovery(catalogue: Catalogue) -> None:
    assert [f.rule_id for f in classify(Classifier(catalogue), [DETECTED, UNITS])] == ["processor-detected", "target-units"]


def test_silence_after_a_failed_poll_means_that_the_target_is_back(catalogue: Catalogue) -> None:
    classifier = Classifier(catalogue)
    classify(classifier, [FAILED], 10.0)
    assert classifier.deadline == 10.0 + SETTLED_S
    assert classifier.settle(10.0 + SETTLED_S - 0.1) == []
    assert [finding.rule_id for finding in classifier.settle(10.0 + SETTLED_S)] == [RECOVERED]
    assert classifier.deadline is None


def test_a_later_line_tells_the_silence_too(catalogue: Catalogue) -> None:
    classifier = Classifier(catalogue)
    classify(classifier, [FAILED], 10.0)
    assert [f.rule_id for f in classify(classifier, ["nothing special"], 40.0)] == [RECOVERED]


def test_interleaved_targets_are_counted_apart(catalogue: Catalogue) -> None:
    lines = [
        "Error: [rp.core0] Polling failed, trying to reexamine",
        "Error: [rp.core1] Polling failed, trying to reexamine",
        "Error: [rp.core0] Examination failed",
        "Info : [rp.core1] Examination succeed",
        "Error: [rp.core0] Polling failed, trying to reexamine",
        "Error: [rp.core0] Examination failed",
    ]
    told = [(f.rule_id, f.target) for f in classify(Classifier(catalogue), lines) if f.rule_id.startswith("target-")]
    assert told == [(POLL_FAILED, "rp.core0"), (RECOVERED, "rp.core1"), (POLL_FAILED, "rp.core0")]


def test_an_unnamed_failure_belongs_to_the_target_polled_last(catalogue: Catalogue) -> None:
    lines = [
        "Polling target a failed, trying to reexamine",
        "Polling target b failed, trying to reexamine",
        EXAMINED.format(100),
    ]
    told = [f for f in classify(Classifier(catalogue), lines) if f.rule_id == POLL_FAILED]
    assert [finding.target for finding in told] == ["b"]


def test_progress_carries_its_fields_and_does_not_count(catalogue: Catalogue) -> None:
    lines = [
        "Info : Listening on port 39525 for gdb connections",
        "Info : Target voltage: 3.166623",
        "Info : STLINK V2J37S7 (API v2) VID:PID 0483:3748",
    ]
    listening, voltage, identity = classify(Classifier(catalogue), lines)
    assert (listening.fields["port"], listening.fields["service"]) == ("39525", "gdb")
    assert float(voltage.fields["volts"]) == 3.166623
    assert identity.fields["firmware"] == "V2J37S7"
    assert not any(finding.counts for finding in (listening, voltage, identity))


def test_unknown_warnings_and_errors_are_counted_and_bounded(catalogue: Catalogue) -> None:
    classifier = Classifier(catalogue)
    for number in range(1000):
        classifier.feed(Line(Level.ERROR, f"never seen {number}"), 0.0)
        classifier.feed(Line(Level.WARN, "again and again"), 0.0)
        classifier.feed(Line(Level.INFO, f"chatter {number}"), 0.0)
    assert len(classifier.unknown) == UNKNOWN_KEPT + 1
    assert classifier.unknown.total() == 2000
    assert classifier.unknown["warn: again and again"] == 1000


def test_memory_is_bounded_in_lines_targets_and_evidence(catalogue: Catalogue) -> None:
    classifier = Classifier(catalogue)
    for number in range(3000):
        classify(
            classifier, [f"Error: [t{number}] Polling failed, trying to reexamine", f"Error: [t{number}] Examination failed"]
        )
    assert len(classifier._cache) <= 512
    assert len(classifier._outages._states) <= TARGETS
    assert len(classifier.traces.lines) <= 8
    assert len(classifier.traces.firsts) <= 4


def test_the_banner_tells_the_generation_unless_it_is_known(catalogue: Catalogue) -> None:
    told, known = Classifier(catalogue), Classifier(catalogue, Version(0, 12, 0))
    classify(told, ["Open On-Chip Debugger 0.10.0"])
    classify(known, ["Open On-Chip Debugger 0.10.0"])
    assert (told._family, known._family) == (Family.V0_10, Family.V0_12)


@pytest.mark.parametrize(
    "text",
    [
        "Error: " + "[" * 4000,
        "Polling target " + "x" * 4000,
        "in procedure '" * 300,
        "[a] " * 1000,
        "%s%n{0}",
        "\x1b[2J",
        "Error: couldn't bind " + "a " * 2000,
    ],
    ids=range(7),
)
def test_hostile_text_is_data(catalogue: Catalogue, text: str) -> None:
    for finding in classify(Classifier(catalogue), [text]):
        assert finding.text.isprintable()
        assert finding.role in Role


@given(st.lists(st.sampled_from([FAILED, EXAMINED.format(100), DETECTED, UNITS, HLA, ""]), max_size=40))
def test_no_order_of_lines_counts_more_failures_than_examinations_failed(lines: list[str]) -> None:
    found = classify(Classifier(load_builtin()), lines)
    failed = sum(finding.rule_id == POLL_FAILED for finding in found)
    assert failed == sum(line.startswith("Examination failed") for line in lines)
    assert sum(finding.rule_id == RECOVERED for finding in found) <= sum(line == FAILED for line in lines) + failed
