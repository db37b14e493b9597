"""A simulated ST-LINK and the board behind it, for work without hardware.

The room from the outside in: ``server`` (the only world-facing file) speaks ST's stlink-server
protocol (``protocol``) and hands each 16-byte ST-LINK command to a probe (``probe``, ``stlink``,
``dap``); behind it stands a board (``board``, ``boards``) with flash, debug units and a core
(``core``, ``scs``, ``exceptions``), whose instructions are executed by an emulator library
behind one small file (``cpu``). ``faults`` says what can be broken and what that means.
"""
