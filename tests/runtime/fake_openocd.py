"""Programs that pass for OpenOCD 0.12 towards its supervisor: a few lines each, for what the real one does on bad days only."""

from __future__ import annotations

import sys
from pathlib import Path

VERSION = "Open On-Chip Debugger 0.12.0"
_BEGIN = """\
#!{python} -SE
import os, re, signal, socket, sys, threading

def say(text):
    print(text, flush=True)

if "--version" in sys.argv:
    say("{version}")
    sys.exit()

TOKEN = re.search(r"ocdsup-ready-\\w+", " ".join(sys.argv))[0]

def listen(service):
    sock = socket.create_server(("127.0.0.1", 0))
    say(f"Info : Listening on port {{sock.getsockname()[1]}} for {{service}} connections")
    return sock

def answered(peer, answer):
    rest = b""
    while data := peer.recv(4096):
        *commands, rest = (rest + data).split(b"\\x1a")
        for command in commands:
            reply = answer(command.decode())
            if reply is not None:
                peer.sendall(reply.encode() + b"\\x1a")

def tcl(sock, answer):
    while True:
        threading.Thread(target=answered, args=(sock.accept()[0], answer), daemon=True).start()

def usual(command):
    if "arp_poll" in command:
        return "0 {{f4.cpu 0 halted}}"
    return "0 {{}}" if command.startswith("list") else ""

def up(targets="f4.cpu"):
    listen("gdb"), listen("telnet")
    sock = listen("tcl")
    say(f"{{TOKEN}} {{targets}}")
    return sock

"""
WELL = "tcl(up(), usual)"
"""An OpenOCD that is well: ready at once, its only core halted."""


def write(path: Path, body: str = WELL, version: str = VERSION) -> str:
    """Write the program at `path`; `body` is what it does after the words above."""
    path.write_text(_BEGIN.format(python=sys.executable, version=version) + body + "\n")
    path.chmod(0o755)
    return str(path)
