"""Debug probes and who holds them: selection, known models, the programs that open probes, staleness and eviction.

Pure: facts about the bus and about processes come in as values, verdicts and steps go out. `runtime/usb.py` and
`runtime/procs.py` gather the facts and carry out the steps.

    serials.py   the many spellings of a serial number
    probe.py     what is known about one probe on the bus      selector.py  which of them a bench means
    known.py     the models, as a table                        tools.py     the programs that open probes, as a table
    holders.py   processes + sockets → holders                 history.py   how long a holder has been like that
    eviction.py  may this holder be ended, and by which steps
"""
