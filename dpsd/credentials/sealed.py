"""A credential that is encrypted for this device, under a key that only its key source has."""

from __future__ import annotations

import os
from typing import NamedTuple

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.credential import Credential, Material, opener
from dpsd.credentials.material import open_material
from dpsd.errors import Problem
from dpsd.keys.cipher import decrypt
from dpsd.keys.client import ask_service
from dpsd.keys.request import SALT_SIZE, SOURCES, Derive
from dpsd.keys.seal import NONCE_SIZE, SIZE_LIMIT, Header, NewerSealError, Seal, parse_body, parse_seal
from dpsd.keys.sources import derive_secret
from dpsd.secret import Secret
from dpsd.shape import ShapeError
from dpsd.state.connection import Authentication
from dpsd.state.places import Keys, Places
from dpsd.state.record import same_board
from dpsd.system.board import read_serial
from dpsd.system.files import load
from dpsd.text import printable

STORE = "sealed"


class Unsealed(NamedTuple):
    """What a sealed file says in clear, and the credential that it holds."""

    header: Header
    credential: Credential


@opener
def open_sealed(settings: CredentialSettings, places: Places, observer: Observer) -> Credential:
    """Open the sealed credential; raises Problem `seal-*`, `key-*`, `firmware-*`, `credential-*`."""
    observer.watch(settings.firmware_command)  # a firmware's seal cannot be opened until the tool is installed
    path = observer.by_stat(places.state.sealed)
    header, credential = unseal(load_seal(path), path, places.keys)
    if header.type != settings.type:
        said = f"{printable(path)} holds {header.type}, and credential.type is {settings.type}"
        raise Problem("credential-invalid", said, hint="correct credential.type, or seal the other credential")
    return credential


def load_seal(path: str) -> bytes:
    """Return a sealed file's bytes; raises Problem `seal-missing`, `seal-damaged`, `not-permitted`."""
    data = load(path, SIZE_LIMIT)
    if data is None and _is_absent(path):
        raise Problem("seal-missing", f"{printable(path)} does not exist: no credential is sealed")
    if data is None:
        raise Problem("seal-damaged", f"{printable(path)} cannot be read as a file of at most {SIZE_LIMIT} bytes")
    return data


def _is_absent(path: str) -> bool:
    """Tell whether nothing is there; raises Problem `not-permitted` where that cannot be seen."""
    try:
        os.lstat(path)
    except PermissionError:
        raise Problem("not-permitted", f"{printable(path)} is in a folder that this user may not look into") from None
    except OSError:
        return True
    return False


def unseal(data: bytes, path: str, keys: Keys) -> Unsealed:
    """Return header and credential of a sealed file's bytes; path: for messages. Raises as `open_sealed`."""
    seal, shown = parse_own_seal(data, path), printable(path)
    header = seal.header
    secret, key = derive_seal_secret(header.source, header.salt, keys)
    if key.hex() != header.key:
        raise Problem("key-source-changed", f"{shown}: {header.source} has another key than it was sealed with")
    try:
        parts = parse_body(decrypt(secret, header.salt, header.nonce, seal.clear, seal.ciphertext))
        material = material_of(parts)
    except (ValueError, TypeError):  # which may repeat what was decrypted
        raise Problem("seal-damaged", f"{shown} was changed after it was sealed") from None
    credential = open_material(material, path)
    if credential.fingerprint != header.fingerprint:
        raise Problem("seal-damaged", f"{shown} holds another credential than it says")
    if credential.x509 is not None:
        credential = credential._replace(authentication=Authentication("x509", store=STORE))
    return Unsealed(header, credential)


def parse_own_seal(data: bytes, path: str) -> Seal:
    """Return a file's parts where it can be one of this board; raises Problem `seal-*`."""
    shown = printable(path)
    try:
        seal = parse_seal(data)
    except NewerSealError as error:
        raise Problem("seal-newer", f"{shown}: {error}") from None
    except ShapeError as error:
        raise Problem("seal-damaged", f"{shown}: {printable(error)}") from None
    header, board = seal.header, read_serial()
    if header.source not in SOURCES or (len(header.salt), len(header.nonce)) != (SALT_SIZE, NONCE_SIZE):
        raise Problem("seal-damaged", f"{shown}: its header has an odd source, salt or nonce")
    if not same_board(header.board, board):
        said = f"{shown} was sealed on board {printable(header.board)}, this is {board}"
        raise Problem("seal-other-board", said)
    return seal


def derive_seal_secret(source: str, salt: bytes, keys: Keys) -> list[bytes]:
    """Return the secret and the key's name, from the service where this process may not ask the source itself."""
    if keys.of_device and os.geteuid() != 0:
        return ask_service(Derive(source, salt), 2)
    return derive_secret(source, salt, keys)


def parts_of(material: Material) -> dict[str, bytes]:
    """Return the named parts of a credential."""
    hidden = {name: part.reveal() for name, part in material._asdict().items() if isinstance(part, Secret)}
    return hidden if material.certificate is None else {"certificate": material.certificate, **hidden}


def material_of(parts: dict[str, bytes]) -> Material:
    """Return the credential of named parts; raises TypeError for a name that is none."""
    certificate = parts.pop("certificate", None)
    return Material(certificate, **{name: Secret(part) for name, part in parts.items()})
