"""The boards that can be simulated, as data: memories, identities, flash geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace

KIB = 1024


@dataclass(frozen=True, slots=True)
class BoardSpec:
    """What tells one board from another; addresses and sizes in bytes."""

    name: str
    chip: str
    openocd_target: str  # OpenOCD's stock target file, or one that lies beside this module (`board.target_file`)
    model: str  # "m3" or "m4"
    dpidr: int  # SW-DP identification
    jtag_idcode: int
    ap_idr: int
    cpuid: int
    idcode: int  # DBGMCU_IDCODE
    clock_hz: int  # core clock out of reset
    flash_sectors: tuple[int, ...]
    ram: tuple[tuple[str, int, int], ...]  # (name, base, size)
    system_rom: tuple[int, int]  # base, size: holds the device signature
    flash_size_at: int  # 16-bit flash size in KiB
    unique_id_at: int
    controller: str  # "f4" or "f1"
    flash_registers: int
    rcc: int
    rcc_cfgr: int
    firmware: str  # the image in `firmware/` that the board is delivered with
    flash: int = 0x08000000
    cores: int = 1  # each behind an access port of its own, with memories of its own

    @property
    def flash_size(self) -> int:
        """Main flash in bytes."""
        return sum(self.flash_sectors)

    @property
    def cpu_name(self) -> str:
        """The core as OpenOCD names it in "processor detected"."""
        return {"m3": "Cortex-M3 r1p1", "m4": "Cortex-M4 r0p1"}[self.model]


_F4 = (16 * KIB,) * 4 + (64 * KIB,)

# Sources: RM0090 (F405/407), RM0383 (F411), RM0008 and PM0075 (F103); CPUID and debug port IDs
# as OpenOCD 0.12's target files and logs of the real parts show them.
_F407 = BoardSpec(
    name="stm32f407",
    chip="STM32F407VG",
    openocd_target="target/stm32f4x.cfg",
    model="m4",
    dpidr=0x2BA01477,
    jtag_idcode=0x4BA00477,
    ap_idr=0x24770011,
    cpuid=0x410FC241,
    idcode=0x10076413,
    clock_hz=16_000_000,
    flash_sectors=(*_F4, *(128 * KIB,) * 7),
    ram=(("sram", 0x20000000, 128 * KIB), ("ccm", 0x10000000, 64 * KIB)),
    system_rom=(0x1FFF0000, 64 * KIB),
    flash_size_at=0x1FFF7A22,
    unique_id_at=0x1FFF7A10,
    controller="f4",
    flash_registers=0x40023C00,
    rcc=0x40023800,
    rcc_cfgr=8,
    firmware="blink-f4",
)
_F411 = replace(
    _F407,
    name="stm32f411",
    chip="STM32F411RE",
    idcode=0x10006431,
    flash_sectors=(*_F4, *(128 * KIB,) * 3),
    ram=(("sram", 0x20000000, 128 * KIB),),
)
_F103 = BoardSpec(
    name="stm32f103",
    chip="STM32F103C8",
    openocd_target="target/stm32f1x.cfg",
    model="m3",
    dpidr=0x1BA01477,
    jtag_idcode=0x3BA00477,
    ap_idr=0x14770011,
    cpuid=0x411FC231,
    idcode=0x20036410,
    clock_hz=8_000_000,
    flash_sectors=(KIB,) * 64,
    ram=(("sram", 0x20000000, 20 * KIB),),
    system_rom=(0x1FFFF000, 4 * KIB),
    flash_size_at=0x1FFFF7E0,
    unique_id_at=0x1FFFF7E8,
    controller="f1",
    flash_registers=0x40022000,
    rcc=0x40021000,
    rcc_cfgr=4,
    firmware="blink-f1",
)

# No chip on the market: two of the STM32F407's cores behind one debug port and one reset pin, divided as an nRF5340 is (each
# core has its own access port, flash and RAM), so that OpenOCD serves two targets.
_DUAL = replace(_F407, name="dual-m4", chip="two Cortex-M4", openocd_target="dual-m4.cfg", cores=2)

BOARDS = {spec.name: spec for spec in (_F407, _F411, _F103, _DUAL)}
