"""The daemon's capabilities are its own: nothing that it starts gets them, least of all OpenOCD, whose console is a shell.

Ambient capabilities, the ones a unit gives to a service that is not root, pass on to every program that is executed
(capabilities(7)); so does the inheritable set to programs whose file asks for it. Both are emptied once, on the main thread and
before there is another: threads made later inherit that. What the daemon itself may do is unchanged.
"""

from __future__ import annotations

import ctypes
import os

# linux/prctl.h and linux/capability.h
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    """32 of the 64 bits of the three sets."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def keep_to_ourselves() -> None:
    """Empty the ambient and the inheritable set of this thread. Raises OSError when the kernel refuses."""
    _checked(_LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    header, halves = _Header(_CAPABILITY_VERSION_3, 0), (_Half * 2)()
    _checked(_LIBC.capget(ctypes.byref(header), halves))
    for half in halves:
        half.inheritable = 0
    _checked(_LIBC.capset(ctypes.byref(header), halves))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
