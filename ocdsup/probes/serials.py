"""The many spellings of a probe's serial number, compared as one.

ST-LINK/V2 with firmware before V2J21S4 sends its serial as 12 raw bytes, one per UTF-16 unit, instead of 24 hexadecimal
digits (OpenOCD 0.12 interface/stlink.cfg; 0.11 and later also accept the 24 digits). Linux shows these bytes as the
characters U+0001…U+00FF and stops at the first zero byte. Every spelling is compared as the 24 digits.
"""

import re

RAW_BYTES = 12
ESCAPED = re.compile(r"(?:\\x[0-9a-fA-F]{2}){12}")
SHOWN = 64
"""Characters of a foreign text that are shown."""


def serial_key(serial: str) -> str:
    """Return the one spelling in which serials are compared: 24 digits for raw and escaped ones, upper case."""
    if ESCAPED.fullmatch(serial):
        return serial.replace("\\x", "").upper()
    if is_raw(serial):
        return _digits(serial)
    return serial.upper()


def _digits(serial: str) -> str:
    return "".join(f"{ord(char):02X}" for char in serial)


def is_raw(serial: str) -> bool:
    """Tell whether this is a raw ST-LINK/V2 serial (or its beginning): bytes rather than printable ASCII."""
    odd = any(not 0x20 <= ord(char) < 0x7F for char in serial)
    return 0 < len(serial) <= RAW_BYTES and odd and all(ord(char) <= 0xFF for char in serial)


def same_serial(wanted: str, shown: str) -> bool:
    """Tell whether a probe that shows this serial may be the one that is wanted.

    A raw serial with a zero byte is cut there by Linux: what is shown must then be what precedes the zero.
    """
    key, seen = serial_key(wanted), serial_key(shown)
    if key == seen:
        return True
    if len(shown) == RAW_BYTES and all(ord(char) <= 0xFF for char in shown) and len(key) == 2 * RAW_BYTES:
        return key == _digits(shown)  # raw, and every byte of it printable by chance
    cut = is_raw(shown) and len(shown) < RAW_BYTES and len(key) == 2 * RAW_BYTES
    return cut and key.startswith(f"{seen}00")


def printable(text: str) -> str:
    """Return a foreign text (a USB string, a process's name) as it may be shown: no control characters, not too long."""
    return "".join(char if char.isprintable() else "?" for char in text[:SHOWN])


def shown_serial(serial: str) -> str:
    """Return the serial as it is shown and may be written into a configuration."""
    return serial_key(serial) if is_raw(serial) else printable(serial)
