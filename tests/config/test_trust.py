"""Only root and the daemon's user may write the file that holds commands."""

import stat

import pytest

from ocdsup.config.trust import judge


@pytest.mark.parametrize(
    ("owner", "mode", "error", "warning"),
    [
        (1000, 0o644, False, False),
        (0, 0o600, False, False),
        (1000, 0o664, False, True),
        (1000, 0o666, True, False),
        (0, 0o602, True, False),
        (1001, 0o600, True, False),
    ],
)
def test_owner_and_mode_decide(owner: int, mode: int, error: bool, warning: bool) -> None:
    verdict = judge(owner, stat.S_IFREG | mode, 1000, "f")
    assert (bool(verdict.error), bool(verdict.warning)) == (error, warning)
    assert bool(verdict.hint) == (error or warning)


def test_a_pipe_is_not_judged() -> None:
    assert not judge(1001, stat.S_IFIFO | 0o666, 1000, "f").error
