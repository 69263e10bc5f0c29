"""What is secret is shown nowhere, and copied nowhere."""

from __future__ import annotations

import copy
import pickle

import pytest

from dpsd.credentials.credential import SymmetricKey
from dpsd.secret import Hidden, Secret
from tests.unit.examples import DEVICE_KEY


@pytest.mark.parametrize("hidden", [Secret(DEVICE_KEY.encode()), SymmetricKey(DEVICE_KEY.encode())])
def test_a_secret_is_shown_and_copied_nowhere(hidden: Hidden) -> None:
    for shown in (str(hidden), repr(hidden), f"{hidden}", f"{hidden:>8}", f"{hidden!r:>20}", f"{(hidden,)}"):
        assert DEVICE_KEY[:8] not in shown and "<secret>" in shown
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(hidden)


def test_a_secret_is_equal_to_the_same_secret_alone() -> None:
    assert Secret(b"canary") == Secret(b"canary") != Secret(b"other")
    assert Secret(b"canary") != b"canary"
    assert bool(Secret(b"canary")) and not Secret(b"")
