"""The URI of a key on a token."""

from __future__ import annotations

import pytest

from dpsd.configuration.token_uri import TokenKey, parse_token_uri


def test_a_uri_names_a_token_and_a_key() -> None:
    uri = "pkcs11:token=My%20Key;serial=00%2f1;object=d%C3%A9v;id=%01%ff;type=private"
    assert parse_token_uri(uri) == TokenKey(uri, {"token": "My Key", "serial": "00/1"}, "dév", b"\x01\xff")


def test_a_uri_is_that_of_the_private_half() -> None:
    assert parse_token_uri("pkcs11:token=t;object=o").uri == "pkcs11:token=t;object=o;type=private"


@pytest.mark.parametrize("query", ["pin-value=4711", "pin-source=file:/pin", "x=1&pin-value=4711"])
def test_a_pin_is_refused_without_repeating_it(query: str) -> None:
    with pytest.raises(ValueError, match=r"name that by credential\.pin_file$") as caught:
        parse_token_uri(f"pkcs11:token=t;object=o?{query}")
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/etc/dpsd/device.key", "is not a URI such as"),
        ("pkcs11:", "is not a URI such as"),
        ("pkcs11:token=it's;object=o", "is not a URI such as"),
        ("pkcs11:token=t;object=o\n", "is not a URI such as"),
        ("pkcs11:object=o", "names no token"),
        ("pkcs11:token=t;type=private", "no key on it"),
        ("pkcs11:token=t;object=o;type=cert", "type is not private"),
        ("pkcs11:token=t;token=u;object=o", "each once with a value"),
        ("pkcs11:token=t;object=", "each once with a value"),
        ("pkcs11:token=t;object=o;slot-id=1", "'slot-id' is not one of"),
        ("pkcs11:token=t;object=o?module-path=/m.so", "name the module by credential.module"),
    ],
)
def test_what_is_no_such_uri_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_token_uri(text)
