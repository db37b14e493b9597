"""An ST-LINK on USB, as umockdev describes a device (umockdev-record(1)): P path, N node, E udev property, A attribute."""

from __future__ import annotations

SERIAL = "066BFF555185754867211234"
DESCRIPTORS = (
    "12010002EF02014083044B370001010203010902200001010080320904000003FF000004070581024000000705010240000007058202400000"
)
DEVICE = f"""P: /devices/pci0000:00/0000:00:14.0/usb1/{{location}}
N: bus/usb/001/{{number:03}}
E: DEVTYPE=usb_device
E: SUBSYSTEM=usb
E: DEVNAME=/dev/bus/usb/001/{{number:03}}
E: BUSNUM=001
E: DEVNUM={{number:03}}
E: MAJOR=189
E: MINOR={{minor}}
A: idVendor=0483
A: idProduct=374b
A: serial={{serial}}
A: product=STM32 STLink
A: busnum=1
A: devnum={{number}}
A: authorized=1
A: speed=12
H: descriptors={DESCRIPTORS}
"""


def described(location: str, number: int, serial: str = SERIAL) -> str:
    """Return the description of an ST-LINK at a place (`1-2`) of bus 1 with this device number."""
    return DEVICE.format(location=location, serial=serial, number=number, minor=number - 1)
