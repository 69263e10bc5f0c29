"""Payloads of direct methods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from dpsd.errors import ProtocolError
from dpsd.protocol.hub.methods import encode_payload, parse_payload
from tests.unit.examples import JSON_VALUES


@given(JSON_VALUES)
def test_a_payload_comes_back(value: Any) -> None:
    assert parse_payload(encode_payload(value)) == value


@pytest.mark.parametrize(("body", "value"), [(b"", None), (b" \n", None), (b"null", None), (b"0", 0), (b'"a"', "a")])
def test_a_payload_is_json_or_empty(body: bytes, value: Any) -> None:
    assert parse_payload(body) == value


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"[" * 65 + b"]" * 65, b"NaN", b"[-Infinity]"])
def test_a_payload_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="the payload "):
        parse_payload(body)


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {"a": {1}}])
def test_a_payload_that_is_no_json_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        encode_payload(value)
