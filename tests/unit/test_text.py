"""Outside text becomes one harmless line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.text import LIMIT, printable
from tests.unit.examples import ANY_TEXT

SHOWN = {
    "plain words, (and) signs!": "plain words, (and) signs!",
    "two\nlines\r": r"two\x0alines\x0d",
    "\x1b[31mred": r"\x1b[31mred",
    "<3>fake priority\nREADY=1": r"<3>fake priority\x0aREADY=1",
    "back\\slash": r"back\slash",
    "é": r"\xc3\xa9",
    "\u2028": r"\xe2\x80\xa8",
    "\ud800": r"\xed\xa0\x80",
    "\x7f": r"\x7f",
    "": "",
}


@pytest.mark.parametrize("outside", SHOWN)
def test_each_kind_of_character_is_shown(outside: str) -> None:
    assert printable(outside) == SHOWN[outside]


@given(ANY_TEXT, st.integers(0, 300))
def test_any_text_is_one_printable_line_within_the_limit(outside: str, limit: int) -> None:
    shown = printable(outside, limit)
    assert re.fullmatch("[ -~]*", shown)
    assert len(shown) <= limit


@given(ANY_TEXT.filter(lambda outside: "\\" not in outside))
def test_a_text_shown_whole_can_be_read_back(outside: str) -> None:
    shown = printable(outside, 10_000)
    read = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), shown.encode())
    assert read.decode("utf-8", "surrogatepass") == outside


def test_a_text_over_the_limit_says_that_it_goes_on() -> None:
    assert printable("a" * LIMIT) == "a" * LIMIT
    assert printable("a" * (LIMIT + 1)) == "a" * (LIMIT - 3) + "..."


def test_a_value_that_is_no_text_is_shown_as_text() -> None:
    assert printable(ValueError("bad\nthing")) == r"bad\x0athing"
    assert printable(None) == "None"
