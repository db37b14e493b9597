"""The room that decides: `step(state, event, now)` returns the next state and what to do about it.

Nothing here knows sockets, processes, files or clocks. `events` is all that can happen, `effects` all that can be asked of the
world, `state` what a bench remembers, `backend` which event means what in which phase, `ladder` which cure comes next.
"""
