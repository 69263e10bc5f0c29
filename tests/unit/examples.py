"""Values and verbs that several unit tests need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from dpsd.errors import Problem
from dpsd.state.connection import Authentication, Connection, Mqtt
from dpsd.state.record import Binding, Record

CHECKOUT = Path(__file__).resolve().parents[2]
GROUP_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
DEVICE_KEY = "y2FzL9uXj4MoJbT0vHSD0ovcys914dsspOrHbzrJnwA="

ANY_TEXT = st.text(st.characters())
"""Control characters and lone surrogates among it, which JSON and file names can hold."""
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)

CONNECTION = Connection(
    iothub_hostname="contoso.azure-devices.net",
    device_id="pi-1",
    registration_id="pi-1",
    id_scope="0ne00TEST01",
    authentication=Authentication("x509", "/etc/dpsd/device.pem", "/etc/dpsd/device.key"),
    mqtt=Mqtt(
        "contoso.azure-devices.net",
        8883,
        "mqtt",
        "pi-1",
        "contoso.azure-devices.net/pi-1/?api-version=2021-04-12",
        "system",
        None,
    ),
    substatus="initialAssignment",
    assigned_at="2026-01-10T21:52:50.589840Z",
    etag="IjYyMDI0NGRkIg==",
)
BINDING = Binding("0ne00TEST01", "pi-1", "global.azure-devices-provisioning.net:8883", "x509:00ff")
RECORD = Record(BINDING, {"/etc/dpsd/dpsd.toml": {"text": "[dps]"}}, CONNECTION, {"modelId": "a"}, True)


def problem_of(code: str, action: Callable[[], object]) -> Problem:
    """Do `action`, which must raise the Problem `code`, and return that."""
    with pytest.raises(Problem) as caught:
        action()
    assert caught.value.code == code
    return caught.value
