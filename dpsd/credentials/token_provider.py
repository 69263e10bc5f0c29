"""OpenSSL's pkcs11-provider in this process, so that ssl takes a key that stays on its token.

OpenSSL is configured from memory, after it has started: the system's configuration stays in force, no file holds
anything, and only an attempt that uses a token has the provider. Sources: config(5), OSSL_PROVIDER-PKCS11(7).
"""

from __future__ import annotations

import _ssl
import base64
import ctypes
import os
import re
from ctypes import c_char_p, c_int, c_ulong, c_void_p

from dpsd.errors import Problem

_CONFIGURATION = """\
openssl_conf = dpsd
[dpsd]
providers = providers
[providers]
default = default_provider
pkcs11 = pkcs11_provider
[default_provider]
activate = 1
[pkcs11_provider]
pkcs11-module-path = {module}
pkcs11-module-quirks = no-deinit
{pin}
activate = 1
"""
"""Naming one provider would leave the process without the default one. no-deinit: SoftHSM crashes at exit else."""
_FUNCTIONS = {
    "BIO_new_mem_buf": (c_void_p, (c_char_p, c_int)),
    "NCONF_new": (c_void_p, (c_void_p,)),
    "NCONF_load_bio": (c_int, (c_void_p, c_void_p, c_void_p)),
    "CONF_modules_load": (c_int, (c_void_p, c_char_p, c_ulong)),
    "OSSL_PROVIDER_available": (c_int, (c_void_p, c_char_p)),
    "ERR_clear_error": (None, ()),
}
_DESCRIPTION = b"PKCS#11 Provider URI v1.0"
_LABEL = "PKCS#11 PROVIDER URI"


def load_provider(module: str, pin_file: str | None) -> None:
    """Load the provider for a PKCS#11 module; it reads the PIN from `pin_file` at once. At most once in a process.

    Raises Problem `token-unusable`.
    """
    crypto = _libcrypto()
    pin = f"pkcs11-module-token-pin = file:{pin_file}" if pin_file else ""
    text = _CONFIGURATION.format(module=re.sub(r"([$#])", r"\\\1", module), pin=pin).encode()
    configuration = c_void_p(crypto.NCONF_new(None))
    crypto.NCONF_load_bio(configuration, c_void_p(crypto.BIO_new_mem_buf(text, len(text))), None)
    crypto.CONF_modules_load(configuration, None, 0)
    crypto.ERR_clear_error()
    if not crypto.OSSL_PROVIDER_available(None, b"pkcs11"):
        raise Problem("token-unusable", "OpenSSL cannot load its pkcs11-provider for the PKCS#11 module")


def render_key(uri: str) -> bytes:
    """Return the PEM that stands for a key on a token: DER of a description and the URI."""
    der = _der(0x30, _der(0x1A, _DESCRIPTION) + _der(0x0C, uri.encode()))
    return f"-----BEGIN {_LABEL}-----\n{base64.encodebytes(der).decode()}-----END {_LABEL}-----\n".encode()


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _libcrypto() -> ctypes.CDLL:
    """Return the very library that ssl uses, found among those that its extension module was linked with."""
    library = ctypes.CDLL(_ssl.__file__ or None, mode=os.RTLD_NOW)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
