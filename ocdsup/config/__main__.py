"""`python -m ocdsup.config FILE`: check one configuration file and tell the daemon, in one line of JSON (`exchange`).

Exit code 0: a configuration; 2: problems. The only module of this room that touches the disk.
"""

import errno
import os
import stat
import sys
from dataclasses import replace

from ocdsup.config import exchange, trust
from ocdsup.config.document import SIZE_LIMIT
from ocdsup.config.exchange import Checked
from ocdsup.config.load import load
from ocdsup.config.model import Bench, Config
from ocdsup.errors import ConfigError, Problem


def read(file: str) -> Checked:
    """Return the configuration in `file`.

    Raises:
        ConfigError: the file cannot be read or trusted, or holds problems.
    """
    try:
        with open(file, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(SIZE_LIMIT + 1) if stat.S_ISREG(status.st_mode) else b""
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise ConfigError([_unreadable(file, error)]) from None
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError([_no_file(file, status.st_mode)])
    verdict = trust.judge(status.st_uid, status.st_mode, os.geteuid(), file)
    distrust = [Problem(file, 0, 0, "", verdict.error, verdict.hint)] if verdict.error else []
    try:
        config = load(_decoded(content, file), file)
    except ConfigError as error:
        raise ConfigError((*distrust, *error.problems)) from None
    if distrust:
        raise ConfigError(distrust)
    config = _placed(config, os.path.dirname(os.path.abspath(file)))
    distrust = [Problem(file, 0, 0, "", verdict.warning, verdict.hint)] if verdict.warning else []
    return Checked(config, (*distrust, *_without_effect(config, file)))


def _placed(config: Config, folder: str) -> Config:
    """The configuration with `search` from the folder that the file is in: a daemon's working directory is /, or anybody's."""

    def bench(one: Bench) -> Bench:
        search = tuple(os.path.normpath(os.path.join(folder, path)) for path in one.openocd.search)
        return replace(one, openocd=replace(one.openocd, search=search))

    return replace(config, benches=tuple(map(bench, config.benches)))


def _without_effect(config: Config, file: str) -> list[Problem]:
    if config.http is None:
        return []
    text = f"nothing is served at {config.http}: this version has no status page"
    return [Problem(file, 0, 0, "http", text, "use `ocdsup status --json`, here or as a line on a telnet port")]


def _without_waiting(file: str, flags: int) -> int:
    """Open it, also a pipe that nobody writes to: without the flag that would last until somebody does (fifo(7))."""
    return os.open(file, flags | os.O_NONBLOCK)


def _no_file(file: str, mode: int) -> Problem:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    what = kinds.get(stat.S_IFMT(mode), "no regular file")
    hint = "it is read again at every reload: save it as a file and name that"
    return Problem(file, 0, 0, "", f"it is {what}, and the configuration must be a file", hint)


def _unreadable(file: str, error: OSError | ValueError) -> Problem:
    hints: dict[type[Exception], str] = {
        FileNotFoundError: "name the file with -c, or let `ocdsup init` write one",
        PermissionError: "run as the user who owns it, or let this user read it",
        IsADirectoryError: "name a file in it",
    }
    why, hint = getattr(error, "strerror", None) or error, hints.get(type(error), "")
    if getattr(error, "errno", None) == errno.ENXIO:  # what open(2) answers for a socket
        why, hint = "it is a socket, and the configuration must be a file", "name the file with -c"
    return Problem(file, 0, 0, "", f"cannot read it: {why}", hint)


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        text = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise ConfigError([Problem(file, line, column, "", text, "save the file as UTF-8")]) from None


def main(arguments: list[str]) -> int:
    """Check the file named by the only argument and print the answer; return the exit code."""
    file = arguments[0] if len(arguments) == 1 else ""
    try:
        answer, code = exchange.encode(read(file)), 0
    except ConfigError as error:
        answer, code = exchange.encode_problems(error.problems), 2
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
