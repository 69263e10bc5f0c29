"""The signature over a bundle: made as docs/import.md says, word for word, and refused after any change."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dpsd.importing.bundle import Bundle, Files
from dpsd.importing.plan import signed_part
from dpsd.importing.reading import load_bundle
from dpsd.importing.signature import check_signature, check_sums
from tests.unit.authority import make_key
from tests.unit.bundles import put_folder
from tests.unit.examples import CHECKOUT, problem_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

RECIPES = re.findall(r"^```sh\n(.*?)^```$", (CHECKOUT / "docs/import.md").read_text(), re.MULTILINE | re.DOTALL)
CONTENT = {"dpsd.toml": b"[dps]\n", "certificate.pem": b"certificate", "private_key.pem": b"key"}


@pytest.fixture(scope="module", params=RECIPES, ids=["ed25519", "p256"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, str]:
    """A bundle that was signed by the recipe, and the public key."""
    folder = tmp_path_factory.mktemp("fleet")
    put_folder(folder / "bundle", CONTENT)
    subprocess.run(["sh", "-euc", request.param], cwd=folder, check=True, capture_output=True)
    return load_bundle(f"{folder}/bundle"), (folder / "fleet.pem").read_text()


def changed(bundle: Bundle, **files: bytes | None) -> Bundle:
    """The bundle with other contents of files, None for without it."""
    content = {**bundle.files, **{name.replace("__", "."): data for name, data in files.items()}}
    return bundle._replace(files=Files((name, data) for name, data in content.items() if data is not None))


def refused(bundle: Bundle, key: str) -> str:
    part = signed_part(bundle)
    return problem_of("bundle-signature-invalid", lambda: check_signature(part, key, "/etc/fleet.pem")).sentence


def test_what_the_recipe_signed_is_accepted(signed: tuple[Bundle, str]) -> None:
    bundle, key = signed
    check_signature(signed_part(bundle), key, "/etc/fleet.pem")


def test_any_change_is_refused(signed: tuple[Bundle, str]) -> None:
    bundle, key = signed
    sums, signature = bundle.files["SHA256SUMS"], bundle.files["SHA256SUMS.sig"]
    assert "for the other files: dpsd.toml" in refused(changed(bundle, dpsd__toml=b"[hub]\n"), key)
    assert "for the other files: primary_key" in refused(changed(bundle, primary_key=b"new"), key)
    assert "for the other files: certificate.pem" in refused(changed(bundle, certificate__pem=None), key)
    assert "is not signed by" in refused(changed(bundle, SHA256SUMS=sums + b"\n"), key)
    for other in (b"", signature[:-1], signature + b"\0", bytes(len(signature))):
        assert "is not signed by" in refused(changed(bundle, SHA256SUMS__sig=other), key)
    assert "and not both" in refused(changed(bundle, SHA256SUMS__sig=None), key)
    assert "and not both" in refused(changed(bundle, SHA256SUMS=None), key)


@pytest.mark.parametrize("sums", [b"", b"\xff", b"0" * 64 + b"  dpsd.toml\n", b"hello\n", b"\\" + b"0" * 64 + b"  x\n"])
def test_odd_sums_are_refused(sums: bytes) -> None:
    bundle = Bundle("/b", (), Files({"dpsd.toml": b"", "SHA256SUMS": sums}.items()))
    problem_of("bundle-signature-invalid", lambda: check_sums(signed_part(bundle)))


@pytest.mark.parametrize("kind", ["rsa", "other key", "p384", "private", "empty", "binary"])
def test_another_key_is_refused(signed: tuple[Bundle, str], kind: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    pem = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = {
        "rsa": make_key("rsa").public_key().public_bytes(*pem).decode(),
        "other key": make_key("ec").public_key().public_bytes(*pem).decode(),
        "p384": ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*pem).decode(),
        "private": make_key("ec").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "empty": "",
        "binary": "\0\x80",
    }
    said = "is not signed by the key in" if kind == "other key" else "holds no public key"
    assert said in refused(signed[0], keys[kind])
