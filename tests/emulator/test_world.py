from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.emulator.world import derive_device_name, format_timestamp
from tests.emulator.worlds import world


@given(st.floats(0, 4e9))
def test_a_timestamp_has_seven_digits_in_utc(now: float) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", format_timestamp(now))


def test_a_timestamp_is_the_moment_it_was_made_of() -> None:
    assert format_timestamp(1_768_081_970.5) == "2026-01-10T21:52:50.5000000Z"


def test_ids_have_the_live_forms() -> None:
    made = world()
    guid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"5\.[0-9a-f]{{16}}\.{guid}", made.make_operation_id())
    assert re.fullmatch(f'"{guid}"', base64.b64decode(made.make_etag()).decode())


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.azure-devices.net", "a.device.azure-devices.net"),
        ("a.device.azure-devices.net", "a.device.azure-devices.net"),
        ("hub-a", "hub-a"),
        ("127.0.0.2", "127.0.0.2"),
    ],
)
def test_a_hub_with_a_zone_has_a_second_name_for_devices(name: str, second: str) -> None:
    assert derive_device_name(name) == second
