"""Where the control socket and the configuration are looked for, as a function of who asks.

Root and system services use /run and /etc; a person's own daemon uses the XDG directories. A unit of the system manager
has no XDG_RUNTIME_DIR, which is how a system service under its own user id is told from a person's session.
"""

SYSTEM_CONTROL = "/run/ocdsup/control.sock"
SYSTEM_CONFIG = "/etc/ocdsup/ocdsup.yaml"


def control_path(uid: int, runtime_dir: str | None) -> str:
    """Return the socket a daemon of this user listens on; a relative XDG_RUNTIME_DIR is ignored (basedir-spec)."""
    if uid == 0 or not runtime_dir or not runtime_dir.startswith("/"):
        return SYSTEM_CONTROL
    return f"{runtime_dir.rstrip('/')}/ocdsup/control.sock"


def control_candidates(uid: int, runtime_dir: str | None) -> tuple[str, ...]:
    """Return the sockets a client tries in order: the user's own daemon first, then the system's."""
    return tuple(dict.fromkeys((control_path(uid, runtime_dir), SYSTEM_CONTROL)))


def config_candidates(uid: int, home: str | None, config_home: str | None) -> tuple[str, ...]:
    """Return the configuration files tried in order when none is named: the user's own, then the system's."""
    if config_home and config_home.startswith("/"):
        base = config_home.rstrip("/")
    else:
        base = f"{home.rstrip('/')}/.config" if home and home.startswith("/") else ""
    if uid == 0 or not base:
        return (SYSTEM_CONFIG,)
    return (f"{base}/ocdsup/ocdsup.yaml", SYSTEM_CONFIG)
