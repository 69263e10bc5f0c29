"""A credential in memory."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Credential
from dpsd.credentials.material import Material, check_material, open_material
from dpsd.secret import Secret
from tests.unit.authority import PASSPHRASE, make_certificate, make_key, pem_of, pem_of_key, put_secret
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, problem_of

CERTIFICATE = pem_of(make_certificate(make_key("ec"), "pi-1"))
KEY = pem_of_key(make_key("ec"))
PAIR = Material(CERTIFICATE, Secret(KEY))


def as_files(folder: Path, material: Material) -> Credential:
    """Open the same credential from files."""
    (folder / "pem").write_bytes(material.certificate or b"")
    hidden = (material.private_key, material.primary_key, material.secondary_key)
    key, first, second = (put_secret(folder / str(n), one.reveal()) if one else None for n, one in enumerate(hidden))
    return open_credential(CredentialSettings(material.type, "files", f"{folder}/pem", key, first, second))


@pytest.mark.parametrize(
    "material",
    [PAIR, Material(primary_key=Secret(DEVICE_KEY.encode()), secondary_key=Secret(GROUP_KEY.encode() + b"\n"))],
    ids=["x509", "keys"],
)
def test_it_is_the_same_credential_as_in_files(tmp_path: Path, material: Material) -> None:
    opened, files = open_material(material, "the seal"), as_files(tmp_path, material)
    assert (opened.common_name, opened.fingerprint) == (files.common_name, files.fingerprint)
    assert [key.sign(b"message") for key in opened.keys] == [key.sign(b"message") for key in files.keys]
    assert (opened.authentication.type, opened.material) == (files.authentication.type, material)


def test_it_arms_a_context_and_leaves_no_descriptor() -> None:
    x509 = open_material(PAIR, "the seal").x509
    assert x509 is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    before = sorted(Path("/proc/self/fd").iterdir())
    x509.arm(context)
    assert len(sorted(Path("/proc/self/fd").iterdir())) == len(before)
    assert shaken_hands(context)["subject"] == ((("commonName", "pi-1"),),)


def shaken_hands(server: ssl.SSLContext) -> dict[str, object]:
    """What a client sees of who has this context."""
    client = ssl.create_default_context(cadata=CERTIFICATE.decode())
    client.check_hostname = False
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(one, other), server.wrap_bio(other, one, server_side=True)]
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(ends[0].getpeercert() or {})


@pytest.mark.parametrize(
    ("material", "code"),
    [
        (Material(), "credential-missing"),
        (Material(CERTIFICATE), "credential-missing"),
        (Material(private_key=Secret(KEY)), "credential-missing"),
        (Material(secondary_key=Secret(DEVICE_KEY.encode())), "credential-missing"),
        (PAIR._replace(primary_key=Secret(DEVICE_KEY.encode())), "credential-invalid"),
        (PAIR._replace(certificate=KEY), "credential-invalid"),
        (PAIR._replace(private_key=Secret(b"AAAA")), "credential-invalid"),
        (Material(primary_key=Secret(b"AAAA")), "credential-invalid"),
        (PAIR._replace(private_key=Secret(pem_of_key(make_key("ec"), PASSPHRASE))), "credential-encrypted"),
        (PAIR._replace(private_key=Secret(pem_of_key(make_key("ec", 1)))), "credential-mismatch"),
        (PAIR._replace(private_key=Secret(pem_of_key(make_key("rsa")))), "credential-mismatch"),
    ],
)
def test_what_is_no_whole_credential_is_refused_without_repeating_it(material: Material, code: str) -> None:
    problem = problem_of(code, lambda: check_material(material, "the \nbundle"))
    assert "the \\x0abundle" in problem.sentence and "AAAA" not in problem.sentence and "\n" not in problem.sentence
