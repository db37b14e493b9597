"""What the verbs that talk to the daemon share: which socket, one request, one line of answer."""

from __future__ import annotations

import os

from ocdsup.cli.client import PATIENCE_S, Client, default_socket

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any


def connect(options: argparse.Namespace, patience: float | None = PATIENCE_S) -> Client:
    """Return a connection to the daemon that `--socket`, OCDSUP_SOCKET, the configuration or the defaults name."""
    return Client(options.socket or _named_by_config(options) or default_socket(os.environ, os.geteuid()), patience)


def _named_by_config(options: argparse.Namespace) -> str | None:
    """Read `control` from a configuration the user named; costs the validator's start, hence only then."""
    if options.config is None or "OCDSUP_SOCKET" in os.environ:
        return None
    from ocdsup.config.__main__ import read

    return read(options.config).config.control


def ask(options: argparse.Namespace, verb: str, args: Mapping[str, object] | None = None, wait: float = 0.0) -> Any:
    """Return the result of one request about `options.bench`; `wait` is how long its work may take, in seconds."""
    with connect(options, PATIENCE_S + wait) as client:
        return client.request(verb, getattr(options, "bench", None), args)


def act(options: argparse.Namespace, verb: str, args: Mapping[str, object] | None = None, wait: float = 0.0) -> int:
    """Make one request and print the sentence it is answered with."""
    from ocdsup.control.render import safe

    print(safe(str(ask(options, verb, args, wait)["text"])))
    return 0
