"""What to paste into an IDE so that it uses the stable port of a bench and starts no OpenOCD of its own. Text out.

Facts are from the tools' own sources; each module names the file. Every snippet says `localhost`, which IDEs resolve to ::1
first; both loopback families are ours.
"""
