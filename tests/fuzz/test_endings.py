"""The judge of all targets: what it must not let pass."""

from __future__ import annotations

import pytest

from dpsd.errors import Problem, ProtocolError
from tests.fuzz.endings import problems, refusing
from tests.fuzz.minimal import minimal

SECRET = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n"


def test_a_named_problem_passes() -> None:
    with problems("no-answer", secret=SECRET):
        raise Problem("no-answer", "the PRIVATE KEY does not answer", retry_after=7)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("no-route", "another code"),
        Problem("no-answer", "two\nlines"),
        Problem("no-answer", "not \N{LATIN SMALL LETTER E WITH ACUTE}"),
        Problem("no-answer", "x" * 1001),
        Problem("no-answer", "also", also=("it says AMBMGByqGSM4",)),
        Problem("no-answer", "hint", hint="\x1b[2J"),
        Problem("dps-throttled", "for ever", retry_after=float("inf")),
    ],
    ids=str,
)
def test_a_problem_that_is_not_fit_to_be_shown_is_a_finding(problem: Problem) -> None:
    with pytest.raises((AssertionError, ValueError)), problems("no-answer", "dps-throttled", secret=SECRET):
        raise problem


def test_any_other_exception_is_a_finding() -> None:
    with pytest.raises(KeyError), refusing(ProtocolError), problems("no-answer"):
        raise KeyError


def test_a_finding_is_made_small() -> None:
    assert minimal(b"some X and some Y more" * 9, lambda data: b"X" in data and b"Y" in data) == b"XY"
