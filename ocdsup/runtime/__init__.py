"""The floor that acts: the only one that knows asyncio, sockets, processes, files and clocks. Nothing is decided here."""
