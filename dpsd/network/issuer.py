"""The owner of a certificate that was not accepted, found by one more connection.

OpenSSL does not hand out the certificate of a failed handshake. On the second connection verification is off, no client
certificate is shown and nothing is sent after the handshake, so the other side learns nothing that it has not seen.
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
"""Seconds that the other side may take to answer."""
_SHOWN = 3
"""Names of a certificate that a sentence shows."""


def add_presented(problem: Problem, connection: socket.socket, endpoint: Endpoint) -> Problem:
    """Return the problem with the certificate's issuer or names; unchanged if they cannot be had.

    connection: a new one to the same place, which this function closes.
    """
    try:
        certificate = x509.load_der_x509_certificate(_fetch_certificate(connection, endpoint))
        said = _describe_names(certificate) if problem.code == "tls-wrong-name" else _describe_issuer(certificate)
    except (Exception, TimeUp):  # the first failure matters, whatever fails in explaining it
        return problem
    return problem.amend(f"{problem.sentence}; {said}")


def _fetch_certificate(connection: socket.socket, endpoint: Endpoint) -> bytes:
    """Return the certificate that the other side presents, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connection:
        connection.settimeout(LIMIT)
        with context.wrap_socket(connection, server_hostname=endpoint.host.encode()) as secured:
            return secured.getpeercert(binary_form=True) or b""


def _describe_issuer(certificate: x509.Certificate) -> str:
    return f"it is issued by {printable(certificate.issuer.rfc4514_string(), 100) or 'nobody'}"


def _describe_names(certificate: x509.Certificate) -> str:
    """Say for which names the certificate is: those of its extension, or of its subject in an old one."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(one.value) for one in extension]
    except x509.ExtensionNotFound:
        names = [certificate.subject.rfc4514_string()]
    more = ", ..." if len(names) > _SHOWN else ""
    return f"it is for {printable(', '.join(names[:_SHOWN]), 100)}{more}"
