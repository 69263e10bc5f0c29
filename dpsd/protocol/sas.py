"""Shared access signatures: the text to sign, and the token with its signature.

Source: Microsoft's "Control access to DPS" and "symmetric key attestation" pages. The text to sign is the token's
literal `sr` (percent-encoded, slashes as well), a newline, and the expiry in whole seconds since 1970.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, unquote

from dpsd.errors import ProtocolError

KEY_BYTES_MIN = 16
KEY_BYTES_MAX = 64
DPS_KEY_NAME = "registration"
_PREFIX = "SharedAccessSignature "
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


class Token(NamedTuple):
    """A parsed token. resource: the literal `sr`. expiry: seconds since 1970. signature: raw bytes."""

    resource: str
    expiry: int
    signature: bytes
    key_name: str | None

    def decode_resource(self) -> str:
        """Return the resource without percent-encoding."""
        return unquote(self.resource)


def make_dps_resource(id_scope: str, registration_id: str) -> str:
    """Return the resource that a token for DPS names."""
    return f"{id_scope}/registrations/{registration_id}"


def make_hub_resource(hub: str, device_id: str) -> str:
    """Return the resource that a token for an IoT Hub names. hub: its host name."""
    return f"{hub}/devices/{device_id}"


def encode_resource(resource: str) -> str:
    """Return the `sr` field for a resource."""
    return quote(resource, safe="")


def make_string_to_sign(encoded_resource: str, expiry: int) -> bytes:
    """Return the text that a token's signature signs. expiry: seconds since 1970."""
    return f"{encoded_resource}\n{expiry}".encode()


def encode_token(resource: str, expiry: int, sign: Callable[[bytes], bytes], key_name: str | None = None) -> str:
    """Return the token for `resource`. expiry: seconds since 1970. sign: HMAC-SHA256 under the device's key."""
    encoded = encode_resource(resource)
    signature = quote(base64.b64encode(sign(make_string_to_sign(encoded, expiry))), safe="")
    token = f"{_PREFIX}sr={encoded}&sig={signature}&se={expiry}"
    return token if key_name is None else f"{token}&skn={key_name}"


def parse_token(text: str) -> Token:
    """Parse a token with its fields in any order; raises ProtocolError, which never repeats the token."""
    if not text.isascii() or not text.startswith(_PREFIX):
        raise ProtocolError("not a shared access signature")
    pairs = text[len(_PREFIX) :].split("&")
    fields = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if len(fields) != len(pairs) or not {"sr", "sig", "se"} <= fields.keys():
        raise ProtocolError("a shared access signature needs sr, sig and se, each once")
    if not re.fullmatch(r"[0-9]{1,15}", fields["se"]):
        raise ProtocolError("the shared access signature's expiry is not a number of seconds")
    signature = decode_base64(unquote(fields["sig"]).encode())
    return Token(fields["sr"], int(fields["se"]), signature, fields.get("skn"))


def verify_token(token: Token, key: bytes) -> bool:
    """Tell whether `token` was signed with the decoded `key`."""
    # By the `sr` as it was sent, since SDKs differ in the case of `%2F`.
    expected = sign(key, make_string_to_sign(token.resource, token.expiry))
    return hmac.compare_digest(expected, token.signature)


def sign(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256 of `message` under `key`, 32 bytes."""
    return hmac.digest(key, message, "sha256")


def derive_device_key(group_key: bytes, registration_id: str) -> bytes:
    """Return a device's key in an enrollment group: HMAC-SHA256 of the registration id under the group's key."""
    return sign(group_key, registration_id.encode())


def parse_key(text: bytes) -> bytes:
    """Decode a symmetric key, one line of base64 of 16 to 64 bytes; raises ProtocolError, which never repeats it."""
    key = decode_base64(text.strip())
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ProtocolError(f"the key has {len(key)} bytes, {KEY_BYTES_MIN} to {KEY_BYTES_MAX} are allowed")
    return key


def decode_base64(text: bytes) -> bytes:
    """Decode base64 in its strict form, on one line; raises ProtocolError."""
    try:
        if _BASE64.fullmatch(text):
            return base64.b64decode(text, validate=True)
    except binascii.Error:
        pass
    raise ProtocolError("not one line of base64")
