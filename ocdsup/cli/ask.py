"""What the verbs that talk to the daemon share: which socket, one request, one line of answer."""

from __future__ import annotations

import os

from ocdsup.cli.client import Client, default_socket

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any


def connect(options: argparse.Namespace, *, limit: float | None = None, for_ever: bool = False) -> Client:
    """Return a connection to the daemon that `--socket`, OCDSUP_SOCKET, the configuration or the defaults name."""
    path = options.socket or _named_by_config(options) or default_socket(os.environ, os.geteuid())
    return Client(path, limit=limit, for_ever=for_ever)


def _named_by_config(options: argparse.Namespace) -> str | None:
    """Read `control` from a configuration the user named; costs the validator's start, hence only then."""
    if options.config is None or "OCDSUP_SOCKET" in os.environ:
        return None
    from ocdsup.config.__main__ import read

    return read(options.config).config.control


def ask(options: argparse.Namespace, verb: str, args: Mapping[str, object] | None = None) -> Any:
    """Return the result of one request about `options.bench`."""
    with connect(options) as client:
        return client.request(verb, getattr(options, "bench", None), args)


def act(options: argparse.Namespace, verb: str, args: Mapping[str, object] | None = None) -> int:
    """Make one request and print the sentence it is answered with."""
    return say(ask(options, verb, args))


def say(answer: Mapping[str, Any]) -> int:
    """Print the sentence of an answer."""
    from ocdsup.control.render import safe

    print(safe(str(answer["text"])))
    return 0
