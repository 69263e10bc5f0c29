"""TLS with DPS or a hub: version 1.2 or later, with SNI, the host name checked."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from typing import Any

from dpsd.errors import Problem
from dpsd.network.diagnosis import make_connection_problem
from dpsd.protocol.identifiers import Endpoint
from dpsd.text import printable

AZURE_ROOTS = ("DigiCert_Global_Root_G2", "DigiCert_Global_Root_G3", "Microsoft_RSA_Root_Certificate_Authority_2017")
"""The roots of Microsoft's "TLS support in IoT Hub" page, by their names in Debian's ca-certificates."""
_MOZILLA = "/usr/share/ca-certificates/mozilla"
_DATES = {9, 10}
"""OpenSSL's verify codes for "not yet valid" and "expired"."""
_NAMES = {62, 63, 64}
"""OpenSSL's verify codes for a host name, e-mail or IP address that does not match."""
_ALERT = re.compile(r"(?:SSLV3_ALERT|TLSV1_ALERT|TLSV13_ALERT|TLSV1)_(\w+)$")
"""OpenSSL's reasons for an alert that arrived, such as SSLV3_ALERT_HANDSHAKE_FAILURE or TLSV1_UNRECOGNIZED_NAME."""
_ALERTS = {"protocol version": "protocol version, so it speaks neither TLS 1.2 nor 1.3"}
_CUT = "UNEXPECTED_EOF_WHILE_READING"
"""OpenSSL's reason for a connection that ended without close_notify; Python 3.13 may raise no SSLEOFError for it."""
_FAILURES = {
    "UNSUPPORTED_PROTOCOL": "the server offers only TLS versions that are too old; 1.2 is needed",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "HTTP_REQUEST": "the server does not speak TLS on this port",
    "NO_SHARED_CIPHER": "the server has no cipher in common with this board",
}
"""OpenSSL's reasons, and plainer words for them."""
_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_NAME_PARTS = {"commonName": "CN", "organizationName": "O"}


class TlsSocket(ssl.SSLSocket):
    """A TLS session that remembers the error that ended it, since paho 2 reports each error as a closed connection."""

    failure: ssl.SSLError | None = None

    def recv(self, size: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(size, flags)
        except _WANTS:
            raise
        except ssl.SSLError as error:
            self.failure = error
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except _WANTS:
            raise
        except OSError:
            # The other side may have sent an alert before it closed.
            with contextlib.suppress(OSError):
                self.recv(1)
            raise


def make_context(trusted_roots: str) -> ssl.SSLContext:
    """Return a client context. trusted_roots: `system`, `azure` or the path of a PEM file.

    Raises Problem `configuration-invalid`.
    """
    # Not by create_default_context: it demands key usage extensions of private authorities on Python 3.13 but not on
    # 3.11, and the same authority should work on every release.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    if trusted_roots == "system":
        context.set_default_verify_paths()
    else:
        for path in _find_root_files(trusted_roots):
            _load_roots(context, path)
    return context


def shake_hands(connection: socket.socket, context: ssl.SSLContext, endpoint: Endpoint) -> TlsSocket:
    """Make a TLS session of a connection, which is closed if that fails; the caller limits the time, by an alarm.

    Raises Problem `intercepted`, `tls-*`, `connection-*`.
    """
    secured: Any = connection
    try:
        _check_connected(connection)
        # As bytes: the ssl module encodes text as an international name, whose tables cost 1 MiB.
        host: Any = endpoint.host.encode()
        secured = context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
        secured.do_handshake()
    except BaseException as error:
        secured.close()
        if isinstance(error, ssl.SSLError):
            raise make_tls_problem(endpoint, error) from None
        if isinstance(error, OSError):
            raise make_connection_problem(endpoint, error) from None
        raise
    assert isinstance(secured, TlsSocket)
    return secured


def _check_connected(connection: socket.socket) -> None:
    """Raise ConnectionResetError if the connection was reset meanwhile."""
    try:  # Python 3.11 would leave a descriptor behind
        connection.getpeername()
    except OSError:
        raise ConnectionResetError from None


def make_tls_problem(endpoint: Endpoint, error: ssl.SSLError) -> Problem:
    """Return the Problem for an error of a handshake, or later in the TLS session."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = printable(error.verify_message or "certificate not accepted").rstrip(".")
        code = "tls-wrong-name" if error.verify_code in _NAMES else "intercepted"
        code = "tls-certificate-dates" if error.verify_code in _DATES else code
        return Problem(code, f"{endpoint} presents a certificate that cannot be accepted: {reason}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or error.reason == _CUT:
        return Problem("connection-lost", f"{endpoint} closed the connection during TLS")
    reason = error.reason or ""
    if alert := _ALERT.search(reason):
        name = alert[1].lower().replace("_", " ")
        return Problem("tls-alert", f"{endpoint} ended TLS with the alert: {printable(_ALERTS.get(name, name))}")
    return Problem("tls-failed", f"TLS with {endpoint} failed: {_FAILURES.get(reason) or printable(reason or error)}")


def read_issuer(secured: TlsSocket) -> str:
    """Return the issuer of the certificate that was accepted, as `CN=..., O=...` for people."""
    certificate: dict[str, Any] = secured.getpeercert() or {}
    names = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    shown = [f"{short}={names[name]}" for name, short in _NAME_PARTS.items() if name in names]
    return printable(", ".join(shown), 100)


def _find_root_files(trusted_roots: str) -> list[str]:
    if trusted_roots != "azure":
        return [trusted_roots]
    found = [path for path in (f"{_MOZILLA}/{name}.crt" for name in AZURE_ROOTS) if os.path.exists(path)]
    if not found:
        said = f"network.trusted_roots: the roots of Azure are not in {_MOZILLA}"
        raise Problem("configuration-invalid", said, hint="install them: apt-get install ca-certificates")
    return found


def _load_roots(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no PEM certificate"
        sentence = f"network.trusted_roots: {printable(path)}: {reason}"
        raise Problem("configuration-invalid", sentence) from None
