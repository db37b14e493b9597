"""Replay: a new backend is made to fit what GDB believes, and the core is left as its user left it."""

import pytest

from ocdsup.rsp.packets import Point, monitor_request
from ocdsup.rsp.policy import BackendUp, OnDetach, Policy
from tests.rsp.debug_bench import Bench, attached
from tests.rsp.openocd_model import BKPT, RAM, RESET_PC, Board, OpenOcd


def pc_of(registers: bytes) -> int:
    """Return the PC of a `g` reply."""
    return int.from_bytes(bytes.fromhex(registers.decode())[60:64], "little")


def test_halted_and_idle_a_restart_is_invisible() -> None:
    """Nothing reaches GDB, and points, register writes and modes are in the new process."""
    bench = attached()
    assert [bench.ask(body) for body in (b"Z1,8000234,2", b"Z2,20000000,4", b"P1=78563412")] == [b"OK"] * 3
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.comparators == {Point(1, 0x8000234, 2), Point(2, 0x20000000, 4)}
    assert bench.ask(b"p1") == b"78563412"
    assert bench.process is not None
    assert b"!" in bench.process.log
    assert b"Hg0" in bench.process.log


def test_a_breakpoint_in_ram_gets_its_original_bytes_back() -> None:
    """The opcode that the dead process left in RAM never becomes the original of the new one."""
    bench = attached()
    original = bytes(bench.board.ram[8:10])
    bench.ask(b"Z0,20000008,2")
    assert bytes(bench.board.ram[8:10]) == BKPT
    bench.kill()
    bench.start()
    bench.settle()
    assert bytes(bench.board.ram[8:10]) == BKPT
    assert bench.ask(b"z0,20000008,2") == b"OK"
    assert bytes(bench.board.ram[8:10]) == original


def test_running_the_resume_is_sent_again_and_a_breakpoint_from_before_hits() -> None:
    """GDB sees neither the loss nor OpenOCD's complaint about the second resume; the core is never halted."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.resume()
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running
    assert bench.process is not None
    assert monitor_request("halt") not in bench.process.log
    assert bench.process.log[-1] == b"vCont;c"
    bench.hit()
    bench.settle()
    assert bench.stops == [b"T05"]
    assert bench.console == ""


def test_a_watchpoint_while_running_halts_the_core_for_a_moment_only() -> None:
    """Points that a running core cannot take are set in a short halt."""
    bench = attached()
    bench.ask(b"Z2,20000000,4")
    bench.resume()
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running
    assert bench.running
    assert bench.board.comparators == {Point(2, 0x20000000, 4)}


def test_a_breakpoint_hit_while_openocd_was_away_is_reported() -> None:
    """The core stands when OpenOCD is back: GDB gets its stop."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.hit()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T05"]


def test_a_core_that_only_the_attach_has_halted_runs_on() -> None:
    """`?` says S02: the default gdb-attach event halted it, and nobody else."""
    bench = attached()
    bench.resume()
    bench.kill()
    bench.board.running = False
    bench.start()
    assert bench.process is not None
    bench.process.reason = b"S02"
    bench.settle()
    assert bench.stops == []
    assert bench.board.running


@pytest.mark.parametrize("body", [b"vCont;s", b"s", b"vCont;r8000100,8000110:1"])
def test_a_step_that_died_is_answered_by_a_stop(body: bytes) -> None:
    """The step may have been made or not; GDB is told to look."""
    bench = attached()
    bench.send(body)
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.stops == [b"T05"]


def test_the_last_block_of_a_ram_load_is_written_again() -> None:
    """OpenOCD acknowledges `X` before it writes; what it took to its grave is repeated."""
    bench = attached()
    bench.ask(b"X20000000,8:ABCDEFGH")
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.ask(b"m20000000,8") == b"4142434445464748"


