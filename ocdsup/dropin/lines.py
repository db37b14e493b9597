"""What OpenOCD prints, and what IDEs wait for, to the letter of 0.12.0 (all of it on stderr)."""

from __future__ import annotations


def banner(version: str) -> str:
    """The four lines at the start."""
    return (
        f"Open On-Chip Debugger {version}\nLicensed under GNU GPL v2\nFor bug reports, read\n"
        "\thttp://openocd.org/doc/doxygen/bugs.html"
    )


def listening(port: int, service: str) -> str:
    """A service is ready; Cortex-Debug, ESP-IDF and cpptools wait for the one of `gdb`."""
    return f"Info : Listening on port {port} for {service} connections"


def starting(target: str, port: int | str) -> str:
    """The line before it, per target."""
    return f"Info : starting gdb server for {target} on {port}"


def disabled(service: str) -> str:
    """A service was switched off."""
    return f"Info : {service} port disabled"


def taken(service: str, port: int, why: str) -> str:
    """A port belongs to somebody else."""
    return f"Error: couldn't bind {service} to socket on port {port}: {why}"


def shut_down() -> str:
    """OpenOCD ends because it was told to."""
    return "shutdown command invoked"


def note(text: str) -> str:
    """Something of ours, in OpenOCD's form."""
    return f"Info : ocdsup: {text}"


def error(text: str) -> str:
    """An error of ours, in OpenOCD's form; IDEs show lines that begin like this."""
    return f"Error: ocdsup: {text}"
