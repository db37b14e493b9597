"""The demonstration: the whole job on a simulated ST-LINK and board, with the real OpenOCD and the real GDB.

It is an outside user of everything else: it starts the daemon and the simulation as programs and talks to them like anybody.
"""
