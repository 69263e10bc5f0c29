"""Bundles for one device, how it gets them, and the key of its fleet."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dpsd.importing.adopt import adopt
from dpsd.importing.reading import load_bundle
from dpsd.state.places import Places
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import Content, put_folder
from tests.unit.examples import DEVICE_KEY

SETTINGS = b'[dps]\nid_scope = "0ne00TEST01"\nregistration_id = "pi-1"\n'
KEY = {"primary_key": DEVICE_KEY.encode()}
WHOLE = {"dpsd.toml": SETTINGS, **KEY}
PAIR = {
    "certificate.pem": pem_of(make_certificate(make_key("ec"), "pi-1")),
    "private_key.pem": pem_of_key(make_key("ec")),
}
FLEET, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def put(places: Places, name: str, text: str) -> None:
    (Path(places.state).parent / name).write_text(text)


def bring(places: Places, content: Content) -> str:
    """Put a bundle where it is found, and nothing else, and say where."""
    folder = Path(places.state).parent / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    return str(put_folder(folder, content))


def adopt_content(places: Places, content: Content) -> None:
    adopt(load_bundle(bring(places, content)), places)


def trust_fleet(places: Places) -> None:
    """Let the device take the fleet's key for its owner's."""
    public = FLEET.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    put(places, "fleet.pem", public)
    put(places, "image.toml", f'[import]\nfleet_key_file = "{Path(places.state).parent}/fleet.pem"\n')
