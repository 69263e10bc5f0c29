"""The TLS context for DPS, with what went wrong named. Floor 2.

TLS 1.2 at least, the host name checked, SNI sent. The context is built from PROTOCOL_TLS_CLIENT rather than by
create_default_context, which demands key usage extensions of private authorities on Python 3.13 but not on 3.11: the
same certificate authority works on every release.
"""

from __future__ import annotations

import os
import ssl

from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint
from dpsd.text import printable

AZURE_ROOTS = ("DigiCert_Global_Root_G2", "DigiCert_Global_Root_G3", "Microsoft_RSA_Root_Certificate_Authority_2017")
"""The roots that Microsoft's "TLS support in IoT Hub" page names, as Debian's ca-certificates calls them."""
_MOZILLA = "/usr/share/ca-certificates/mozilla"
_DATES = {9, 10}
"""OpenSSL's verify codes for "not yet valid" and "expired"."""
_NAMES = {62, 63, 64}
"""OpenSSL's verify codes for a host name, e-mail or IP address that does not match."""


def make_context(trusted_roots: str) -> ssl.SSLContext:
    """Return a client context that trusts `system`, `azure` or a PEM file; raises Problem `configuration-invalid`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trusted_roots == "system":
        context.set_default_verify_paths()
    else:
        for path in _root_files(trusted_roots):
            _load_roots(context, path)
    return context


def tls_problem(endpoint: Endpoint, error: ssl.SSLError) -> Problem:
    """Name what failed in a handshake or later in the TLS session."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = printable(error.verify_message or "certificate not accepted")
        code = "tls-wrong-name" if error.verify_code in _NAMES else "intercepted"
        code = "tls-certificate-dates" if error.verify_code in _DATES else code
        return Problem(code, f"{endpoint} presents a certificate that cannot be accepted: {reason}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Problem("connection-lost", f"{endpoint} closed the connection during TLS")
    return Problem("tls-failed", f"TLS with {endpoint} failed: {printable(error.reason or error)}")


def _root_files(trusted_roots: str) -> list[str]:
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
