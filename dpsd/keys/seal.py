"""The format of a sealed credential: one line in clear that anybody may read, then the ciphertext.

The line, byte for byte, is the cipher's associated data, so that a change to it is noticed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import NamedTuple

from dpsd.shape import ShapeError, Table, parse_object
from dpsd.text import printable

VERSION = 1
SIZE_LIMIT = 256 * 1024
"""Bytes of the file; the largest part, a certificate's chain, has 64 KiB at most."""
NONCE_SIZE = 12


class NewerSealError(ShapeError):
    """A later version of the program wrote the file."""


class Header(NamedTuple):
    """The line in clear.

    source, key: the key source, and the public name of its key. board: the serial number, empty if the board has none.
    type: as credential.type. fingerprint: the public one of the credential. salt, nonce: new ones for each seal.
    """

    source: str
    key: str
    board: str
    type: str
    fingerprint: str
    salt: bytes
    nonce: bytes


class Seal(NamedTuple):
    """The parts of a file. clear: the bytes of the header's line."""

    header: Header
    clear: bytes
    ciphertext: bytes


def render_header(header: Header) -> bytes:
    """Return the line in clear, with its newline."""
    shown = {**header._asdict(), "salt": header.salt.hex(), "nonce": header.nonce.hex()}
    return json.dumps({"dpsd_seal": VERSION, **shown}).encode() + b"\n"


def parse_seal(data: bytes) -> Seal:
    """Parse a file; raises ShapeError, or NewerSealError for a later version's."""
    line, end, ciphertext = data.partition(b"\n")
    table = parse_object(line, "header")
    version = table.integer("dpsd_seal")
    if version > VERSION:
        raise NewerSealError(f"version {printable(version, 20)} is newer than {VERSION}, which this program knows")
    if version != VERSION or not end:
        raise ShapeError("header.dpsd_seal: is not known here")
    return Seal(_read_header(table), line + end, ciphertext)


def _read_header(table: Table) -> Header:
    return Header(
        source=table.string("source"),
        key=table.string("key"),
        board=table.string("board"),
        type=table.string("type"),
        fingerprint=table.string("fingerprint"),
        salt=_read_bytes(table, "salt"),
        nonce=_read_bytes(table, "nonce"),
    )


def _read_bytes(table: Table, name: str) -> bytes:
    try:
        return bytes.fromhex(table.string(name))
    except ValueError:
        raise ShapeError(f"header.{name}: expected hexadecimal") from None


def render_body(parts: Mapping[str, bytes]) -> bytes:
    """Return the text to encrypt. parts: those of a credential, by name."""
    return json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()}).encode()


def parse_body(body: bytes) -> dict[str, bytes]:
    """Parse what `render_body` returns; raises ShapeError."""
    table = parse_object(body, "body")
    try:
        return {name: base64.b64decode(table.string(name), validate=True) for name in table.values}
    except ValueError:
        raise ShapeError("body: expected base64") from None
