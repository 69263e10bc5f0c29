"""Shared access signatures, against published vectors and themselves."""

from __future__ import annotations

import base64
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol import sas
from tests.unit.examples import ANY_TEXT, DEVICE_KEY, GROUP_KEY

EXPIRY = 1893456000
UPPER = (
    "SharedAccessSignature sr=0ne00TEST01%2Fregistrations%2Frpi-0001"
    "&sig=J5Gmzc4ozckt5c4g0tekRYxSYqhOJSH%2F%2BX7qE%2BP4i%2Fc%3D&se=1893456000&skn=registration"
)
LOWER = (
    "SharedAccessSignature sr=0ne00TEST01%2fregistrations%2frpi-0001"
    "&sig=IyLXvsU3gqkJ4Tun%2Fq4q%2Fwv%2FBmcLLWak0tx0FNyXU0Y%3D&se=1893456000&skn=registration"
)
HUB = (
    "SharedAccessSignature sr=hub-a.azure-devices.net%2Fdevices%2Frpi-0001"
    "&sig=xHqZwTnBg2annxK7Ij33YBsOYfH3BMyrGI0sgYZB%2BXE%3D&se=1893456000"
)
PUBLISHED_GROUP_KEY = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
SIGNATURE = base64.b64encode(b"s" * 32).decode()


def signer(key: str) -> functools.partial[bytes]:
    return functools.partial(sas.sign, base64.b64decode(key))


@pytest.mark.parametrize(
    ("group_key", "registration_id", "device_key"),
    [
        (PUBLISHED_GROUP_KEY, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="),
        (GROUP_KEY, "rpi-0001", DEVICE_KEY),
    ],
)
def test_a_device_key_is_derived_as_published(group_key: str, registration_id: str, device_key: str) -> None:
    derived = sas.derive_device_key(sas.parse_key(group_key.encode()), registration_id)
    assert base64.b64encode(derived).decode() == device_key


def test_a_token_for_dps_is_the_published_one() -> None:
    resource = sas.make_dps_resource("0ne00TEST01", "rpi-0001")
    assert sas.encode_token(resource, EXPIRY, signer(DEVICE_KEY), sas.DPS_KEY_NAME) == UPPER


def test_a_token_for_the_hub_is_the_published_one() -> None:
    resource = sas.make_hub_resource("hub-a.azure-devices.net", "rpi-0001")
    assert sas.encode_token(resource, EXPIRY, signer(DEVICE_KEY)) == HUB


@pytest.mark.parametrize("text", [UPPER, LOWER, HUB])
def test_a_published_token_verifies_in_either_case_of_its_escapes(text: str) -> None:
    token = sas.parse_token(text)
    assert token.expiry == EXPIRY
    assert token.decode_resource().endswith("/rpi-0001")
    assert sas.verify_token(token, base64.b64decode(DEVICE_KEY))
    assert not sas.verify_token(token, base64.b64decode(GROUP_KEY))


def test_the_fields_of_a_token_stand_in_any_order() -> None:
    prefix, _, fields = UPPER.partition(" ")
    turned = f"{prefix} {'&'.join(reversed(fields.split('&')))}"
    assert sas.parse_token(turned) == sas.parse_token(UPPER)


@given(st.text(min_size=1), st.integers(0, 10**15 - 1), st.binary(min_size=16, max_size=64), st.none() | st.just("k"))
def test_an_encoded_token_parses_and_verifies(resource: str, expiry: int, key: bytes, key_name: str | None) -> None:
    token = sas.parse_token(sas.encode_token(resource, expiry, functools.partial(sas.sign, key), key_name))
    assert token.decode_resource() == resource
    assert (token.expiry, token.key_name) == (expiry, key_name)
    assert sas.verify_token(token, key)
    assert not sas.verify_token(token._replace(expiry=expiry + 1), key)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "sr=a&se=1",
        f"sr=a&sig={SIGNATURE}&se=1&se=2",
        f"sr=a&sig={SIGNATURE}&se=-1",
        f"sr=a&sig={SIGNATURE}&se=1.5",
        f"sr=a&sig={SIGNATURE}&se=٣",
        f"sr=a&sig={SIGNATURE}&se={'9' * 16}",
        "sr=a&sig=***&se=1",
        "sr=a&sig=&se=1",
        "sr=a&sig=\ud800&se=1",
        f"sr=\ud800&sig={SIGNATURE}&se=1",
    ],
)
def test_a_token_with_a_wrong_field_is_refused(fields: str) -> None:
    sas.parse_token(f"SharedAccessSignature sr=a&sig={SIGNATURE}&se=1")
    with pytest.raises(ProtocolError):
        sas.parse_token(f"SharedAccessSignature {fields}")


@given(ANY_TEXT, st.booleans())
def test_any_text_is_a_token_that_can_be_judged_or_a_protocol_error(text: str, prefixed: bool) -> None:
    try:
        token = sas.parse_token(f"SharedAccessSignature {text}" if prefixed else text)
    except ProtocolError:
        return
    assert not sas.verify_token(token, b"k" * 16)


@pytest.mark.parametrize("size", [16, 32, 33, 64])
def test_a_key_of_an_allowed_size_is_decoded(size: int) -> None:
    assert sas.parse_key(base64.b64encode(b"k" * size) + b"\r\n") == b"k" * size


@pytest.mark.parametrize(
    "text",
    [
        b"",
        base64.b64encode(b"k" * 15),
        base64.b64encode(b"k" * 65),
        base64.urlsafe_b64encode(b"\xff" * 16),
        base64.b64encode(b"k" * 16).rstrip(b"="),
        base64.b64encode(b"k" * 24) + b"\n" + base64.b64encode(b"k" * 24),
        b"-----BEGIN PRIVATE KEY-----",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        sas.parse_key(text)
    assert text == b"" or text.decode("latin-1") not in str(caught.value)


@given(st.binary(max_size=120))
def test_any_bytes_are_base64_or_a_protocol_error(text: bytes) -> None:
    try:
        decoded = sas.decode_base64(text)
    except ProtocolError:
        return
    assert sas.decode_base64(base64.b64encode(decoded)) == decoded
