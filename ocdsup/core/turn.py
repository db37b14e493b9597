"""One turn of a bench: the state being changed, the time it happens at, and what the world is asked to do."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.core.effects import Effect, Kill, Note, Terminate
from ocdsup.core.state import Backend, Phase, Signalled, State
from ocdsup.core.timers import Timer

# A phase's own deadlines end with the phase; HANG, BEAT, STABLE and LOOK belong to the backend and end with it.
_OF_A_PHASE = (Timer.PHASE, Timer.RECHECK, Timer.WINDOW)
_OF_A_BACKEND = (Timer.BEAT, Timer.HANG, Timer.STABLE, Timer.STOP, Timer.LOOK)


class Turn:
    """The working copy inside `step`. Nobody keeps one."""

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.now = now
        self.effects: list[Effect] = []

    def do(self, *effects: Effect) -> None:
        """Ask the world for something."""
        self.effects.extend(effects)

    def note(self, event: str, **fields: object) -> None:
        """Leave a line in the journal."""
        self.effects.append(Note(event, fields))

    def arm(self, timer: Timer, in_s: float) -> None:
        """Set a deadline `in_s` seconds from now, replacing the one of that name."""
        self.state.timers = {**self.state.timers, timer: self.now + in_s}

    def disarm(self, *timers: Timer) -> None:
        """Forget deadlines."""
        self.state.timers = {t: at for t, at in self.state.timers.items() if t not in timers}

    def go(self, phase: Phase) -> None:
        """Enter a phase; entering the present one again restarts its deadlines but not its age."""
        self.disarm(*_OF_A_PHASE)
        if phase is not self.state.phase:
            self.state.phase = phase
            self.state.since = self.now

    def backend(self) -> Backend:
        """The backend, which the phase table guarantees to exist here."""
        assert self.state.backend is not None
        return self.state.backend

    def change_backend(self, **fields: object) -> None:
        """Replace fields of the present backend."""
        self.state.backend = replace(self.backend(), **fields)  # type: ignore[arg-type]  # names are checked by replace()

    def forget_backend(self) -> None:
        """The backend is gone and reaped."""
        self.state.backend = None
        self.disarm(*_OF_A_BACKEND)
        self.state.targets = tuple(replace(t, state="unknown") for t in self.state.targets)

    def stop_backend(self, *, hard: bool = False) -> None:
        """Ask the backend to go; `hard` skips the polite signal, for one that cannot react any more."""
        backend = self.backend()
        self.disarm(Timer.BEAT, Timer.HANG, Timer.STABLE, Timer.LOOK)
        wanted = Signalled.KILL if hard else Signalled.TERM
        if backend.signalled.value >= wanted.value:
            return
        self.change_backend(signalled=wanted)
        self.do(Kill(backend.run) if hard else Terminate(backend.run))
        self.arm(Timer.STOP, self.state.policy.grace_s)
