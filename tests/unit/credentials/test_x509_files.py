"""A certificate with its chain, and its private key, from PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Certificate, Credential
from dpsd.errors import Problem
from dpsd.state.connection import Authentication
from tests import canaries
from tests.unit.authority import (
    NOT_AFTER,
    NOT_BEFORE,
    PASSPHRASE,
    just_after,
    make_certificate,
    make_key,
    pem_of,
    pem_of_key,
    put_secret,
)
from tests.unit.examples import problem_of

P256 = bytes.fromhex("2a8648ce3d030107")


def open_pair(folder: Path, certificate: bytes | None, key: bytes) -> Credential:
    """Put both in place (None: no certificate) and open them."""
    certificate_file = folder / "device.pem"
    canaries.note(key, "the key", certificate_file)
    if certificate is not None:
        certificate_file.write_bytes(certificate)
    key_file = put_secret(folder / "device.key", key)
    return open_credential(CredentialSettings("x509", "files", str(certificate_file), key_file, None, None))


def refused(code: str, folder: Path, certificate: bytes | None, key: bytes) -> Problem:
    problem = problem_of(code, lambda: open_pair(folder, certificate, key))
    assert f"{folder}/device." in problem.sentence and "\n" not in problem.sentence
    return problem


def changed(certificate: x509.Certificate, old: bytes, new: bytes) -> bytes:
    """The certificate as PEM with some bytes exchanged, which its signature does not survive."""
    der = certificate.public_bytes(Encoding.DER)
    assert old in der and len(old) == len(new)
    return ssl.DER_cert_to_PEM_cert(der.replace(old, new)).encode()


def trusted_by_openssl(credential: Credential) -> Certificate:
    assert credential.x509 is not None
    credential.x509.arm(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return credential.x509


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_pair_is_opened(tmp_path: Path, kind: str, form: PrivateFormat) -> None:
    certificate = make_certificate(make_key(kind), "Pi-1")
    credential = open_pair(tmp_path, pem_of(certificate), pem_of_key(make_key(kind), NoEncryption(), form))
    assert credential.common_name == "Pi-1"
    assert credential.fingerprint == f"x509:{certificate.fingerprint(hashes.SHA256()).hex()}"
    assert credential.authentication == Authentication("x509", f"{tmp_path}/device.pem", f"{tmp_path}/device.key")
    assert credential.keys == ()
    certificate_in_use = trusted_by_openssl(credential)
    certificate_in_use.leaf.check_dates(NOT_BEFORE.timestamp())
    certificate_in_use.leaf.check_dates(NOT_AFTER.timestamp())


def test_the_first_certificate_of_a_chain_is_the_device(tmp_path: Path) -> None:
    leaf = make_certificate(make_key("ec"), "pi-1", issuer=("Fleet CA", make_key("ec", 1)))
    authority = make_certificate(make_key("ec", 1), "Fleet CA")
    text = b"Bag Attributes\n    friendlyName: pi\n" + pem_of(leaf) + b"# issued by\n" + pem_of(authority)
    credential = open_pair(tmp_path, text, pem_of_key(make_key("ec")))
    assert credential.common_name == "pi-1"
    refused("credential-mismatch", tmp_path, pem_of(authority, leaf), pem_of_key(make_key("ec")))


def test_a_certificate_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.pem").write_bytes(pem_of(make_certificate(make_key("ec"), "pi-1")))
    (tmp_path / "device.pem").symlink_to("real.pem")
    assert open_pair(tmp_path, None, pem_of_key(make_key("ec"))).common_name == "pi-1"


@pytest.mark.parametrize(("kind", "number"), [("ec", 1), ("rsa", 0)])
def test_the_key_of_another_certificate_is_a_mismatch(tmp_path: Path, kind: str, number: int) -> None:
    certificate = pem_of(make_certificate(make_key("ec"), "pi-1"))
    problem = refused("credential-mismatch", tmp_path, certificate, pem_of_key(make_key(kind, number)))
    assert problem.sentence == f"{tmp_path}/device.key is not the private key of {tmp_path}/device.pem"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.timeout(10)
def test_an_encrypted_key_is_refused_without_asking(tmp_path: Path, form: PrivateFormat) -> None:
    certificate = pem_of(make_certificate(make_key("rsa"), "pi-1"))
    problem = refused("credential-encrypted", tmp_path, certificate, pem_of_key(make_key("rsa"), PASSPHRASE, form))
    assert problem.hint.startswith("store the key without a passphrase: openssl pkey ")


@pytest.mark.parametrize("key", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_broken_key_is_refused_without_repeating_it(tmp_path: Path, key: bytes) -> None:
    problem = refused("credential-invalid", tmp_path, pem_of(make_certificate(make_key("ec"), "pi-1")), key)
    assert "cannot be used" in problem.sentence
    assert "AAAA" not in problem.sentence


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (b"", "holds no PEM certificate"),
        (b"no certificate", "holds no PEM certificate"),
        (pem_of_key(make_key("ec")), "holds a private key; keep it out of certificate_file"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a broken certificate"),
        (b"-----BEGIN CERTIFICATE-----\n\xff*\n-----END CERTIFICATE-----\n", "holds a broken certificate"),
        (b"x" * (64 * 1024 + 1), "cannot be read as a regular file of at most 65536 bytes"),
    ],
    ids=["empty", "words", "key", "broken base64", "no base64", "large"],
)
def test_a_broken_certificate_is_refused(tmp_path: Path, certificate: bytes, said: str) -> None:
    code = "credential-missing" if "cannot be read" in said else "credential-invalid"
    assert said in refused(code, tmp_path, certificate, pem_of_key(make_key("ec"))).sentence


def test_a_chain_with_a_broken_certificate_is_refused(tmp_path: Path) -> None:
    whole = pem_of(make_certificate(make_key("ec"), "pi-1"))
    for broken in (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", whole[:-30]):
        refused("credential-invalid", tmp_path, whole + broken, pem_of_key(make_key("ec")))


def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    problem = refused("credential-missing", tmp_path, None, pem_of_key(make_key("ec")))
    assert problem.sentence == f"{tmp_path}/device.pem does not exist"


@pytest.mark.parametrize("names", [(), ("pi-1", "pi-2")])
def test_a_certificate_without_one_name_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    certificate = pem_of(make_certificate(make_key("ec"), *names))
    problem = refused("credential-invalid", tmp_path, certificate, pem_of_key(make_key("ec")))
    assert problem.sentence.endswith("has no single CN")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    certificate = changed(make_certificate(make_key("ec"), "pi-1"), b"pi-1", b"pi-\xff")
    problem = refused("credential-invalid", tmp_path, certificate, pem_of_key(make_key("ec")))
    assert "holds a broken certificate" in problem.sentence


def test_a_key_type_that_dps_does_not_take_is_refused(tmp_path: Path) -> None:
    certificate = pem_of(make_certificate(make_key("ed25519"), "pi-1"))
    problem = refused("credential-invalid", tmp_path, certificate, pem_of_key(make_key("ed25519")))
    assert problem.sentence.endswith("DPS takes EC and RSA keys only")


def test_a_curve_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    certificate = changed(make_certificate(make_key("ec"), "pi-1"), P256, P256[:-1] + b"\x7f")
    problem = refused("credential-invalid", tmp_path, certificate, pem_of_key(make_key("ec")))
    assert "holds a broken certificate" in problem.sentence


def test_dates_are_checked_against_the_clock(tmp_path: Path) -> None:
    files = trusted_by_openssl(
        open_pair(tmp_path, pem_of(make_certificate(make_key("ec"), "pi-1")), pem_of_key(make_key("ec")))
    )
    files.leaf.check_dates(NOT_BEFORE.timestamp())
    files.leaf.check_dates(NOT_AFTER.timestamp())
    early = problem_of("certificate-not-yet-valid", lambda: files.leaf.check_dates(0))
    assert early.sentence.endswith("is valid from 2020-01-01 00:00 UTC, the clock says 1970-01-01 00:00 UTC")
    late = problem_of("certificate-expired", lambda: files.leaf.check_dates(just_after(NOT_AFTER)))
    assert "expired at 2120-01-01 00:00 UTC" in late.sentence
