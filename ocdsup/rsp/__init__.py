"""The GDB remote serial protocol without sockets: bytes in, bytes out. Imports nothing of ours and could be published alone.

framing.py   bytes <-> frames                      packets.py  frames -> named requests and replies
guard.py     requests that would end a connection  monitor.py  `monitor` lines: allow-list, run state, console noise
shadow.py    what GDB believes                     answers.py  answers that cannot have changed since they were given
replay.py    makes a new backend fit the belief    proxy.py    joins a client, a backend and the shadow
policy.py    what the owner of a bench may choose  outputs.py  what the proxy asks its caller to do
threads.py   those of an RTOS, over a restart      settings.py what `monitor` has set, and is said again
standing.py  why a core stands                     traps.py    breakpoint opcodes that were left in RAM
greeting.py  a GDB, or somebody else               learned.py  what a backend has said about itself
rerun.py     any other server that comes back      shortcut.py  the same for the packets that come most, in fewer steps
"""
