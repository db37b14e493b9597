"""ocdsup: the OpenOCD supervisor of a bench PC.

Two floors. Pure rooms decide (`core`, `openocd`, `rsp`, `telnet`, `probes`, `config`, `control`, the model in `sim`): events
in, effects out, time is an argument. `runtime` acts: it is the only floor that knows asyncio, sockets, clocks and processes.
"""

__version__ = "0.1.0"
