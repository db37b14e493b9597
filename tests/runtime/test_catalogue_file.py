"""The log catalogue reaches the daemon through a child, and the daemon does not hold the parser."""

import subprocess
import sys

import pytest

from ocdsup.openocd.catalogue import load_builtin
from ocdsup.runtime import catalogue_file

NO_CHILDREN = (
    ("/nonexistent/python",),
    ("/bin/false",),
    ("/bin/echo", "no JSON"),
    ("/bin/echo", "{}"),
)


def test_what_the_child_reads_is_the_catalogue_that_ships() -> None:
    assert catalogue_file.load().rules == load_builtin().rules


@pytest.mark.parametrize("command", NO_CHILDREN)
def test_without_a_child_the_catalogue_is_the_same(command: tuple[str, ...]) -> None:
    assert catalogue_file.load(command).by_id == load_builtin().by_id


def test_a_process_that_runs_the_daemon_holds_neither_yaml_nor_pydantic_nor_openssl() -> None:
    code = (
        "import sys; from ocdsup.cli.run import _import_lean as first; first();"
        "import ocdsup.runtime.daemon; from ocdsup.runtime import catalogue_file, config_file, logs; catalogue_file.load();"
        "print([name for name in ('yaml', 'pydantic', 'ssl', '_ssl', '_hashlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