def test_after_a_reset_while_running_gdb_gets_a_line_and_a_stop() -> None:
    """The truth: the board was reset, and stands at its new PC with all points set."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.resume()
    bench.kill()
    bench.start(reset=True, halt=False)
    bench.settle()
    assert bench.stops == [b"T02"]
    assert "ocdsup: board was reset" in bench.console
    assert not bench.board.running
    assert bench.board.comparators == {Point(1, 0x8000234, 2)}
    assert pc_of(bench.ask(b"g")) == RESET_PC


def test_after_a_reset_while_running_gdb_may_run_on_by_policy() -> None:
    """With `stop_after_reset` off, only the line is printed."""
    bench = attached(Policy(stop_after_reset=False))
    bench.resume()
    bench.kill()
    bench.start(reset=True, halt=True)
    bench.settle()
    assert bench.stops == []
    assert "ocdsup: board was reset" in bench.console
    assert bench.board.running


def test_after_a_reset_while_idle_the_first_resume_is_a_stop() -> None:
    """Nothing unasked; the first resume does not run on stale registers; the second one runs."""
    bench = attached()
    bench.ask(b"P1=78563412")
    bench.kill()
    bench.start(reset=True)
    bench.settle()
    bench.resume()
    assert bench.stops == [b"T02"]
    assert "ocdsup: board was reset" in bench.console
    assert not bench.board.running
    registers = bench.ask(b"g")
    assert pc_of(registers) == RESET_PC
    assert registers[8:16] == b"00000000"
    bench.resume()
    assert bench.board.running


def test_after_the_users_own_reset_the_first_resume_runs() -> None:
    """`monitor reset halt` says it all: GDB's user knows."""
    bench = attached()
    bench.kill()
    bench.start(reset=True)
    bench.settle()
    bench.ask(monitor_request("reset halt"))
    bench.resume()
    assert bench.board.running
    assert bench.stops == []


@pytest.mark.parametrize("running", [False, True])
def test_after_a_reexamination_the_comparators_are_set_again(running: bool) -> None:
    """The points that OpenOCD zeroed without knowing are back at once, and the run state is as it was."""
    bench = attached()
    bench.ask(b"Z1,8000234,2")
    bench.ask(b"Z2,20000000,4")
    if running:
        bench.resume()
    assert bench.process is not None
    bench.process.reexamine()
    bench.carry(bench.proxy.reexamined(bench.now))
    bench.settle()
    assert bench.board.comparators == {Point(1, 0x8000234, 2), Point(2, 0x20000000, 4)}
    assert bench.board.running is running
    assert bench.running is running
    assert bench.stops == []


def test_settings_by_monitor_are_made_again() -> None:
    """What a new process has forgotten is said again, in the last form only; actions are not."""
    bench = attached()
    for line in ("arm semihosting disable", "arm semihosting enable", "mdw 0x20000000", "reset halt", "adapter speed 100"):
        assert bench.ask(monitor_request(line)) == b"OK"
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.process is not None
    asked = [body for body in bench.process.log if body.startswith(b"qRcmd")]
    assert asked == [monitor_request("arm semihosting enable"), monitor_request("adapter speed 100")]


@pytest.mark.parametrize(
    ("policy", "running", "after"),
    [
        (OnDetach.RESUME, False, True), (OnDetach.RESUME, True, True), (OnDetach.HALT, True, False),
        (OnDetach.HALT, False, False), (OnDetach.LEAVE, True, True), (OnDetach.LEAVE, False, False),
    ],
)  # fmt: skip
def test_when_gdb_dies_the_core_is_left_as_the_policy_says(policy: OnDetach, running: bool, after: bool) -> None:
    """All points are taken out first, RAM is as it was, and the backend is closed only after that."""
    bench = attached(Policy(on_detach=policy))
    before = bytes(bench.board.ram)
    for body in (b"Z1,8000234,2", b"Z2,20000010,4", b"Z0,20000008,2"):
        bench.ask(body)
    if running:
        bench.resume()
    bench.carry(bench.proxy.client_gone(bench.now))
    bench.settle()
    assert bench.backend_closed == "GDB has gone"
    assert bench.board.running is after
    assert bench.board.comparators == set()
    assert bytes(bench.board.ram) == before


