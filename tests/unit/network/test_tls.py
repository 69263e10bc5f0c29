"""The TLS context, and the names of what goes wrong in TLS."""

from __future__ import annotations

import socket
import ssl
import struct
from pathlib import Path

import pytest

from dpsd.errors import PROBLEMS
from dpsd.network.tls import AZURE_ROOTS, make_context, make_tls_problem, shake_hands
from dpsd.protocol.identifiers import Endpoint
from tests.unit.authority import make_certificate, make_key, pem_of
from tests.unit.examples import problem_of

ENDPOINT = Endpoint("dps.example", 8883)
ROOTS = Path("/usr/share/ca-certificates/mozilla")


def test_a_context_checks_the_name_and_speaks_tls_1_2_at_least(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pem_of(make_certificate(make_key("ec"), "Root 1"), make_certificate(make_key("rsa"), "Root 2")))
    context = make_context(str(roots))
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    trusted = str(context.get_ca_certs())
    assert "Root 1" in trusted and "Root 2" in trusted and len(context.get_ca_certs()) == 2


def test_the_system_context_trusts_nothing_of_a_private_authority() -> None:
    context = make_context("system")
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert not [root for root in context.get_ca_certs() if "Root 1" in str(root)]


@pytest.mark.skipif(not ROOTS.is_dir(), reason="Debian's ca-certificates is not installed")
def test_the_azure_context_trusts_the_published_roots_only() -> None:
    known = [name for name in AZURE_ROOTS if (ROOTS / f"{name}.crt").exists()]
    assert "DigiCert_Global_Root_G2" in known
    assert len(make_context("azure").get_ca_certs()) == len(known)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file or directory"), (b"", "no PEM"), (b"no certificate", "no PEM")]
)
def test_roots_that_cannot_be_loaded_are_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    problem = problem_of("configuration-invalid", lambda: make_context(str(path)))
    assert problem.sentence.startswith(f"network.trusted_roots: {path}: ")
    assert said in problem.sentence


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_code, error.verify_message = code, "because\n"
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (verification_error(20), "intercepted"),
        (verification_error(18), "intercepted"),
        (verification_error(9), "tls-certificate-dates"),
        (verification_error(10), "tls-certificate-dates"),
        (verification_error(62), "tls-wrong-name"),
        (verification_error(64), "tls-wrong-name"),
        (ssl.SSLEOFError(8, "eof"), "connection-lost"),
        (ssl.SSLZeroReturnError(6, "closed"), "connection-lost"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), "connection-lost"),
        (tls_error("odd\x1b"), "tls-failed"),
        (tls_error("UNSUPPORTED_PROTOCOL"), "tls-failed"),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), "tls-alert"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "tls-alert"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "tls-alert"),
        (tls_error("TLSV1_UNRECOGNIZED_NAME"), "tls-alert"),
    ],
)
def test_an_error_of_tls_is_named(error: ssl.SSLError, code: str) -> None:
    problem = make_tls_problem(ENDPOINT, error)
    assert problem.code == code and code in PROBLEMS
    assert "dps.example:8883" in problem.sentence
    assert problem.sentence.isprintable() and problem.sentence.isascii()


def test_an_alert_is_told_in_words() -> None:
    assert make_tls_problem(ENDPOINT, tls_error("TLSV1_ALERT_UNKNOWN_CA")).sentence.endswith("the alert: unknown ca")
    old = make_tls_problem(ENDPOINT, tls_error("TLSV1_ALERT_PROTOCOL_VERSION"))
    assert old.sentence.endswith("protocol version, so it speaks neither TLS 1.2 nor 1.3")


def test_a_connection_that_was_reset_before_the_handshake_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        problem_of("connection-lost", lambda: shake_hands(connection, make_context("system"), ENDPOINT))
