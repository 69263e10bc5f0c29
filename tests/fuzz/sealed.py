"""Targets for what is sealed, asked of the service for keys, and brought to be sealed."""

from __future__ import annotations

import functools
import os

from dpsd.credentials.material import check_material
from dpsd.credentials.sealed import derive_seal_secret, unseal
from dpsd.errors import PROBLEMS, ProtocolError
from dpsd.keys.cipher import encrypt
from dpsd.keys.request import encode_request, parse_reply, parse_request
from dpsd.keys.seal import Header, render_header
from dpsd.sealing.plaintext import parse_text
from dpsd.shape import ShapeError
from dpsd.state.places import Places
from dpsd.system.files import make_folder
from tests.fuzz.credentials import UNUSABLE
from tests.fuzz.endings import problems, refusing
from tests.fuzz.files import places

SEALS = ("seal-damaged", "seal-newer", "seal-other-board")
SOURCES = ("key-source-missing", "key-source-changed", "firmware-missing")
SALT, NONCE = b"s" * 32, b"n" * 12


@functools.cache
def with_key() -> Places:
    """State with a key source that is the same in every run, so that a seal in the corpus can be opened."""
    found = places()
    make_folder(found.keys, 0o700)
    descriptor = os.open(f"{found.keys}/file.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(b"k" * 32)
    return found


def sealed(data: bytes) -> None:
    with problems(*SEALS, *SOURCES, *UNUSABLE):
        unseal(data, "the seal", with_key().keys)


def seal_body(data: bytes) -> None:
    """What is inside, by somebody who has the key."""
    secret, key = derive_seal_secret("file", SALT, with_key().keys)
    clear = render_header(Header("file", key.hex(), "", "symmetric_key", "symmetric:00", SALT, NONCE))
    with problems("seal-damaged", *UNUSABLE, secret=data):
        unseal(clear + encrypt(secret, SALT, NONCE, clear, data), "the seal", with_key().keys)


def key_request(data: bytes) -> None:
    with refusing(ProtocolError):
        assert encode_request(parse_request(data)) == data


def key_reply(data: bytes) -> None:
    with refusing(ShapeError), problems(*PROBLEMS):
        assert len(parse_reply(data, 2)) == 2


def to_be_sealed(data: bytes) -> None:
    with problems(*UNUSABLE, secret=data):
        check_material(parse_text(data).material, "standard input")


TARGETS = {
    "sealed": sealed,
    "seal-body": seal_body,
    "key-request": key_request,
    "key-reply": key_reply,
    "to-be-sealed": to_be_sealed,
}
