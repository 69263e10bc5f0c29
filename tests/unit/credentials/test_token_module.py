"""What a token says of its PIN, which SoftHSM never does: the numbers are those of pkcs11t.h."""

from __future__ import annotations

import pytest

from dpsd.configuration.token_uri import parse_token_uri
from dpsd.credentials.token_module import check_tries
from tests.unit.examples import problem_of

KEY = parse_token_uri("pkcs11:token=t;object=o")
INITIALIZED, COUNT_LOW, FINAL_TRY, LOCKED = 0x400, 0x10000, 0x20000, 0x40000


def test_the_last_try_of_a_pin_is_left_to_a_person() -> None:
    check_tries(KEY, INITIALIZED | COUNT_LOW)
    said = problem_of("token-pin-refused", lambda: check_tries(KEY, INITIALIZED | COUNT_LOW | FINAL_TRY)).sentence
    assert said.endswith("one more wrong PIN would lock the token, so none was tried")


@pytest.mark.parametrize("others", [0, COUNT_LOW | FINAL_TRY])
def test_a_locked_pin_is_not_tried(others: int) -> None:
    problem_of("token-pin-locked", lambda: check_tries(KEY, LOCKED | others))
