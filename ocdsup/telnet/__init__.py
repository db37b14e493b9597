"""The telnet port: one session between a person or a script and OpenOCD's own console, whoever of the two is away.

client bytes → options (IAC out) → lines (editing, limits) → bridge ─ `ocdsup …` → words → the supervisor
                                                             └ anything else → console (OpenOCD's telnet server)

`rpc` is the same for programs: a session of the Tcl port, whose commands are all answered.
"""
