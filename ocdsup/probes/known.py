"""Debug probes by USB ID, as a table: what a device is, how OpenOCD opens it, and whether two programs can have it open.

Sources of the IDs (`source` of each row):
  rules     OpenOCD 0.12.0, contrib/60-openocd.rules (installed by Debian in /lib/udev/rules.d)
  cfg       OpenOCD 0.12.0, tcl/interface/*.cfg
  probe-rs  the udev rules that probe-rs publishes for its users (69-probe-rs.rules)
  maker     the maker's own documents: Raspberry Pi's list of USB product IDs, Black Magic Debug's udev rules,
            ST TN1235 (ST-LINK derivatives)
Sharing: ST-LINK, J-Link, FTDI and bulk CMSIS-DAP interfaces are claimed through usbfs, which one process at a time can do;
/dev/hidraw (CMSIS-DAP v1 in Debian's OpenOCD) and ttyACM are opened without a claim, so two programs steal each other's
replies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Sharing(Enum):
    """Whether the kernel keeps a second program out while one has the probe open."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of debug probe.

    `driver` is OpenOCD's `adapter driver`, None if OpenOCD does not drive it. `nodes` are the device nodes a holder has
    open: usb (/dev/bus/usb), hidraw, tty. `certain` is false for chips that are as often a plain serial adapter.
    """

    kind: str
    name: str
    driver: str | None
    sharing: Sharing = Sharing.EXCLUSIVE
    nodes: tuple[str, ...] = ("usb",)
    source: str = "rules"
    certain: bool = True


def _ids(vendor: str, products: str) -> tuple[str, ...]:
    return tuple(f"{vendor}:{product}" for product in products.split())


ST_LINK_V2 = Model("st-link", "ST-LINK/V2", "hla or st-link")
DAP_V1 = Model("cmsis-dap", "CMSIS-DAP v1", "cmsis-dap", Sharing.SHARED, ("usb", "hidraw"))
DAP_V2 = Model("cmsis-dap", "CMSIS-DAP v2", "cmsis-dap", Sharing.EXCLUSIVE, ("usb", "hidraw"))

TABLE: tuple[tuple[tuple[str, ...], Model], ...] = (
    (_ids("0483", "3744"), Model("st-link", "ST-LINK/V1", "hla")),
    (_ids("0483", "3748"), ST_LINK_V2),
    (_ids("0483", "374b 3752"), Model("st-link", "ST-LINK/V2-1", "hla or st-link")),
    (_ids("0483", "374a"), Model("st-link", "ST-LINK/V2-1", "hla or st-link", source="maker")),
    (_ids("0483", "374d"), Model("st-link", "STLINK-V3 (in its loader)", None)),
    (_ids("0483", "3755"), Model("st-link", "STLINK-V3 (in its loader)", None, source="maker")),
    (_ids("0483", "374e 374f 3753 3754"), Model("st-link", "STLINK-V3", "hla or st-link")),
    (_ids("0483", "3757"), Model("st-link", "STLINK-V3PWR", "hla or st-link", source="maker")),
    (_ids("0d28", "0204"), Model("cmsis-dap", "DAPLink", "cmsis-dap", Sharing.SHARED, ("usb", "hidraw"), "maker")),
    (_ids("2e8a", "000c"), Model("cmsis-dap", "Raspberry Pi Debug Probe", "cmsis-dap", source="maker")),
    (_ids("1a86", "8011 8012"), Model("cmsis-dap", "WCH-Link (DAP mode)", "cmsis-dap", source="probe-rs")),
    (_ids("04b4", "f138"), Model("cmsis-dap", "KitProg (CMSIS-DAP)", "cmsis-dap", Sharing.SHARED, ("usb", "hidraw"))),
    (_ids("04b4", "f139"), Model("kitprog", "KitProg", "kitprog", nodes=("usb", "hidraw"))),
    (_ids("c251", "2710 2750"), Model("ulink", "Keil ULINK", "ulink")),
    (_ids("1366", "*"), Model("jlink", "SEGGER J-Link", "jlink")),
    (_ids("303a", "1001"), Model("esp-usb-jtag", "ESP32 built-in USB JTAG", "esp_usb_jtag")),
    (_ids("303a", "1002"), Model("esp-usb-jtag", "ESP USB Bridge", "esp_usb_jtag")),
    (_ids("1d50", "6018"), Model("blackmagic", "Black Magic Probe", None, Sharing.SHARED, ("usb", "tty"), "maker")),
    (_ids("0451", "bef3 bef4"), Model("xds110", "TI XDS110", "xds110")),
    (_ids("1cbe", "02a5"), Model("xds110", "TI XDS110", "xds110")),
    (_ids("1cbe", "00fd"), Model("icdi", "TI ICDI", "hla")),
    (_ids("0451", "c32a"), Model("icdi", "TI ICDI", "hla")),
    (_ids("0416", "511b 511c 511d 5200 5201"), Model("nulink", "Nuvoton Nu-Link", "hla", nodes=("usb", "hidraw"))),
    (_ids("09fb", "6001 6010 6810"), Model("usb-blaster", "Altera USB-Blaster", "usb_blaster")),
    (_ids("0b6b", "0040"), Model("opella", "Ashling Opella-LD", "ftdi")),
    (_ids("15ba", "0003 0004 002a 002b"), Model("ftdi", "Olimex ARM-USB", "ftdi")),
    (_ids("15ba", "001e"), Model("opendous", "Olimex ARM-JTAG-EW", "arm-jtag-ew")),
    (_ids("0403", "8220"), Model("ftdi", "Distortec JTAG-lock-pick Tiny 2", "ftdi")),
    (_ids("0403", "8a98 8a99"), Model("ftdi", "TUMPA", "ftdi")),
    (_ids("0403", "a6d0 a6d1"), Model("ftdi", "TI XDS100", "ftdi")),
    (_ids("0403", "baf8 bbe2 bca0 bca1 bcd9 bcda bdc8 c140 c141 cff8 9e90"), Model("ftdi", "FTDI-based probe", "ftdi")),
    (_ids("0403", "f1a0"), Model("presto", "ASIX Presto", "presto")),
    (_ids("0403", "6010 6011 6014"), Model("ftdi", "FTDI MPSSE chip", "ftdi", certain=False)),
    (_ids("138e", "9000"), Model("rlink", "Raisonance RLink", "rlink")),
    (_ids("15a2", "0042 0058 005e"), Model("osbdm", "OSBDM", "osbdm")),
    (_ids("1781", "0c63"), Model("usbprog", "USBprog", "usbprog")),
    (_ids("22b7", "150d"), Model("ftdi", "isodebug", "ftdi")),
    (_ids("03eb", "204f"), Model("opendous", "opendous / estick", "opendous")),
)

_BY_ID = {usb_id: model for usb_ids, model in TABLE for usb_id in usb_ids}
CONFIGURED = Model("configured", "probe of the configuration", None, source="configuration")
"""A device of no row whose USB ID a configuration names: its user knows better than a table."""
DAP = "CMSIS-DAP"
"""What the product or interface string of every CMSIS-DAP probe contains (CMSIS-DAP specification, USB; OpenOCD's rules)."""


def identify(vid_pid: str, product: str = "", interfaces: Iterable[str] = ()) -> Model | None:
    """Return which debug probe a USB device is, None if it is none. `interfaces` are the strings of its interfaces.

    CMSIS-DAP probes are known by their strings whoever made them; a bulk interface that says so makes it version 2.
    """
    known = _BY_ID.get(vid_pid) or _BY_ID.get(f"{vid_pid.partition(':')[0]}:*")
    if known and known.kind != "cmsis-dap" and known.certain:
        return known
    texts = [text for text in interfaces if DAP in text]
    if any("v2" in text.lower() for text in texts):
        return _named(known, DAP_V2)
    if texts or DAP in product:
        return _named(known, DAP_V1)
    return known


def _named(known: Model | None, seen: Model) -> Model:
    """Return what the strings say, under the name of the table where it has one."""
    if known is None or known.kind != seen.kind:
        return seen
    return Model(seen.kind, f"{known.name} ({seen.name})", seen.driver, seen.sharing, seen.nodes, known.source)
