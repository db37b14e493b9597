"""The drop-in `openocd`: what somebody else's command line asks for, and which bench it means. Pure; the edge is `cli/openocd`.

arguments  argv → items, as OpenOCD's getopt reads them     commands  Tcl of a `-c` → statements and what each is
plan       items → what to do, in order                     match     which supervised bench is meant, if any
tcl_text   Tcl → commands and words                     ending    does OpenOCD end by itself, and who decides it
lines      what OpenOCD prints and IDEs wait for        farewell  what a client sends to end OpenOCD
"""
