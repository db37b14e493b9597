"""With `adopt: true` OpenOCD itself outlives the daemon: same process, same session; anything doubtful is a clean start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocdsup.demo.stage import is_alive
from ocdsup.runtime.adoption import NAME
from tests.bench.rig import PATIENCE, gone
from tests.systemd.test_handover import Desk

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, adopt=True)
    try:
        yield made
    finally:
        made.rig.stop() if made.rig.daemon is not None else None
        made.manager.drop()
        made.close()


def openocd(desk: Desk) -> int:
    """The PID of the bench's OpenOCD."""
    return int(desk.rig.ready()["backend"]["pid"])


def end(desk: Desk, how: str) -> None:
    desk.rig.stop() if how == "restart" else desk.rig.kill()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_same_openocd_serves_the_same_session(desk: Desk, how: str) -> None:
    """Nothing is started; the next hit of the breakpoint arrives as if nothing had been."""
    desk.attach()
    before = openocd(desk)
    end(desk, how)
    desk.start()
    assert openocd(desk) == before
    desk.gdb.command("-exec-continue")
    assert "blink" in desk.gdb.wait_stop(PATIENCE)
    assert desk.sessions() == 1
    assert desk.rig.log("openocd_taken_up")


def test_it_is_supervised_as_any_other(desk: Desk) -> None:
    """It is nobody's child here, and its end is seen all the same."""
    before = openocd(desk)
    end(desk, "kill")
    desk.start()
    assert openocd(desk) == before
    os.kill(before, 9)
    desk.rig.until("start another", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != before)


def test_it_goes_through_one_daemon_after_the_other(desk: Desk) -> None:
    before = openocd(desk)
    for how in ("kill", "restart", "kill"):
        end(desk, how)
        desk.start()
        assert openocd(desk) == before


def test_a_stop_of_the_service_ends_it(desk: Desk) -> None:
    """The manager drops its store; the terminal hangs up, and OpenOCD ends of that."""
    before = openocd(desk)
    desk.rig.stop()
    assert is_alive(before)
    desk.manager.drop()
    gone(before)


@pytest.mark.parametrize("damage", [b'{"version": 99}', b"\0" * 64], ids=["another version", "broken"])
def test_a_record_that_is_none_is_a_clean_start(desk: Desk, damage: bytes) -> None:
    """The old process is ended, so that it does not hold the probe against the new one."""
    before = openocd(desk)
    end(desk, "kill")
    for number in desk.manager.store[f"{NAME}one"]:
        if "memfd" in os.readlink(f"/proc/self/fd/{number}"):
            os.ftruncate(number, 0)
            os.pwrite(number, damage, 0)
    desk.start()
    assert openocd(desk) != before
    gone(before)


def test_one_that_would_be_started_differently_is_replaced(desk: Desk) -> None:
    """The configuration was edited while there was no daemon."""
    before = openocd(desk)
    end(desk, "kill")
    text = desk.rig.config_file.read_text(encoding="utf-8")
    desk.rig.write_text(text.replace('"config": [', '"adapter_speed_khz": 1000, "config": ['))
    desk.start()
    assert openocd(desk) != before
    gone(before)


def test_without_the_key_it_ends_with_the_daemon(desk: Desk) -> None:
    """Also one that was kept before: the key counts that is there now."""
    before = openocd(desk)
    end(desk, "kill")
    text = desk.rig.config_file.read_text(encoding="utf-8")
    desk.rig.write_text(text.replace('"adopt": true', '"adopt": false'))
    desk.start()
    after = openocd(desk)
    assert after != before
    desk.rig.kill()
    gone(after)
