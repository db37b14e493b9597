"""Eclipse Embedded CDT: a launch configuration of its OpenOCD plug-in that starts no OpenOCD.

Keys: org.eclipse.embedcdt.debug.gdbjtag.openocd.core/ConfigurationAttributes.java (their prefix is still that of GNU MCU
Eclipse) and CDT's IGDBJtagConstants; types as the plug-in itself writes them.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from ocdsup.ide.place import HOST, Place

TYPE = "ilg.gnumcueclipse.debug.gdbjtag.openocd.launchConfigurationType"
_OPENOCD = "ilg.gnumcueclipse.debug.gdbjtag.openocd."
_JTAG = "org.eclipse.cdt.debug.gdbjtag.core."
_KIND = {bool: "boolean", int: "int", str: "string"}


def launch(place: Place) -> str:
    """A whole `.launch` file, to be put into the project."""
    lines = [f"    {_attribute(key, value)}" for key, value in sorted(_attributes(place).items())]
    head = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>'
    return "\n".join([head, f'<launchConfiguration type="{TYPE}">', *lines, "</launchConfiguration>", ""])


def _attribute(key: str, value: bool | int | str) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{_KIND[type(value)]}Attribute key={quoteattr(key)} value={quoteattr(text)}/>"


def _attributes(place: Place) -> dict[str, bool | int | str]:
    own: dict[str, bool | int | str] = {
        "doStartGdbServer": False,  # "Start OpenOCD locally", unticked
        "doStartGdbCLient": True,  # spelled so in the plug-in
        "gdbServerConnectionAddress": HOST,
        "gdbServerGdbPortNumber": place.gdb_port,
        "gdbServerTelnetPortNumber": place.telnet_port,
        "gdbClientOtherCommands": "set mem inaccessible-by-default off",
        "doFirstReset": True,
        "firstResetType": "init",
        "enableSemihosting": True,
        "doSecondReset": True,
        "secondResetType": "halt",
        "doContinue": True,
        "doDebugInRam": False,
    }
    jtag: dict[str, bool | int | str] = {
        "jtagDevice": "GNU MCU OpenOCD",
        "ipAddress": HOST,
        "portNumber": place.gdb_port,
        "useRemoteTarget": True,
        "loadImage": True,
        "loadSymbols": True,
        "useProjBinaryForImage": True,
        "useProjBinaryForSymbols": True,
        "setStopAt": True,
        "stopAt": "main",
    }
    return {
        **{_OPENOCD + key: value for key, value in own.items()},
        **{_JTAG + key: value for key, value in jtag.items()},
        "org.eclipse.cdt.dsf.gdb.DEBUG_NAME": place.gdb,
        "org.eclipse.cdt.launch.PROGRAM_NAME": place.elf or "Debug/firmware.elf",
        "org.eclipse.cdt.launch.DEBUGGER_START_MODE": "remote",
    }
