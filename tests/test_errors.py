"""The error tree says what, why and what next, and survives a trip through pickle."""

import pickle

import pytest

from ocdsup.errors import BackendError, ConfigError, ControlError, OcdsupError, ProbeError, Problem, ProtocolError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OcdsupError("bind port 3333", "address in use", "stop the other"),
            "cannot bind port 3333: address in use; stop the other",
        ),
        (ProbeError("cannot open it"), "cannot open it"),
        (BackendError("start", "", "install openocd"), "cannot start; install openocd"),
        (ProtocolError("read", "no `#`"), "cannot read: no `#`"),
    ],
)
def test_an_error_reads_as_one_sentence(error: OcdsupError, text: str) -> None:
    assert str(error) == text


def test_a_config_error_shows_every_problem_with_its_place() -> None:
    error = ConfigError([Problem("f", 3, 7, "a.b", "is bad", "make it good"), Problem("f", 0, 0, "", "is empty")])
    assert str(error).splitlines() == ["f:3:7: a.b: is bad; make it good", "f: is empty"]
    assert error.hint == "make it good"


@pytest.mark.parametrize("error", [ConfigError([Problem("f", 1, 1, "", "x")]), ControlError("busy", "stop", "x", "y")])
def test_errors_with_their_own_arguments_can_be_pickled(error: OcdsupError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.hint, vars(copy)) == (str(error), error.hint, vars(error))