@pytest.mark.parametrize(("policy", "after"), [(OnDetach.RESUME, True), (OnDetach.HALT, False), (OnDetach.LEAVE, False)])
def test_a_detach_leaves_the_core_as_the_policy_says(policy: OnDetach, after: bool) -> None:
    """OpenOCD itself would only say OK; GDB's OK comes when it is done."""
    bench = attached(Policy(on_detach=policy))
    assert bench.ask(b"D") == b"OK"
    assert bench.board.running is after


LEAVES = {
    "detach": lambda bench: bench.ask(b"D"),
    "kill": lambda bench: bench.send(b"k"),
    "gone": lambda bench: bench.carry(bench.proxy.client_gone(bench.now)),
}


@pytest.mark.parametrize("policy", OnDetach)
@pytest.mark.parametrize(
    ("how", "running"),
    [("detach", False), ("kill", False), ("gone", False), ("gone", True)],  # GDB itself lets no running target go
)
def test_gdb_may_leave_while_openocd_is_away(how: str, running: bool, policy: OnDetach) -> None:
    """The next OpenOCD leaves the core as the policy says, with its RAM healed, and is asked nothing after that."""
    bench = attached(Policy(on_detach=policy))
    before = bytes(bench.board.ram)
    for body in (b"Z1,8000234,2", b"Z0,20000008,2"):
        bench.ask(body)
    if running:
        bench.resume()
    bench.kill()
    LEAVES[how](bench)
    if how != "gone":
        bench.carry(bench.proxy.client_gone(bench.now))
    assert bench.proxy.owes
    bench.start(halt=not running)
    bench.settle()
    assert bench.board.running is {OnDetach.RESUME: True, OnDetach.HALT: False, OnDetach.LEAVE: running}[policy]
    assert bytes(bench.board.ram) == before
    assert bench.board.comparators == set()
    assert (bench.proxy.owes, bench.backend_closed) == (False, "GDB has gone")


@pytest.mark.parametrize("how", LEAVES)
def test_an_openocd_that_dies_of_the_farewell_is_followed_by_one_that_hears_it(how: str) -> None:
    """However far the first one came."""
    for steps in range(12):
        bench = attached(Policy(on_detach=OnDetach.RESUME))
        before = bytes(bench.board.ram)
        bench.ask(b"Z0,20000008,2")
        if how == "gone":
            bench.carry(bench.proxy.client_gone(bench.now))
        else:
            bench.send(b"D" if how == "detach" else b"k")
        for _ in range(steps):
            bench.step()
        bench.kill()
        if how == "detach":
            assert bench.answer() == b"OK"
        if how != "gone":
            bench.carry(bench.proxy.client_gone(bench.now))
        while bench.proxy.owes:
            bench.start()
            bench.settle()
        assert bench.board.running
        assert bytes(bench.board.ram) == before


@pytest.mark.parametrize("policy", OnDetach)
@pytest.mark.parametrize("first", ["GDB", "OpenOCD"])
def test_a_gdb_that_dies_while_it_attaches_leaves_the_core_running_also_when_openocd_dies_too(
    first: str, policy: OnDetach
) -> None:
    """However far the attach came: it has halted a core for somebody who never asked how it stands."""
    halted_early = 0
    for steps in range(12):
        bench = Bench(Policy(on_detach=policy))
        bench.board.running = True
        bench.start(halt=False)
        bench.send(b"qSupported:swbreak+")
        for _ in range(steps):
            bench.step()
        halted_early += not bench.board.running
        for dies in (first, *{"GDB", "OpenOCD"} - {first}):
            if dies == "OpenOCD":
                bench.kill()
            else:
                bench.carry(bench.proxy.client_gone(bench.now))
        while bench.proxy.owes:
            bench.start(known=False)
            bench.settle()
        assert bench.board.running
    assert halted_early > 3


