"""A command line that ends OpenOCD ends here too, as OpenOCD does, and never the supervised one: with the real tools."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ocdsup.demo.story import firmware
from tests.bench.rig import Rig
from tests.dropin.test_real_tools import FILES, FLASH, flash_words, free_port, once, serve

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
SOURCES = "source [find interface/stlink.cfg]\nsource [find target/stm32f4x.cfg]\n"


def quiet() -> list[str]:
    """Ports that nobody has, because a command line that does not end would serve."""
    return ["-c", f"gdb_port {free_port()}; telnet_port disabled; tcl_port disabled"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("if {1} {shutdown}", 0),
        ("if {1} {shutdown error}", 1),
        ("eval {shutdown}", 0),
        ("proc x {} {shutdown}; x", 0),
        ("after 100 shutdown", 0),
        ("set t [shutdown]", 0),
        ("catch {shutdown}", 0),
        ("foreach t {1} {exit}", 0),
        ('echo 5"; shutdown', 0),
        ("echo {", 1),
        ("proc quit {} {[format shut%s down]}; quit", 0),
        ("proc quit {} {[format shut%s down] error}; quit", 1),
        ("catch {[format shut%s down]}", 0),
        ("[format ex%s it]; halt", 0),
    ],
)
def test_an_end_in_disguise_has_openocds_exit_code_and_leaves_the_bench_alone(shared: Rig, script: str, code: int) -> None:
    done = once(shared, *quiet(), *FILES, "-c", "init", "-c", script)
    assert done.returncode == code, done.stderr
    shared.ready()
    assert shared.faults() == []


@pytest.mark.parametrize("way", ["-f {}", "--file={}", "-f{}", "-c 'source {}'", "-f {chain}", "-s {folder} -f do.cfg"])
def test_what_only_a_file_says_is_done_once_with_the_real_openocd(shared: Rig, way: str) -> None:
    image, file, chain = (shared.folder / name for name in ("image.bin", "do.cfg", "chain.cfg"))
    seed = len(way)
    image.write_bytes(bytes((seed * i + 5) % 256 for i in range(1024)))
    work = f"flash write_image erase {image} {FLASH:#x}\nverify_image {image} {FLASH:#x}\necho done"
    file.write_text(f"{SOURCES}init\nreset halt\n{work}\nshutdown\n")
    chain.write_text(f"source [find {file}]\n")
    line = way.replace("{}", str(file)).format(chain=chain, folder=shared.folder)
    done = once(shared, *shlex.split(line))
    assert done.returncode == 0, done.stderr
    assert "\ndone\n" in done.stderr
    shared.ready()
    assert flash_words(shared) == image.read_bytes()[:256]
    assert shared.faults() == []


def test_a_file_that_is_too_large_to_be_judged_is_left_to_the_real_openocd(shared: Rig) -> None:
    file = shared.folder / "large.cfg"
    file.write_text(SOURCES + "# nothing\n" * 120_000 + "init\necho done\nshutdown\n")
    done = once(shared, *quiet(), "-f", str(file))
    assert done.returncode == 0, done.stderr
    assert "\ndone\n" in done.stderr
    shared.ready()


def test_the_default_file_counts_where_openocd_would_read_it(shared: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shared.folder / "project"
    folder.mkdir()
    (folder / "openocd.cfg").write_text(f"{SOURCES}init\necho [target names]\nshutdown\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = once(shared)
    assert done.returncode == 0, done.stderr
    assert "\nstm32f4x.cpu\n" in done.stderr
    shared.ready()


def test_a_file_that_fails_has_openocds_words_and_exit_code(shared: Rig) -> None:
    file = shared.folder / "fails.cfg"
    file.write_text(f"{SOURCES}init\nprogram /nonexistent.elf verify exit\n")
    done = once(shared, "-f", str(file))
    assert done.returncode == 1
    assert "** Programming Failed **" in done.stderr
    shared.ready()


def test_a_condition_that_is_not_met_leads_to_the_server(shared: Rig) -> None:
    """Only OpenOCD can tell: the real one runs first, and at the end of the command line the server takes over."""
    file = shared.folder / "maybe.cfg"
    file.write_text(f"{SOURCES}if {{[info exists FLASH_ONLY]}} {{shutdown}}\n")
    lent = len(shared.log("lent"))
    program, _ = serve(shared, "-f", str(file), "-c", "init", "-c", "reset halt")
    assert len(shared.log("lent")) == lent + 1
    assert shared.ready()["targets"][0]["state"] == "halted"
    program.end()
    done = once(shared, *quiet(), "-c", "set FLASH_ONLY 1", "-f", str(file))
    assert done.returncode == 0, done.stderr
    shared.ready()


def test_a_procedure_that_nobody_calls_costs_no_loan(shared: Rig) -> None:
    file = shared.folder / "helpful.cfg"
    file.write_text(f"{SOURCES}proc flash_it {{file}} {{\n  program $file verify\n  shutdown\n}}\n")
    lent = len(shared.log("lent"))
    program, _ = serve(shared, "-f", str(file))
    assert len(shared.log("lent")) == lent
    program.end()
    done = once(shared, *quiet(), "-f", str(file), "-c", f"flash_it {firmware()}")
    assert done.returncode == 0, done.stderr
    assert "** Verified OK **" in done.stderr
    shared.ready()


def test_the_port_in_a_file_is_the_one_that_is_served(shared: Rig) -> None:
    file, port = shared.folder / "port.cfg", free_port()
    file.write_text(f"{SOURCES}gdb_port {port}\ntelnet_port disabled\ntcl_port disabled\n")
    program, _ = serve(shared, "-f", str(file), ports=False)
    assert f"Listening on port {port} for gdb connections" in program.output.read_text()
    program.end()
