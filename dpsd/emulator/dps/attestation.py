"""Finds the enrollment of a device by its credential. Pure: `now`, in seconds since 1970, is handed in.

Source of the order: Microsoft's page on X.509 attestation. An individual enrollment comes first, then the groups, from
the lowest intermediate up to the root; the first match decides, even if it is disabled.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509

from dpsd.emulator.dps.enrollments import ClientCertificates, Enrollment, SigningCertificates, SymmetricKeys
from dpsd.emulator.files.certificates import (
    follow_chain,
    get_thumbprints,
    is_in_dates,
    is_issued_by,
    is_self_issued,
    read_common_name,
)
from dpsd.emulator.world import Authentication, Authorities, Keys, Thumbprints, World
from dpsd.errors import ProtocolError
from dpsd.protocol.login import DpsLogin
from dpsd.protocol.sas import DPS_KEY_NAME, Token, derive_device_key, make_dps_resource, parse_token, verify_token
from dpsd.secret import Secret

KEY_CACHE_SECONDS = 30 * 60


class Credential(NamedTuple):
    """chain: the device's certificates in its TLS handshake, its own first. password: of its CONNECT; may be empty."""

    chain: tuple[x509.Certificate, ...]
    password: Secret


class Match(NamedTuple):
    """The device's enrollment. authentication: how the device will log in to its hub."""

    enrollment: Enrollment
    authentication: Authentication


class RequestError(Exception):
    """A request is answered with an error. status: in the topic; error_code, message: in the body."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


UNAUTHORIZED = (401, 401000, "Unauthorized")
"""The answer to a wrong signature, as seen live over MQTT."""


def authenticate(world: World, login: DpsLogin, credential: Credential, now: float) -> Match:
    """Return the match for this device's credential; raises RequestError."""
    if credential.password:
        return _match_token(world, login, credential.password, now)
    if credential.chain:
        return _match_certificate(world, login.registration_id.lower(), credential.chain, now)
    raise RequestError(401, 401002, "Unauthorized")


def _match_certificate(world: World, name: str, chain: tuple[x509.Certificate, ...], now: float) -> Match:
    leaf = chain[0]
    if not is_in_dates(leaf, now) or read_common_name(leaf).lower() != name:
        raise RequestError(401, 401002, "Invalid certificate.")
    individual = world.enrollments.individuals.get(name)
    if individual and _has_certificate(individual, leaf):
        return Match(individual, _make_thumbprints(individual, leaf))
    if individual and world.switches.get_word("individual-mismatch") == "refuse":
        raise RequestError(401, 401002, "Invalid certificate.")
    return _match_chain(world, chain, now)


def _has_certificate(enrollment: Enrollment, leaf: x509.Certificate) -> bool:
    attestation = enrollment.attestation
    return isinstance(attestation, ClientCertificates) and leaf in attestation.certificates


def _make_thumbprints(enrollment: Enrollment, leaf: x509.Certificate) -> Thumbprints:
    attestation = enrollment.attestation
    certificates = attestation.certificates if isinstance(attestation, ClientCertificates) else (leaf,)
    return Thumbprints(frozenset().union(*map(get_thumbprints, certificates)))


def _match_chain(world: World, chain: tuple[x509.Certificate, ...], now: float) -> Match:
    groups = [one for one in world.enrollments.groups.values() if isinstance(one.attestation, SigningCertificates)]

    def find_issuing_group(certificate: x509.Certificate) -> Enrollment | None:
        return next((group for group in groups if _has_issuer(group, certificate, now)), None)

    last = follow_chain(chain, lambda certificate: find_issuing_group(certificate) is not None, now)
    group = find_issuing_group(last) if last else None
    if group is None:
        raise _make_refusal(world, chain)
    if world.switches.get_word("hub-x509-group") == "ca" and isinstance(group.attestation, SigningCertificates):
        return Match(group, Authorities(group.attestation.certificates))
    return Match(group, _make_thumbprints(group, chain[0]))


