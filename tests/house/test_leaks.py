"""The leak checks of the test tree's conftest find what they are for, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SUITE = """
import asyncio, os, subprocess, sys, threading

KEPT = []

def test_clean():
    with open(__file__):
        subprocess.run([sys.executable, "-c", ""], check=True)

async def test_clean_with_tasks():
    await asyncio.create_task(asyncio.sleep(0))
    await asyncio.to_thread(int)

def test_file():
    KEPT.append(os.pipe())

def test_child():
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

def test_thread():
    KEPT.append(threading.Event())
    threading.Thread(target=KEPT[-1].wait, daemon=True, name="forgotten").start()

async def test_task():
    KEPT.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))

def test_clean_afterwards():
    pass
"""
SETTINGS = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


def test_each_kind_of_leak_is_an_error_of_the_test_that_made_it(root: Path, tmp_path: Path) -> None:
    conftest = (root / "tests" / "conftest.py").read_text(encoding="utf-8")
    hurried = re.sub(r"^PATIENCE_S = .*$", "PATIENCE_S = 0.05", conftest, count=1, flags=re.MULTILINE)
    assert hurried != conftest
    for name, text in {"conftest.py": hurried, "test_leaks.py": SUITE, "pytest.ini": SETTINGS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rE", "-p", "no:cacheprovider", "--tb=line", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    blamed = re.findall(r"^ERROR test_leaks.py::(\w+)", ended.stdout, flags=re.MULTILINE)
    assert sorted(blamed) == ["test_child", "test_file", "test_task", "test_thread"], ended.stdout + ended.stderr
    assert "7 passed" in ended.stdout
