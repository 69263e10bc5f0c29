"""Authenticated encryption, with a key for each message.

HKDF-SHA256 derives the key from a secret and the message's salt; AES-256-GCM encrypts. cryptography has both since 38.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"dpsd seal v1"


def encrypt(secret: bytes, salt: bytes, nonce: bytes, clear: bytes, message: bytes) -> bytes:
    """Return the ciphertext with its tag. clear: the associated data, which is not encrypted."""
    return _cipher(secret, salt).encrypt(nonce, message, clear)


def decrypt(secret: bytes, salt: bytes, nonce: bytes, clear: bytes, ciphertext: bytes) -> bytes:
    """Return the message; raises ValueError if the ciphertext or the associated data was changed."""
    try:
        return _cipher(secret, salt).decrypt(nonce, ciphertext, clear)
    except InvalidTag:
        raise ValueError("its text does not fit its key") from None


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=_PURPOSE).derive(secret))