@pytest.mark.parametrize("policy", OnDetach)
def test_a_kill_is_a_detach_without_an_answer(policy: OnDetach) -> None:
    """OpenOCD's own `k` would leave the core standing and its comparators set."""
    bench = attached(Policy(on_detach=policy))
    bench.ask(b"Z1,8000234,2")
    bench.send(b"k")
    bench.settle()
    assert bench.process is not None
    assert b"k" not in bench.process.log
    assert bench.board.running is (policy is OnDetach.RESUME)
    assert bench.board.comparators == set()


def test_a_core_that_gdb_has_left_is_not_halted_by_the_next_openocd() -> None:
    """In extended mode the connection outlives the detach: the replay is not an attach."""
    bench = attached()
    assert bench.ask(b"D") == b"OK"
    assert bench.board.running
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running


def test_a_backend_that_never_finishes_its_greeting_is_given_up() -> None:
    """A dialogue that hangs ends with the connection closed from our side."""
    bench = attached()
    bench.kill()
    bench.carry(bench.proxy.backend_ready(BackendUp(), bench.now))
    bench.advance(8.1)
    assert bench.backend_closed == "the backend does not answer"
    bench.start()
    bench.settle()
    assert bench.ask(b"m20000000,4") == b"00010203"


def test_the_run_state_that_monitor_made_is_kept() -> None:
    """`monitor resume` lets the core run behind GDB's back: a restart does not halt it."""
    bench = attached(Policy(), Board())
    bench.ask(monitor_request("resume"))
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.board.running


def test_reads_of_ram_see_it_as_it_is_after_a_restart() -> None:
    """Memory beside a breakpoint is untouched by the replay."""
    bench = attached()
    before = bytes(bench.board.ram)
    bench.ask(b"Z0,%x,2" % (RAM + 8))
    bench.kill()
    bench.start()
    bench.settle()
    bench.ask(b"z0,%x,2" % (RAM + 8))
    assert bytes(bench.board.ram) == before


def test_code_that_was_loaded_over_a_breakpoint_is_left_alone() -> None:
    """Only a breakpoint opcode is replaced by the original bytes."""
    bench = attached()
    bench.ask(b"Z0,20000008,2")
    bench.kill()
    bench.board.ram[8:10] = b"\xaa\xbb"
    bench.start()
    bench.settle()
    bench.ask(b"z0,20000008,2")
    assert bytes(bench.board.ram[8:10]) == b"\xaa\xbb"


DIALOGUE = range(14)  # how many writes of the first dialogue got through; more than it has


@pytest.mark.parametrize("moved", DIALOGUE)
def test_a_reset_is_told_although_openocd_dies_again_in_the_dialogue(moved: int) -> None:
    """Twice at any moment: the register that was written before the reset is not written after it, and the resume is a stop."""
    bench = attached()
    assert bench.ask(b"P1=78563412") == b"OK"
    bench.ask(b"Z1,8000234,2")
    bench.kill()
    bench.start(reset=True)
    for _ in range(2):
        for _ in range(moved):
            bench.step()
        bench.kill()
        bench.start()
    bench.settle()
    bench.resume()
    assert bench.stops == [b"T02"]
    assert bench.console.count("ocdsup: board was reset") == 1
    assert not bench.board.running
    assert bench.board.registers[1] == 0
    assert bench.ask(b"g")[8:16] == b"00000000"
    bench.resume()
    assert bench.board.running


@pytest.mark.parametrize("moved", DIALOGUE)
def test_a_reset_of_a_running_program_is_told_once_although_openocd_dies_again(moved: int) -> None:
    """GDB gets its line and its stop from whichever dialogue comes to its end."""
    bench = attached()
    bench.ask(b"Z2,20000000,4")
    bench.resume()
    bench.kill()
    bench.start(reset=True, halt=False)
    for _ in range(moved):
        bench.step()
    if bench.running:
        bench.kill()
        bench.start()
    bench.settle()
    assert bench.stops == [b"T02"]
    assert bench.console.count("ocdsup: board was reset") == 1
    assert not bench.board.running


