"""GDB, proxy and OpenOCD as a state machine: after any faults at any moment, what GDB believes is what the board is."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ocdsup.rsp.framing import escape
from ocdsup.rsp.packets import Point
from ocdsup.rsp.policy import Policy
from tests.rsp.debug_bench import Bench
from tests.rsp.openocd_model import BKPT, RAM, RAM_SIZE

POINTS = st.one_of(
    st.builds(Point, st.just(0), st.sampled_from([RAM + 12, RAM + 20, RAM + 22]), st.just(2)),
    st.builds(Point, st.just(1), st.sampled_from([0x8000100, 0x8000200]), st.just(2)),
    st.builds(Point, st.just(2), st.just(RAM + 32), st.just(4)),
)


@dataclass
class Fault:
    """What happens after some more writes have been moved."""

    steps: int
    kind: str  # kill, reset (the board too), hang
    deliver: bool  # replies that were written still arrive
    seconds: float  # until OpenOCD is back, or goes on
    halt: bool  # after a reset
    known: bool  # the supervisor knows whether the core is halted
    hit: bool  # a running core runs into a breakpoint meanwhile
    after: int = 0  # its `steps`, as drawn

    def __post_init__(self) -> None:
        self.after = self.after or self.steps


FAULTS = st.builds(
    Fault,
    steps=st.integers(0, 12),
    kind=st.sampled_from(["kill", "kill", "reset", "hang"]),
    deliver=st.booleans(),
    seconds=st.sampled_from([0.2, 1.0, 5.0]),
    halt=st.booleans(),
    known=st.booleans(),
    hit=st.booleans(),
)


class FaultyBench(Bench):
    """A bench on which one fault at a time waits to happen."""

    fault: Fault | None = None
    resets = 0
    twice = False  # the next OpenOCD dies too, after as many writes

    def step(self) -> bool:
        fault = self.fault
        if fault is not None:
            fault.steps -= 1
            if fault.steps < 0:
                self.fault = None
                self.happen(fault)
        return super().step()

    def happen(self, fault: Fault) -> None:
        """Let a fault happen now."""
        if fault.kind == "hang":
            self.advance(fault.seconds)
            return
        self.kill(deliver=fault.deliver)
        if fault.hit and self.board.running:
            self.hit()
        self.advance(fault.seconds)
        self.resets += fault.kind == "reset"
        self.start(reset=fault.kind == "reset", halt=fault.halt, known=fault.known)
        if self.twice and fault.seconds > 0:
            self.fault = replace(fault, steps=fault.after, kind="kill", seconds=0.0, hit=False)


class SessionMachine(RuleBasedStateMachine):
    """The rules are what GDB and the world can do; the invariant is the truth."""

    cache = False
    twice = False

    @initialize()
    def attach(self) -> None:
        self.bench = FaultyBench(Policy(cache=self.cache))
        self.bench.twice = self.twice
        self.bench.start()
        self.bench.attach()
        self.points: set[Point] = set()
        self.ram = bytearray(self.bench.board.ram)
        self.unsure: set[int] = set()  # RAM offsets whose write was answered with an error
        self.registers: dict[int, int] = {}
        self.refresh()

    # --- GDB ---

    def ask(self, body: bytes) -> bytes:
        resets = self.bench.resets
        reply = self.bench.ask(body)
        if self.bench.resets != resets:
            self.registers = {}
        return reply

    def refresh(self) -> None:
        """Read all registers, as GDB does after each stop."""
        resets = self.bench.resets
        reply = self.ask(b"g")
        if len(reply) == 17 * 8 and self.bench.resets == resets:
            raw = bytes.fromhex(reply.decode())
            self.registers = {n: int.from_bytes(raw[4 * n : 4 * n + 4], "little") for n in range(17)}

    def settle(self) -> None:
        """Let everything come to rest, and look at the target if it stopped."""
        resets, stops = self.bench.resets, len(self.bench.stops)
        self.bench.settle()
        if self.bench.resets != resets:
            self.registers = {}
        if len(self.bench.stops) != stops:
            self.refresh()
            self.settle()

    def soon(self, fault: Fault | None) -> None:
        """Let a fault happen within the next few writes."""
        if fault is not None:
            fault.steps %= 3
            self.bench.fault = fault

    def halted(self) -> bool:
        return not self.bench.running

    @precondition(halted)
    @rule(point=POINTS, fault=st.none() | FAULTS)
    def set_point(self, point: Point, fault: Fault | None) -> None:
        self.soon(fault)
        if any(abs(point.address - other.address) < 2 for other in self.points):
            return
        if self.ask(b"Z" + point.body) == b"OK":
            self.points.add(point)

    @precondition(lambda self: self.halted() and self.points)
    @rule(data=st.data())
    def clear_point(self, data: st.DataObject) -> None:
        point = data.draw(st.sampled_from(sorted(self.points, key=lambda p: (p.type, p.address))))
        if self.ask(b"z" + point.body) == b"OK":
            self.points.discard(point)

    @precondition(halted)
    @rule(number=st.integers(0, 12), value=st.integers(0, 0xFFFFFFFF))
    def write_register(self, number: int, value: int) -> None:
        body = b"P%x=%b" % (number, value.to_bytes(4, "little").hex().encode())
        resets = self.bench.resets
        if self.ask(body) == b"OK" and self.bench.resets == resets:
            self.registers[number] = value
        else:
            self.registers.pop(number, None)

    @precondition(halted)
    @rule(at=st.sampled_from([0, 40, 48]), data=st.binary(min_size=8, max_size=12), binary=st.booleans())
    def write_ram(self, at: int, data: bytes, binary: bool) -> None:
        payload = escape(data) if binary else data.hex().encode()
        reply = self.ask(b"%b%x,%x:%b" % (b"X" if binary else b"M", RAM + at, len(data), payload))
        if reply == b"OK":
            self.ram[at : at + len(data)] = data
            self.unsure -= set(range(at, at + len(data)))
        else:
            self.unsure |= set(range(at, at + len(data)))

    @precondition(halted)
    @rule(at=st.integers(0, RAM_SIZE - 4))
    def read_ram(self, at: int) -> None:
        reply = self.ask(b"m%x,4" % (RAM + at))
        if len(reply) == 8:
            got, expected = bytes.fromhex(reply.decode()), self.seen_ram()
            assert all(got[n] == expected[at + n] for n in range(4) if at + n not in self.unsure)

    @precondition(halted)
    @rule()
    def read_registers(self) -> None:
        self.refresh()

    @precondition(halted)
    @rule(body=st.sampled_from([b"vCont;c", b"c", b"vCont;s"]))
    def resume(self, body: bytes) -> None:
        stood, resets = self.registers.get(15), self.bench.resets
        self.registers = {}
        self.bench.resume(body)
        if not self.bench.running:
            self.refresh()
        self.settle()
        if not self.bench.running and self.bench.resets == resets and self.registers:
            assert self.registers[15] != stood, "a stop where the core has not moved is a false hit"

    @precondition(lambda self: self.bench.running)
    @rule(fault=st.none() | FAULTS)
    def interrupt(self, fault: Fault | None) -> None:
        self.soon(fault)
        stops = len(self.bench.stops)
        self.bench.carry(self.bench.proxy.client_bytes(b"\x03", self.bench.now))
        self.settle()
        assert len(self.bench.stops) > stops

    # --- the world ---

    @precondition(lambda self: self.bench.running and self.bench.board.running)
    @rule()
    def hit(self) -> None:
        self.bench.hit()
        self.settle()
        assert not self.bench.running

    @precondition(lambda self: self.bench.fault is None)
    @rule(fault=FAULTS)
    def something_will_happen(self, fault: Fault) -> None:
        self.bench.fault = fault

    @precondition(lambda self: self.bench.fault is not None)
    @rule()
    def it_happens_now(self) -> None:
        fault = self.bench.fault
        assert fault is not None
        self.bench.fault = None
        resets = self.bench.resets
        stops = len(self.bench.stops)
        must_stop = self.bench.running and (fault.kind == "reset" or (fault.kind == "kill" and fault.hit))
        self.bench.happen(fault)
        if self.bench.resets != resets:
            self.registers = {}
        self.bench.settle()
        if len(self.bench.stops) != stops:
            self.refresh()
        self.settle()
        assert not (must_stop and self.bench.running), "GDB never hears of a hit, or of a reset"

    @rule()
    def reexamination(self) -> None:
        assert self.bench.process is not None
        self.bench.process.reexamine()
        self.bench.carry(self.bench.proxy.reexamined(self.bench.now))
        self.settle()

    # --- the truth ---

    def seen_ram(self) -> bytearray:
        """Return RAM as it must look: breakpoint opcodes included."""
        ram = bytearray(self.ram)
        for point in self.points:
            if point.type == 0:
                ram[point.address - RAM : point.address - RAM + 2] = BKPT
        return ram

    @invariant()
    def the_belief_is_the_truth(self) -> None:
        fault, self.bench.fault = self.bench.fault, None  # looking must not be disturbed
        self.settle()
        self.bench.fault = fault
        process, board = self.bench.process, self.bench.board
        assert process is not None
        put_off = set(self.bench.proxy._session.answers.removed)
        assert set(process.points) == self.points | put_off
        assert board.comparators == {point for point in process.points if point.type != 0}
        assert board.running == self.bench.running
        expected = self.seen_ram()
        late = process.late_write
        actual = bytearray(board.ram)
        if late is not None:
            actual[late[0] : late[0] + len(late[1])] = late[1]
        assert [n for n in range(RAM_SIZE) if actual[n] != expected[n] and n not in self.unsure] == []
        assert board.registers[15] >= 0x08000000, "the program was sent to an address out of an empty cache"
        if not self.bench.running:
            actual_registers = {n: process.dirty.get(n, board.registers[n]) for n in self.registers}
            assert actual_registers == self.registers
