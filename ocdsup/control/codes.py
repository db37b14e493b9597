"""The words that say why a request was refused, and the exit code each gives the command line; never renamed."""

DONE, FAILED, USAGE, NOT_RUNNING, NOT_USABLE = 0, 1, 2, 3, 4

EXIT_CODES = {
    "bad-request": USAGE,  # not a request: not JSON, a field missing, too long
    "unknown-verb": USAGE,
    "unknown-bench": USAGE,
    "bad-argument": USAGE,
    "bad-config": USAGE,  # reload: the file has problems, the old configuration stays
    "denied": FAILED,  # the peer's user may not do this
    "refused": FAILED,  # not now: a live debug session, a flash operation, the policy
    "busy": FAILED,  # the same thing is being done already
    "failed": FAILED,  # tried and failed
    "internal": FAILED,  # a bug; the daemon's log has the rest
    "not-running": NOT_RUNNING,  # said by the client: nobody listens on the socket
    "lost": FAILED,  # said by the client: the daemon went away before it answered
    "silent": FAILED,  # said by the client: the daemon is there and does not answer
    "not-usable": NOT_USABLE,  # the bench has no usable GDB port (in time)
}
