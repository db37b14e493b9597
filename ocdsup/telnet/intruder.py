"""Who speaks on the telnet port without meaning it: a web page, a TLS client, a GDB.

OpenOCD's own guard against web pages (CVE-2018-5704) knows only `POST` and `Host:` and lets a GET with other headers through;
the lines after it would be executed.
"""

import re

JUDGED = 8192  # bytes; a first line that is longer is not one of these

_HTTP = re.compile(rb"[A-Z]+ \S+ HTTP/")
_RSP = re.compile(rb"\+|\$[^\r\n]*#[0-9a-fA-F]{2}")  # `$_TARGETNAME curstate` is Tcl, `$qSupported#37` is GDB


def intruder(beginning: bytes) -> str | None:
    """Return which protocol the first bytes of a session belong to if it is not telnet: `http`, `tls` or `gdb`."""
    first = beginning.partition(b"\n")[0]
    if _HTTP.match(first):
        return "http"
    if first.startswith(b"\x16\x03"):
        return "tls"
    return "gdb" if _RSP.match(first) else None


def judged(beginning: bytes) -> bool:
    """Tell whether the first line is complete, or too long to be an intruder's."""
    return b"\n" in beginning or len(beginning) > JUDGED
