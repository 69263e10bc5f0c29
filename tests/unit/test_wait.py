"""What ends a wait, by the problem that is waited out."""

from __future__ import annotations

import selectors
import time

import pytest

from dpsd.errors import Problem
from dpsd.wait import Wait


@pytest.mark.parametrize(("code", "by_the_clock"), [("credential-missing", True), ("token-pin-refused", False)])
def test_a_refused_pin_is_not_tried_again_after_a_while(code: str, by_the_clock: bool) -> None:
    with selectors.DefaultSelector() as selector:
        wait = Wait(selector)
        assert wait.begin(Problem(code, "")) is None
        assert (wait.moment is not None) == by_the_clock


def test_what_is_tried_at_once_is_not_told_to_wait_for_a_change() -> None:
    with selectors.DefaultSelector() as selector:
        wait = Wait(selector)
        assert wait.begin(Problem("seal-damaged", ""), at_once=True) == 0
        assert wait.moment is not None and wait.moment <= time.monotonic()
