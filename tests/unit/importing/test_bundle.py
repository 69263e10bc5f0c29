"""What the files of a bundle hold: one whole credential in one of its forms, or a problem that shows nothing of it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from dpsd.credentials.pkcs12 import parse_in_time
from dpsd.importing.bundle import Bundle, Files, material_of, tables_of
from tests.unit.authority import PASSPHRASE, PrivateKey, make_certificate, make_key, pem_of, pem_of_key
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, problem_of

ROOT = make_certificate(make_key("ec", 2), "Root")
MIDDLE = make_certificate(make_key("ec", 1), "Middle", issuer=("Root", make_key("ec", 2)))
LEAF = make_certificate(make_key("ec"), "pi-1", issuer=("Middle", make_key("ec", 1)))
CHAIN = pem_of(LEAF, MIDDLE, ROOT)
KEY = pem_of_key(make_key("ec"))
PAIR = {"certificate.pem": CHAIN, "private_key.pem": KEY}


def bundle(content: dict[str, bytes]) -> Bundle:
    return Bundle("/b", (), Files(content.items()))


def pkcs12(key: PrivateKey | None = None, passphrase: bytes | None = None) -> bytes:
    sealed = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return serialize_key_and_certificates(b"x", key or make_key("ec"), LEAF, [ROOT, MIDDLE], sealed)


@pytest.mark.parametrize("pem", [CHAIN, CHAIN.replace(b"\n", b"\r\n"), pem_of(LEAF)])
def test_a_pair_is_taken_with_its_chain(pem: bytes) -> None:
    found = material_of(bundle({**PAIR, "certificate.pem": pem}))
    assert found and found.private_key
    assert (found.certificate, found.private_key.reveal()) == (pem, KEY)


def test_a_pkcs12_does_not_say_how_long_it_is_opened() -> None:
    """It names the number of rounds by which its key is derived."""
    data = pkcs12(passphrase=b"secret words")
    problem = problem_of("credential-invalid", lambda: parse_in_time(data, b"secret words", "/p", 0.001))
    assert problem.sentence == "/p takes more than 0.001 s to be opened"


@pytest.mark.parametrize("passphrase", [None, b"secret words"])
def test_a_pkcs12_gives_the_pair_in_order(passphrase: bytes | None) -> None:
    given = {} if passphrase is None else {"identity.pass": passphrase + b"\r\n"}
    found = material_of(bundle({"identity.p12": pkcs12(passphrase=passphrase), **given}))
    assert found and found.private_key
    assert (found.certificate, found.private_key.reveal()) == (CHAIN, KEY)


def test_keys_are_taken_with_any_end_of_line() -> None:
    found = material_of(bundle({"primary_key": f"{GROUP_KEY}\r\n".encode(), "secondary_key": DEVICE_KEY.encode()}))
    assert found and found.primary_key and found.secondary_key


def test_there_may_be_no_credential() -> None:
    assert material_of(bundle({"dpsd.toml": b""})) is None


REFUSED = {
    "credential-missing": [
        {"certificate.pem": CHAIN},
        {"private_key.pem": KEY},
        {"secondary_key": DEVICE_KEY.encode()},
    ],
    "credential-encrypted": [{**PAIR, "private_key.pem": pem_of_key(make_key("ec"), PASSPHRASE)}],
    "credential-mismatch": [{**PAIR, "private_key.pem": pem_of_key(make_key("ec", 1))}],
    "bundle-invalid": [
        {**PAIR, "identity.p12": pkcs12()},
        {**PAIR, "identity.pass": b"secret words"},
    ],
    "credential-invalid": [
        {**PAIR, "certificate.pem": pem_of(LEAF, ROOT, MIDDLE)},
        {**PAIR, "certificate.pem": CHAIN + b"-----BEGIN CERTIFICATE-----\nAAAA"},
        {**PAIR, "private_key.pem": b"\0" * 99},
        {**PAIR, "primary_key": DEVICE_KEY.encode()},
        {"identity.p12": pkcs12(), "primary_key": DEVICE_KEY.encode()},
        {"identity.p12": pkcs12()[:-9]},
        {"identity.p12": b""},
        {"identity.p12": pkcs12(passphrase=b"secret words")},
        {"identity.p12": pkcs12(passphrase=b"secret words"), "identity.pass": b"other"},
        {"identity.p12": serialize_key_and_certificates(b"x", None, LEAF, [], NoEncryption())},
        {"primary_key": b"c2hvcnQ="},
        {"primary_key": f"{DEVICE_KEY}\n".encode("utf-16")},
        {"primary_key": b"\xef\xbb\xbf" + DEVICE_KEY.encode()},
    ],
}


@pytest.mark.parametrize(("code", "content"), [(code, one) for code, all_ in REFUSED.items() for one in all_])
def test_what_is_no_whole_credential_is_refused_without_showing_it(code: str, content: dict[str, bytes]) -> None:
    problem = problem_of(code, lambda: material_of(bundle(content)))
    assert problem.sentence.startswith(("/b", "the "))
    assert DEVICE_KEY not in problem.sentence and "secret words" not in problem.sentence


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_settings_may_come_from_a_windows_editor(mark: bytes) -> None:
    assert tables_of(bundle({"dpsd.toml": mark + b'[dps]\r\nid_scope = "s"\r\n'})) == {"dps": {"id_scope": "s"}}


@pytest.mark.parametrize("text", ["[dps]".encode("utf-16"), b"[dps]\n# \xe4", "[dps]".encode("utf-16-be")])
def test_settings_in_another_encoding_are_refused(text: bytes) -> None:
    code = "configuration-invalid" if text.startswith(b"\0") else "bundle-invalid"
    assert "dpsd.toml" in problem_of(code, lambda: tables_of(bundle({"dpsd.toml": text}))).sentence
