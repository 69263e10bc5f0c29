"""Every problem is explained, by `dpsctl explain` and in the journal's catalog, from one table."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dpsd.dpsctl.__main__ import run
from dpsd.errors import PROBLEMS, Retry
from dpsd.explanations import FOLLOWS, MEANINGS, explain
from dpsd.system.journal import message_id
from tests.unit.examples import CHECKOUT


def dpsctl_explain(*words: str) -> int:
    return run(["explain", *words])


def test_every_code_and_every_class_is_explained_and_no_other() -> None:
    assert list(MEANINGS) == list(PROBLEMS)
    assert set(FOLLOWS) == set(Retry)
    assert all(text.isascii() and text.isprintable() and text.endswith(".") for text in MEANINGS.values())


def test_one_code_is_explained_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert dpsctl_explain("dps-disabled") == 0
    assert capsys.readouterr().out.splitlines() == [
        "code: dps-disabled",
        f"meaning: {MEANINGS['dps-disabled']}",
        f"hint: {PROBLEMS['dps-disabled'].hint}",
        "class: refused",
        f"follows: {FOLLOWS[Retry.REFUSED]}",
        "exit status: 77",
    ]


def test_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert dpsctl_explain("dps-disabled", "--json") == 0
    assert json.loads(capsys.readouterr().out) == explain("dps-disabled")
    assert dpsctl_explain("--json") == 0
    assert json.loads(capsys.readouterr().out) == [explain(code) for code in PROBLEMS]


def test_all_codes_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert dpsctl_explain() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PROBLEMS)


@pytest.mark.parametrize(
    ("code", "answer"),
    [("dps-notfound", "did you mean dps-not-found?"), ("401002", "for all of them: dpsctl explain")],
)
def test_an_unknown_code_is_wrong_usage(code: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dpsctl_explain(code) == 2
    assert f"there is no problem {code}; {answer}" in capsys.readouterr().err


def test_two_codes_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert dpsctl_explain("no-answer", "timeout") == 2
    assert "unexpected operand timeout" in capsys.readouterr().err


def test_the_catalog_explains_every_message_id() -> None:
    printed = subprocess.run(
        [sys.executable, CHECKOUT / "debian/catalog.py"],
        env={"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    entries = dict(entry.split("\n", 1) for entry in printed.removeprefix("-- ").split("\n-- "))
    assert list(entries) == [message_id(code) for code in PROBLEMS]
    for code in PROBLEMS:
        headers, meaning, hint, follows = entries[message_id(code)].strip().split("\n\n")
        assert headers.startswith(f"Subject: {code}\nDefined-By: dpsd\n")
        assert (" ".join(meaning.split()), hint) == (MEANINGS[code], "What to do: @DPSD_HINT@")
        assert PROBLEMS[code].retry.value in follows
