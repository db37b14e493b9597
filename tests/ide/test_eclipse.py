"""The launch configuration: only keys that the plug-in reads, of the types it asks for, and no OpenOCD of its own."""

import xml.etree.ElementTree as Xml

import pytest

from ocdsup.ide.eclipse import TYPE, launch
from ocdsup.ide.place import Place

OPENOCD = "ilg.gnumcueclipse.debug.gdbjtag.openocd."
JTAG = "org.eclipse.cdt.debug.gdbjtag.core."
# eclipse-embed-cdt, org.eclipse.embedcdt.debug.gdbjtag.openocd.core/ConfigurationAttributes.java: the names behind PREFIX.
PLUG_IN = set(
    """
    doStartGdbServer gdbServerExecutable gdbServerConnectionAddress gdbServerGdbPortNumber gdbServerTelnetPortNumber
    gdbServerTclPortNumber gdbServerLog gdbServerOther doGdbServerAllocateConsole doGdbServerAllocateTelnetConsole
    doStartGdbCLient gdbClientOtherOptions gdbClientOtherCommands doFirstReset firstResetType enableSemihosting
    otherInitCommands doDebugInRam doSecondReset secondResetType otherRunCommands doContinue
    """.split()  # noqa: SIM905  # a paragraph of names reads better than a column of them
)
# eclipse-cdt/cdt, org.eclipse.cdt.debug.gdbjtag.core/IGDBJtagConstants.java.
CDT = set(
    """
    jtagDevice ipAddress portNumber useRemoteTarget loadImage loadSymbols useProjBinaryForImage useProjBinaryForSymbols
    useFileForImage useFileForSymbols imageFileName symbolsFileName imageOffset symbolsOffset setPcRegister pcRegister
    setStopAt stopAt setResume
    """.split()  # noqa: SIM905  # as above
)
OTHERS = {
    "org.eclipse.cdt.dsf.gdb.DEBUG_NAME",
    "org.eclipse.cdt.launch.PROGRAM_NAME",
    "org.eclipse.cdt.launch.DEBUGGER_START_MODE",
}


@pytest.fixture
def tree(place: Place) -> Xml.Element:
    return Xml.fromstring(launch(place))


def values(tree: Xml.Element) -> dict[str, str]:
    return {str(one.get("key")): str(one.get("value")) for one in tree}


def test_every_key_is_one_that_is_read(tree: Xml.Element) -> None:
    known = {OPENOCD + name for name in PLUG_IN} | {JTAG + name for name in CDT} | OTHERS
    assert set(values(tree)) <= known
    assert tree.get("type") == TYPE == f"{OPENOCD}launchConfigurationType"


def test_types_are_those_of_the_getters(tree: Xml.Element) -> None:
    """getAttribute(key, boolean | int | String): a value of another type is an exception in Eclipse."""
    for one in tree:
        name, value = str(one.get("key")).rpartition(".")[2], str(one.get("value"))
        if name.startswith(("do", "load", "use", "set", "enable")):
            assert one.tag == "booleanAttribute"
            assert value in {"true", "false"}
        elif name.endswith("PortNumber") or name == "portNumber":
            assert one.tag == "intAttribute"
            assert value.isdecimal()
        else:
            assert one.tag == "stringAttribute"


def test_it_starts_no_openocd_and_uses_the_stable_ports(tree: Xml.Element) -> None:
    found = values(tree)
    assert found[f"{OPENOCD}doStartGdbServer"] == "false"
    assert found[f"{JTAG}ipAddress"] == "localhost"
    assert found[f"{JTAG}portNumber"] == found[f"{OPENOCD}gdbServerGdbPortNumber"] == "3393"


def test_a_strange_path_stays_xml() -> None:
    elf = 'a & "b" <c>.elf'
    assert values(Xml.fromstring(launch(Place("a", 1, 2, elf=elf))))["org.eclipse.cdt.launch.PROGRAM_NAME"] == elf
