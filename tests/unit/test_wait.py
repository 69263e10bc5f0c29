"""What ends a wait, by the problem that is waited out."""

from __future__ import annotations

import selectors

import pytest

from dpsd.errors import Problem
from dpsd.wait import Wait


@pytest.mark.parametrize(("code", "by_the_clock"), [("credential-missing", True), ("token-pin-refused", False)])
def test_a_refused_pin_is_not_tried_again_after_a_while(code: str, by_the_clock: bool) -> None:
    with selectors.DefaultSelector() as selector:
        wait = Wait(selector)
        assert wait.begin(Problem(code, "")) is None
        assert (wait.until is not None) == by_the_clock
