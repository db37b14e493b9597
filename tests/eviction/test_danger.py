"""What could lead to a wrong kill: each is made to happen for real, between the verdict and the signal or before both."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from ocdsup.demo.stage import is_alive, until
from ocdsup.probes.eviction import Decision, How, Policy, Rules, judge
from ocdsup.probes.holders import Holder
from ocdsup.runtime import ending, procfs, procs

NODE = "/dev/full"  # a character device that anybody may open and next to nobody does, in the place of the probe's node
PATIENCE_S = 20.0
ROOT = Path(__file__).parents[2]
HOLD = "import os, signal, sys\nprobe = os.open(sys.argv[1], os.O_RDONLY)\nos.set_inheritable(probe, True)\n"
READY = "print('ready', os.getpid(), flush=True)\nwhile True: signal.pause()\n"


@contextmanager
def process(code: str, *argv: str, before: tuple[str, ...] = ()) -> Iterator[int]:
    """Python code in a process of its own that says `ready` and its PID."""
    words = [*before, sys.executable, "-c", code, *argv]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline().split()
            assert line[:1] == ["ready"]
            yield child.pid
        finally:
            child.kill()


def judged(pid: int) -> Holder:
    """The holder as a look finds it, to be ended by force of the policy."""
    report = procs.find_holders(procs.wanted([NODE]), budget_s=10)
    holder = next(holder for holder in report.holders if holder.pid == pid)
    assert judge(holder, Rules("nucleo", policy=Policy.ANY), monotonic()).decision is Decision.EVICT
    return holder


@pytest.mark.parametrize(
    ("becomes", "said"),
    [
        ("os.execv('/bin/sleep', ['sleep', '600'])", "sleep now"),
        (
            f"os.execv({sys.executable!r}, [{sys.executable!r}, '-c', 'import signal; signal.pause()'])",
            "command line is another",
        ),
    ],
    ids=["another program", "the same program with another task"],
)
async def test_a_holder_that_executes_something_else_after_the_look_is_left_alone(becomes: str, said: str) -> None:
    """Same PID, same start time, and the probe's descriptor inherited across the exec."""
    code = HOLD + f"signal.signal(signal.SIGUSR1, lambda *_: {becomes})\n" + READY
    with process(code, NODE) as pid:
        holder = await asyncio.to_thread(judged, pid)
        os.kill(pid, signal.SIGUSR1)
        await asyncio.to_thread(until, "exec", lambda: procfs.read_cmdline(pid) not in {holder.cmdline, ()}, PATIENCE_S)
        result = await ending.evict(holder, procs.wanted([NODE]))
        assert (result.how, said in result.text) == (How.REFUSED, True), result.text
        assert is_alive(pid)


async def test_a_holder_that_hands_the_probe_to_a_child_and_ends_is_gone_and_the_child_is_judged_anew() -> None:
    code = HOLD + "if os.fork():\n    signal.pause()\n" + READY
    with process(code, NODE) as pid:
        holder = await asyncio.to_thread(judged, pid)
        child = next(h.pid for h in procs.find_holders(procs.wanted([NODE]), budget_s=10).holders if h.pid != pid)
        os.kill(pid, signal.SIGKILL)
        try:
            await asyncio.to_thread(until, "end", lambda: not is_alive(pid), PATIENCE_S)
            assert (await ending.evict(holder, procs.wanted([NODE]))).how is How.GONE
            assert is_alive(child)
            assert (await asyncio.to_thread(judged, child)).pid == child
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.system
async def test_the_node_is_the_same_device_through_a_bind_mount_and_under_another_number_of_the_file(tmp_path: Path) -> None:
    """A container or a chroot has nodes of its own for the same device."""
    other, bound = tmp_path / "004", tmp_path / "bound"
    os.mknod(other, 0o20666, os.makedev(1, 7))
    bound.touch()
    mount = ("unshare", "--mount", "sh", "-c", f'mount --bind {NODE} {bound} && exec "$@"', "sh")
    with process(HOLD + READY, str(other)) as first, process(HOLD + READY, str(bound), before=mount) as second:
        assert {judged(first).nodes, judged(second).nodes} == {(NODE,)}
        assert (await ending.evict(judged(second), procs.wanted([NODE]))).ended
        assert is_alive(first)


# Runs as PID 1 of a PID namespace of its own, where nobody else takes the number that is to come next.
REUSE = """
import asyncio, json, os, signal, subprocess, sys
from ocdsup.runtime import ending, procs
code, node = sys.argv[1:]
def start():
    child = subprocess.Popen([sys.executable, "-c", code, node], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    return child
what = procs.wanted([node])
first = start()
(holder,) = procs.find_holders(what, budget_s=10).holders
first.kill(); first.wait()
open("/proc/sys/kernel/ns_last_pid", "w").write(str(first.pid - 1))
second = start()
result = asyncio.run(ending.evict(holder, what))
print(json.dumps([first.pid, second.pid, result.how, result.text, second.poll()]))
second.kill(); second.wait()
"""


@pytest.mark.system
def test_a_pid_that_the_kernel_has_given_to_another_holder_meanwhile_is_left_alone() -> None:
    argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", REUSE, HOLD + READY, NODE]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, second, how, text, code = json.loads(done.stdout)
    assert first == second, "the number was not used again"
    assert (how, code) == ("gone", None)
    assert "belongs to another process now" in text
