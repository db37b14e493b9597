"""The images in the tree are what their source builds, and reveal nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

import ocdsup.sim
from tests.sim.conftest import has_compiler

FOLDER = Path(ocdsup.sim.__file__).parent / "firmware"
TASKS = Path(__file__).parents[1] / "sessions/tasks"
IMAGES = ("blink-f4", "blink-f1")


def loaded(path: Path) -> list[tuple[int, bytes]]:
    """Return address and bytes of every loadable segment."""
    with path.open("rb") as file:
        segments = ELFFile(file).iter_segments("PT_LOAD")
        return [(segment["p_paddr"], segment.data()) for segment in segments if segment["p_filesz"]]


def test_the_source_builds_the_images(tmp_path: Path) -> None:
    """Where the compiler is installed, the loaded bytes are compared."""
    if not has_compiler():
        assert all((FOLDER / f"{name}.elf").stat().st_size for name in IMAGES)
        return
    subprocess.run([FOLDER / "build.sh", tmp_path], check=True)
    for name in IMAGES:
        assert loaded(tmp_path / f"{name}.elf") == loaded(FOLDER / f"{name}.elf")


def test_the_source_builds_the_tasks_of_the_session_tests(tmp_path: Path) -> None:
    """As above."""
    built = TASKS.with_suffix(".elf")
    assert not any(word in built.read_bytes() for word in (b"/home", b"/root", b"/tmp", b"/work"))
    if has_compiler():
        subprocess.run([TASKS.with_suffix(".sh"), tmp_path], check=True)
        assert loaded(tmp_path / built.name) == loaded(built)


@pytest.mark.parametrize("name", IMAGES)
def test_the_flat_image_is_the_loaded_image(name: str) -> None:
    flat = (FOLDER / f"{name}.bin").read_bytes()
    for address, data in loaded(FOLDER / f"{name}.elf"):
        assert flat[address - 0x08000000 :][: len(data)] == data


@pytest.mark.parametrize("name", IMAGES)
def test_debug_information_names_relative_sources_only(name: str) -> None:
    with (FOLDER / f"{name}.elf").open("rb") as file:
        units = [unit.get_top_DIE().attributes for unit in ELFFile(file).get_dwarf_info().iter_CUs()]
    assert [(unit["DW_AT_name"].value, unit["DW_AT_comp_dir"].value) for unit in units] == [(b"blink.c", b".")]
    assert not any(word in (FOLDER / f"{name}.elf").read_bytes() for word in (b"/home", b"/root", b"/tmp"))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("symbol", ["main", "blink", "ram_work", "counter", "mode", "SysTick_Handler", "Reset_Handler"])
def test_the_symbols_that_demos_use_exist(name: str, symbol: str) -> None:
    with (FOLDER / f"{name}.elf").open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        assert table.get_symbol_by_name(symbol)
