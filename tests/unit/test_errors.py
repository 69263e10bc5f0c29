"""Every problem has a hint and a promised exit status, and no secret can be printed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from dpsd.credentials.credential import SymmetricKey
from dpsd.errors import PROBLEMS, Problem, Retry, encode_problem

STATUSES = {
    Retry.NETWORK: {1, 3, 69, 75},
    Retry.SERVICE: {69, 75, 77},
    Retry.THROTTLED: {75},
    Retry.CLOCK: {75},
    Retry.REFUSED: {77, 78},
    Retry.CONFIGURATION: {78},
}


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_has_a_hint_and_the_exit_status_of_its_class(code: str) -> None:
    problem = Problem(code, "said")
    assert problem.kind.exit_status in STATUSES[problem.kind.retry]
    assert problem.hint and problem.hint.isascii() and "\n" not in problem.hint
    assert str(problem) == f"{code}: said"


def test_a_problem_of_an_unknown_code_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        Problem("no-such-code", "said")


def test_an_exact_hint_replaces_that_of_the_code() -> None:
    problem = Problem("no-answer", "said", hint="do this", also=("more",))
    assert encode_problem(problem)["hint"] == "do this"
    assert encode_problem(problem)["also"] == ["more"]


def test_an_amended_problem_keeps_the_rest() -> None:
    problem = Problem("dps-throttled", "said", hint="do this", retry_after=9, also=("more",), window=60)
    assert encode_problem(problem.amend()) == encode_problem(problem)
    assert encode_problem(problem.amend("known")) == {**encode_problem(problem), "sentence": "known"}


def test_a_key_shows_a_fixed_word() -> None:
    key = SymmetricKey(b"0123456789abcdef")
    shown = [repr(key), str(key), f"{key}", f"{key!r}", f"{key:>20}", repr([key]), repr({"key": key})]
    assert all("<secret>" in text and "0123" not in text for text in shown)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, vars])
def test_a_key_cannot_be_taken_out(take: Callable[[object], object]) -> None:
    key = SymmetricKey(b"0123456789abcdef")
    assert len(key.sign(b"message")) == 32
    with pytest.raises(TypeError):
        take(key)
