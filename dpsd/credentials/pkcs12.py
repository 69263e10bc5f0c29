"""A certificate with its chain and its private key from a PKCS#12 file."""

from __future__ import annotations

import signal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from dpsd.credentials.credential import Material
from dpsd.errors import Problem
from dpsd.keys.seal import parse_body, render_body
from dpsd.secret import Secret
from dpsd.system.process import run_in_child
from dpsd.text import printable

TIME_LIMIT = 20
"""Seconds; usual files take some hundredths."""


def parse_in_time(data: bytes, passphrase: bytes | None, path: str, limit: float = TIME_LIMIT) -> Material:
    """Parse in a process of its own: how long that takes, the file says, and nothing else ends it. Raises as below."""

    def parse() -> bytes:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit)
        return render_body(_parts(data, passphrase, path))

    body, wrong = run_in_child(parse), f"{printable(path)} takes more than {limit} s to be opened"
    parts = parse_body(body) if body else {"wrong": wrong.encode()}
    if "wrong" in parts:
        raise Problem("credential-invalid", parts["wrong"].decode())
    return Material(certificate=parts["certificate"], private_key=Secret(parts["private_key"]))


def _parts(data: bytes, passphrase: bytes | None, path: str) -> dict[str, bytes]:
    try:
        certificate, key, *_ = parse_pkcs12(data, passphrase, path)
    except Problem as problem:
        return {"wrong": problem.sentence.encode()}
    assert certificate and key
    return {"certificate": certificate, "private_key": key.reveal()}


def parse_pkcs12(data: bytes, passphrase: bytes | None, path: str) -> Material:
    """Return the pair as PEM, the leaf first; raises Problem `credential-invalid`, which names `path`.

    The file keeps no order of its certificates, so this puts each before its issuer.
    """
    shown = printable(path)
    try:
        key, leaf, others = load_key_and_certificates(data, passphrase)
        if key is None or leaf is None:
            raise Problem("credential-invalid", f"{shown} does not hold a private key with its certificate")
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in _in_order(leaf, others))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except Problem:
        raise
    except Exception:  # a wrong passphrase and a broken file look alike; and there is no root for what else is raised
        raise Problem("credential-invalid", f"{shown} is broken, or its passphrase is another one") from None
    return Material(certificate=chain, private_key=Secret(pem))


def _in_order(leaf: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    chain, left = [leaf], list(others)
    while found := [one for one in left if one.subject == chain[-1].issuer]:
        chain.append(found[0])
        left.remove(found[0])
    return chain