@pytest.mark.parametrize("moved", DIALOGUE)
def test_a_core_that_ran_meanwhile_is_told_although_openocd_dies_again(moved: int) -> None:
    """The first of two has halted it: the second finds it halted, and GDB still hears that its registers are history."""
    bench = attached()
    bench.ask(b"P1=78563412")
    bench.kill()
    bench.board.running = True
    bench.start(known=False)
    for _ in range(moved):
        bench.step()
    bench.kill()
    bench.start(known=False)
    bench.settle()
    bench.resume()
    assert bench.stops == [b"T02"]
    assert "the core ran while OpenOCD was away" in bench.console
    assert bench.board.registers[1] != 0x12345678


def test_settings_are_said_to_a_process_that_has_not_heard_them_to_the_end() -> None:
    """Its first connection is lost in the dialogue: the second, to the same process, says them again; a third does not."""
    bench = attached()
    bench.ask(monitor_request("arm semihosting enable"))
    bench.kill()
    bench.start()
    counts = []
    for _ in range(2):
        bench.proxy.backend_lost("closed by peer", bench.now)
        bench.up.clear()
        bench.down.clear()
        process = bench.process = OpenOcd(bench.board)
        bench.carry(bench.proxy.backend_ready(BackendUp(same=True), bench.now))
        bench.settle()
        counts.append(process.log.count(monitor_request("arm semihosting enable")))
    assert counts == [1, 0]


def test_a_register_write_that_waited_for_openocd_fails_when_the_board_was_reset() -> None:
    """It was meant for the registers of before."""
    bench = attached()
    bench.kill()
    bench.send(b"P1=78563412")
    bench.start(reset=True)
    bench.settle()
    assert bench.answer() == b"E01"
    assert bench.ask(b"g")[8:16] == b"00000000"


def test_a_core_that_is_not_where_it_was_left_is_told() -> None:
    """Nobody knows of a reset, but the registers are not those that GDB has seen: they are history, and so is what it wrote."""
    bench = attached()
    bench.ask(b"g")
    bench.ask(b"P1=78563412")
    bench.kill()
    bench.board.reset(halt=True)
    bench.start()
    bench.settle()
    bench.resume()
    assert bench.stops == [b"T02"]
    assert "does not stand where it was left" in bench.console
    assert bench.board.registers[1] == 0


@pytest.mark.parametrize("body", [b"vFlashErase:8000000,400", b"qCRC:8000000,400"])
def test_registers_that_openocd_itself_has_used_are_not_compared(body: bytes) -> None:
    """It runs programs on the core to erase, write and sum up, and gives the registers back with the next resume."""
    bench = attached()
    bench.ask(b"g")
    bench.ask(body)
    bench.kill()
    bench.board.registers[1] = 7
    bench.start()
    bench.settle()
    bench.resume()
    assert bench.stops == []
    assert bench.board.running


@pytest.mark.parametrize(("line", "again"), [("reset halt", 2), ("reset init", 2), ("reset halt; resume", 1)])
def test_a_reset_by_monitor_that_openocd_dies_of_is_made_by_the_next_one_or_told(line: str, again: int) -> None:
    """Whether the dead one had come to it nobody knows: what was written before is never written after it."""
    bench = attached()
    bench.ask(b"P1=78563412")
    bench.send(monitor_request(line))
    bench.board.reset(halt=True)
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.process is not None
    assert bench.process.log.count(monitor_request(line)) == again - 1
    assert bench.answer() == (b"OK" if again == 2 else b"E01")
    if again == 1:
        bench.resume()
        assert bench.stops == [b"T02"]
        assert "OpenOCD was lost while it reset the board" in bench.console
    assert bench.board.registers[1] == 0


def test_what_a_new_openocd_is_not_told_its_user_is_told_once() -> None:
    """At the next resume, where GDB listens; a connection that was lost to the same process undoes nothing."""
    bench = attached()
    bench.ask(monitor_request("bp 0x08000234 2 hw"))
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.console.count("no longer in force") == 0
    bench.resume()
    assert "no longer in force: bp 0x08000234 2 hw\n" in bench.console
    bench.kill()
    bench.start()
    bench.settle()
    assert bench.console.count("no longer in force") == 1
