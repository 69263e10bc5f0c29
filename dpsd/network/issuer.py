"""Whose certificate it is that was not accepted: asked by one more connection, on which nothing is said.

Verification is off there, and no client certificate is shown: whoever answers learns only the name that it was asked
for before. OpenSSL gives the certificate of a failed handshake to nobody.
"""

from __future__ import annotations

import socket
import ssl

from cryptography import x509

from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint
from dpsd.system.deadline import TimeUp
from dpsd.text import printable

LIMIT = 5
"""Seconds for the other side's answer."""
_SHOWN = 3
"""Names of a certificate that are shown."""


def add_presented(problem: Problem, connection: socket.socket, endpoint: Endpoint) -> Problem:
    """Return the problem with what the certificate says; without it when it cannot be had, whatever the reason.

    connection: a new one to the same place, taken over.
    """
    try:
        certificate = x509.load_der_x509_certificate(_fetch_certificate(connection, endpoint))
        said = _describe_names(certificate) if problem.code == "tls-wrong-name" else _describe_issuer(certificate)
    except (Exception, TimeUp):
        return problem
    return problem.amend(f"{problem.sentence}; {said}")


def _fetch_certificate(connection: socket.socket, endpoint: Endpoint) -> bytes:
    """Return the certificate that is presented, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connection:
        connection.settimeout(LIMIT)
        with context.wrap_socket(connection, server_hostname=endpoint.host.encode()) as secured:
            return secured.getpeercert(binary_form=True) or b""


def _describe_issuer(certificate: x509.Certificate) -> str:
    return f"it is issued by {printable(certificate.issuer.rfc4514_string(), 100) or 'nobody'}"


def _describe_names(certificate: x509.Certificate) -> str:
    """Tell the names it is for, of its extension or, in an old one, of its subject."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(one.value) for one in extension]
    except x509.ExtensionNotFound:
        names = [certificate.subject.rfc4514_string()]
    more = ", ..." if len(names) > _SHOWN else ""
    return f"it is for {printable(', '.join(names[:_SHOWN]), 100)}{more}"
