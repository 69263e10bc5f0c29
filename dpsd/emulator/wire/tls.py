"""TLS on the server's side, over an asyncio TCP stream.

Like the real service, it asks for a client certificate, and takes any or none: MQTT decides who the device is. The
standard library's ssl ends the handshake on a certificate that it cannot verify, so this drives OpenSSL through
pyOpenSSL, with memory buffers.

Source of versions and suites: Microsoft's page "TLS support in DPS": TLS 1.2, eight ECDHE suites.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

from cryptography import x509
from OpenSSL import SSL

SUITES = ":".join(
    f"ECDHE-{signature}-AES{bits}-{mode}"
    for signature in ("ECDSA", "RSA")
    for bits, mode in ((256, "GCM-SHA384"), (128, "GCM-SHA256"), (256, "SHA384"), (128, "SHA256"))
)
OLD_SUITES = "ECDHE+AES:@SECLEVEL=0"
"""For TLS 1.0 and 1.1, which OpenSSL 3 and later speak at security level 0 only. TLS 1.3 has suites of its own."""
CHUNK = 64 * 1024
"""Bytes that are moved at once."""
VERSIONS = {
    "1.0": SSL.TLS1_VERSION,
    "1.1": SSL.TLS1_1_VERSION,
    "1.2": SSL.TLS1_2_VERSION,
    "1.3": SSL.TLS1_3_VERSION,
}


class Offer(NamedTuple):
    """What the server offers in the handshake.

    certificate: the name of its own. version: the only one that it speaks. trust: `any` takes every client, whatever
    its certificate; `none` refuses every client.
    """

    certificate: str = "valid"
    version: str = "1.2"
    trust: str = "any"


class TlsError(ConnectionError):
    """The handshake or a record failed; the message is OpenSSL's reason."""


def open_context(certificate_file: str, key_file: str, offer: Offer) -> SSL.Context:
    """Return a server's context. certificate_file: PEM, the server's certificate first."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(VERSIONS[offer.version])
    context.set_max_proto_version(VERSIONS[offer.version])
    context.set_cipher_list((SUITES if offer.version == "1.2" else OLD_SUITES).encode())
    context.use_certificate_chain_file(certificate_file)
    context.use_privatekey_file(key_file)
    if offer.trust == "none":
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: False)
    else:
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    # A resumed session would not carry the client's chain.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context


class TlsStream:
    """One connection: `open` it, then read and write plain bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: SSL.Context) -> None:
        self._reader = reader
        self._writer = writer
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()

    async def open(self) -> None:
        """Do the handshake; raises TlsError, or ConnectionError when the peer goes away."""
        while True:
            try:
                self._tls.do_handshake()
                await self._flush()
                return
            except SSL.WantReadError:
                await self._flush()
                if not await self._receive_bytes():
                    raise TlsError("the peer left in the handshake") from None
            except SSL.Error as error:
                await self._flush()
                raise TlsError(_describe(error)) from None

    def read_peer_chain(self) -> tuple[x509.Certificate, ...]:
        """Return the client's certificates, its own first; none when it sent none. Raises TlsError."""
        leaf = self._tls.get_peer_certificate()
        if leaf is None:
            return ()
        certificates = [leaf, *(self._tls.get_peer_cert_chain() or [])]
        try:
            return tuple(dict.fromkeys(certificate.to_cryptography() for certificate in certificates))
        except (ValueError, x509.InvalidVersion):
            raise TlsError("a client certificate that cannot be read") from None

    async def read(self) -> bytes:
        """Return the next bytes, or none at the end; raises ConnectionError."""
        while True:
            try:
                return self._tls.recv(CHUNK)
            except SSL.WantReadError:
                await self._flush()
                if not await self._receive_bytes():
                    return b""
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise TlsError(_describe(error)) from None

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises ConnectionError."""
        self.queue(data)
        await self._writer.drain()

    def queue(self, data: bytes) -> None:
        """Encrypt all of `data` and give it to the transport, which sends it later; raises TlsError."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._tls.send(view[:CHUNK]) :]
            except SSL.Error as error:
                raise TlsError(_describe(error)) from None
            self._queue_records()

    def close(self) -> None:
        """End TLS, then TCP."""
        with suppress(SSL.Error):  # Raised where no handshake was finished.
            self._tls.shutdown()
        self._queue_records()
        self._writer.close()

    async def _flush(self) -> None:
        self._queue_records()
        await self._writer.drain()

    def _queue_records(self) -> None:
        with suppress(SSL.WantReadError):
            while True:
                self._writer.write(self._tls.bio_read(CHUNK))

    async def _receive_bytes(self) -> bool:
        data = await self._reader.read(CHUNK)
        if data:
            self._tls.bio_write(data)
        return bool(data)


def _describe(error: SSL.Error) -> str:
    queue = error.args[0] if error.args else ()
    return str(queue[0][2]) if queue and isinstance(queue, list) else type(error).__name__
