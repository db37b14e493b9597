"""Which USB devices are debug probes."""

import re

import pytest

from ocdsup.probes.known import TABLE, Sharing, identify


@pytest.mark.parametrize(
    ("vid_pid", "product", "interfaces", "kind", "driver"),
    [
        ("0483:3748", "STM32 STLink", (), "st-link", "hla or st-link"),
        ("0483:374b", "STM32 STLink", ("ST-Link Debug", "ST-Link Mass Storage"), "st-link", "hla or st-link"),
        ("0483:3754", "", (), "st-link", "hla or st-link"),
        ("0d28:0204", "DAPLink CMSIS-DAP", ("CMSIS-DAP v1",), "cmsis-dap", "cmsis-dap"),
        ("2e8a:000c", "Debugprobe on Pico (CMSIS-DAP)", ("CMSIS-DAP v2 Interface",), "cmsis-dap", "cmsis-dap"),
        ("1234:5678", "My CMSIS-DAP", (), "cmsis-dap", "cmsis-dap"),
        ("1234:5678", "My board", ("Fine CMSIS-DAP v2",), "cmsis-dap", "cmsis-dap"),
        ("1366:0105", "J-Link", (), "jlink", "jlink"),
        ("1366:1061", "J-Link", (), "jlink", "jlink"),
        ("303a:1001", "USB JTAG/serial debug unit", (), "esp-usb-jtag", "esp_usb_jtag"),
        ("1d50:6018", "Black Magic Probe", (), "blackmagic", None),
        ("0403:6010", "Dual RS232-HS", (), "ftdi", "ftdi"),
    ],
)
def test_debug_probes_are_recognised(
    vid_pid: str, product: str, interfaces: tuple[str, ...], kind: str, driver: str | None
) -> None:
    model = identify(vid_pid, product, interfaces)
    assert model
    assert (model.kind, model.driver) == (kind, driver)


@pytest.mark.parametrize("vid_pid", ["1d6b:0002", "046d:c31c", "0483:5740", ":", "0403:6001"])
def test_other_devices_are_not(vid_pid: str) -> None:
    assert identify(vid_pid, "Keyboard", ("HID",)) is None


@pytest.mark.parametrize(
    ("interfaces", "sharing"),
    [(("CMSIS-DAP v1",), Sharing.SHARED), (("CMSIS-DAP v2", "CMSIS-DAP v1"), Sharing.EXCLUSIVE), ((), Sharing.SHARED)],
)
def test_a_bulk_interface_makes_a_cmsis_dap_probe_exclusive(interfaces: tuple[str, ...], sharing: Sharing) -> None:
    model = identify("0d28:0204", "DAPLink CMSIS-DAP", interfaces)
    assert model
    assert model.sharing is sharing
    assert model.name.startswith("DAPLink")


def test_a_chip_that_may_be_a_serial_adapter_is_marked() -> None:
    model = identify("0403:6010")
    assert model
    assert not model.certain


def test_the_table_is_well_formed_and_names_each_id_once() -> None:
    ids = [usb_id for usb_ids, _ in TABLE for usb_id in usb_ids]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[0-9a-f]{4}:([0-9a-f]{4}|\*)", usb_id) for usb_id in ids)
    assert {model.source for _, model in TABLE} <= {"rules", "cfg", "probe-rs", "maker"}