def _has_issuer(group: Enrollment, certificate: x509.Certificate, now: float) -> bool:
    attestation = group.attestation
    return isinstance(attestation, SigningCertificates) and any(
        is_in_dates(issuer, now) and is_issued_by(certificate, issuer) for issuer in attestation.certificates
    )


def _make_refusal(world: World, chain: tuple[x509.Certificate, ...]) -> RequestError:
    if world.switches.get_word("unknown-enrollment") == "404":
        return RequestError(404, 404201, "Enrollment not found.")
    if is_self_issued(chain[0]):
        return RequestError(401, 401002, "Invalid certificate.")
    return RequestError(401, 401002, "CA certificate not found.")


def _match_token(world: World, login: DpsLogin, password: Secret, now: float) -> Match:
    token = _parse_token(world, login, password, now)
    individual = world.enrollments.individuals.get(login.registration_id.lower())
    if individual:
        if not isinstance(individual.attestation, SymmetricKeys):
            raise RequestError(401, 401002, "Unauthorized")
        match, slot = _match_signature(individual, individual.attestation, token)
    else:
        match, slot = _match_group_key(world, login.registration_id, token)
    _check_key_cache(world, login.registration_id.lower(), slot, now)
    return match


def _parse_token(world: World, login: DpsLogin, password: Secret, now: float) -> Token:
    """Parse a token and check all but its signature; raises RequestError."""
    try:
        token = parse_token(password.reveal().decode())
    except (ProtocolError, UnicodeDecodeError):
        raise RequestError(*UNAUTHORIZED) from None
    expected = make_dps_resource(login.id_scope, login.registration_id)
    named = token.key_name in (None, "", DPS_KEY_NAME) or world.switches.get_word("unknown-key-name") == "accept"
    fresh = token.expiry + world.switches.get_number("clock-drift") > now
    if token.decode_resource().lower() != expected.lower() or not named or not fresh:
        raise RequestError(*UNAUTHORIZED)
    return token


def _match_signature(enrollment: Enrollment, keys: SymmetricKeys, token: Token) -> tuple[Match, str]:
    """Return the match and the name of the key that signed the token; raises RequestError when neither did."""
    for slot, key in keys._asdict().items():
        if verify_token(token, key.reveal()):
            return Match(enrollment, Keys(keys.primary, keys.secondary)), slot
    raise RequestError(*UNAUTHORIZED)


def _match_group_key(world: World, registration_id: str, token: Token) -> tuple[Match, str]:
    groups = [one for one in world.enrollments.groups.values() if isinstance(one.attestation, SymmetricKeys)]
    for group in groups:
        # It is not known which spelling DPS derives the key from.
        for spelling in dict.fromkeys((registration_id, registration_id.lower())):
            try:
                return _match_signature(group, _derive_keys(group.attestation, spelling), token)
            except RequestError:
                continue
    choice = world.switches.get_word("unknown-enrollment")
    if choice == "404" or (choice == "by-type" and not groups):
        raise RequestError(404, 404201, "Enrollment not found.")
    raise RequestError(*UNAUTHORIZED)


def _derive_keys(attestation: object, registration_id: str) -> SymmetricKeys:
    assert isinstance(attestation, SymmetricKeys)
    return SymmetricKeys(*(Secret(derive_device_key(key.reveal(), registration_id)) for key in attestation))


def _check_key_cache(world: World, name: str, slot: str, now: float) -> None:
    """Remember which key was used; with the switch `key-cache` the other is refused for 30 minutes (RequestError)."""
    last, when = world.last_keys.get(name, (slot, now))
    if world.switches.get_word("key-cache") == "on" and last != slot and now - when < KEY_CACHE_SECONDS:
        raise RequestError(401, 401002, "Unauthorized")
    world.last_keys[name] = (slot, now)
