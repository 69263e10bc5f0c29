"""A credential before it is sealed: reading it from files or standard input, and removing the files."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from dpsd.configuration.load import load_config
from dpsd.configuration.merge import Effective
from dpsd.credentials.material import Material
from dpsd.errors import Problem
from dpsd.secret import Secret
from dpsd.state.places import Places
from dpsd.system.files import load, remove
from dpsd.system.owner import as_owner
from dpsd.text import printable

SIZE_LIMIT = 128 * 1024
"""Bytes of a file or of standard input, which may hold a chain and a key."""
INPUTS = ("certificate", "private_key", "primary_key", "secondary_key")
"""The parts of a credential; the setting of [credential] for a part's file adds `_file` to its name."""
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class Plaintext(NamedTuple):
    """A credential that was read. secrets: the paths of the files that hold a secret."""

    material: Material
    secrets: tuple[str, ...] = ()


def read_files(paths: dict[str, str]) -> Plaintext:
    """Read a credential. paths: by name in `INPUTS`. Raises Problem `credential-missing`, `credential-insecure`."""
    parts = {name: _read_file(os.path.abspath(path)) for name, path in paths.items()}
    certificate = parts.pop("certificate", None)
    material = Material(certificate, **{name: Secret(part) for name, part in parts.items()})
    return Plaintext(material, tuple(os.path.abspath(paths[name]) for name in parts))


def parse_text(text: bytes) -> Plaintext:
    """Read a credential from one text: a PEM certificate with its key, or one or two lines of base64.

    Raises Problem `credential-missing` for an empty text, `credential-invalid`.
    """
    if len(text) > SIZE_LIMIT:
        raise Problem("credential-invalid", f"standard input has more than {SIZE_LIMIT} bytes")
    if not text.strip():
        raise Problem("credential-missing", "standard input is empty", hint="look at what the command before it says")
    if b"-----BEGIN" not in text:
        primary, *secondary = text.split() or [b""]
        if len(secondary) > 1:
            raise Problem("credential-invalid", "standard input has more than two keys")
        return Plaintext(Material(primary_key=Secret(primary), secondary_key=_take_first(secondary)))
    blocks = [(found[1], found[0] + b"\n") for found in _BLOCK.finditer(text)]
    keys = [block for label, block in blocks if label.endswith(b"PRIVATE KEY")]
    chain = b"".join(block for label, block in blocks if label == b"CERTIFICATE")
    if len(keys) != 1 or not chain:
        raise Problem("credential-invalid", "standard input has no certificate, or not one private key")
    return Plaintext(Material(chain, Secret(keys[0])))


def _take_first(keys: list[bytes]) -> Secret | None:
    return Secret(keys[0]) if keys else None


def _read_file(path: str) -> bytes:
    shown, text = printable(path), load(path, SIZE_LIMIT)
    if text is None:
        raise Problem("credential-missing", f"{shown} is not a readable, regular file of at most {SIZE_LIMIT} bytes")
    if os.stat(path).st_nlink != 1:
        raise Problem(
            "credential-insecure", f"{shown} has other names (hard links)", hint="remove the other names of the file"
        )
    return text


def load_effective(places: Places) -> Effective | None:
    """Return the configuration, None if there is none yet; raises Problem `configuration-*`."""
    try:
        with as_owner(places.state):
            return load_config(places.configuration)
    except Problem as problem:
        if problem.code != "configuration-missing":
            raise
        return None


def list_configured_files(found: Effective) -> dict[str, str]:
    """Return the paths of the credential's files in a configuration, by name in `INPUTS`."""
    named = found.config.credential._asdict()
    return {name: named[f"{name}_file"] for name in INPUTS if named[f"{name}_file"] is not None}


def is_needed(path: str, found: Effective | None) -> bool:
    """Tell whether a configuration still names this file, by any path to it."""
    named = list_configured_files(found).values() if found is not None else ()
    return any(os.path.realpath(one) == os.path.realpath(path) for one in named)


def remove_secrets(plaintext: Plaintext, found: Effective | None) -> tuple[list[str], list[str]]:
    """Remove the secrets' files that no configuration names; return the paths removed, and those kept.

    Raises Problem `state-unwritable`.
    """
    kept = [path for path in plaintext.secrets if is_needed(path, found)]
    gone = [path for path in plaintext.secrets if path not in kept]
    for path in gone:
        remove(path)
    return gone, kept
