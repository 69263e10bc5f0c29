"""Authenticated encryption under a key that is derived for one message.

HKDF-SHA256 and AES-256-GCM, which every cryptography from 38 on has. Each message has a salt and so a key of its own.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"dpsd seal v1"


def encrypt(secret: bytes, salt: bytes, nonce: bytes, clear: bytes, message: bytes) -> bytes:
    """Return the ciphertext with its tag; clear: the associated data."""
    return _cipher(secret, salt).encrypt(nonce, message, clear)


def decrypt(secret: bytes, salt: bytes, nonce: bytes, clear: bytes, ciphertext: bytes) -> bytes:
    """Return the message; raises ValueError where anything of it was changed."""
    try:
        return _cipher(secret, salt).decrypt(nonce, ciphertext, clear)
    except InvalidTag:
        raise ValueError("its text does not fit its key") from None


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=_PURPOSE).derive(secret))
