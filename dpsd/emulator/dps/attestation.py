"""Who a registering device is: its credential is matched with the enrollments. Pure; time comes in.

Order (DPS X.509 attestation page): an individual enrollment first, then groups, from the first intermediate up to the
root; the first match decides, a disabled one too.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509

from dpsd.emulator.dps.enrollments import ClientCertificates, Enrollment, SigningCertificates, SymmetricKeys
from dpsd.emulator.files.certificates import climb, common_name, is_in_dates, is_issued_by, is_self_issued, thumbprints
from dpsd.emulator.world import Authentication, Authorities, Keys, Thumbprints, World
from dpsd.errors import ProtocolError
from dpsd.protocol.login import DpsLogin
from dpsd.protocol.sas import DPS_KEY_NAME, Token, derive_device_key, make_dps_resource, parse_token, verify_token
from dpsd.secret import Secret

KEY_CACHE_SECONDS = 30 * 60


class Credential(NamedTuple):
    """What a device showed: the chain of its TLS handshake, leaf first, and the password of its CONNECT."""

    chain: tuple[x509.Certificate, ...]
    password: Secret


class Match(NamedTuple):
    """The enrollment that takes the device. authentication: how the device will log in to its hub."""

    enrollment: Enrollment
    authentication: Authentication


class RequestError(Exception):
    """A request-level error: topic status, error code and message."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


UNAUTHORIZED = (401, 401000, "Unauthorized")
"""A wrong signature, as seen live over MQTT."""


def authenticate(world: World, login: DpsLogin, credential: Credential, now: float) -> Match:
    """Return the enrollment for this device; raises RequestError."""
    if credential.password:
        return _by_token(world, login, credential.password, now)
    if credential.chain:
        return _by_certificate(world, login.registration_id.lower(), credential.chain, now)
    raise RequestError(401, 401002, "Unauthorized")


def _by_certificate(world: World, name: str, chain: tuple[x509.Certificate, ...], now: float) -> Match:
    leaf = chain[0]
    if not is_in_dates(leaf, now) or common_name(leaf).lower() != name:
        raise RequestError(401, 401002, "Invalid certificate.")
    individual = world.enrollments.individuals.get(name)
    if individual and _holds(individual, leaf):
        return Match(individual, _own_certificates(individual, leaf))
    if individual and world.switches.word("individual-mismatch") == "refuse":
        raise RequestError(401, 401002, "Invalid certificate.")
    return _by_chain(world, chain, now)


def _holds(enrollment: Enrollment, leaf: x509.Certificate) -> bool:
    attestation = enrollment.attestation
    return isinstance(attestation, ClientCertificates) and leaf in attestation.certificates


def _own_certificates(enrollment: Enrollment, leaf: x509.Certificate) -> Thumbprints:
    attestation = enrollment.attestation
    certificates = attestation.certificates if isinstance(attestation, ClientCertificates) else (leaf,)
    return Thumbprints(frozenset().union(*map(thumbprints, certificates)))


def _by_chain(world: World, chain: tuple[x509.Certificate, ...], now: float) -> Match:
    groups = [one for one in world.enrollments.groups.values() if isinstance(one.attestation, SigningCertificates)]

    def group_above(certificate: x509.Certificate) -> Enrollment | None:
        return next((group for group in groups if _issuers(group, certificate, now)), None)

    last = climb(chain, lambda certificate: group_above(certificate) is not None, now)
    group = group_above(last) if last else None
    if group is None:
        raise _not_enrolled(world, chain)
    if world.switches.word("hub-x509-group") == "ca" and isinstance(group.attestation, SigningCertificates):
        return Match(group, Authorities(group.attestation.certificates))
    return Match(group, _own_certificates(group, chain[0]))


def _issuers(group: Enrollment, certificate: x509.Certificate, now: float) -> bool:
    attestation = group.attestation
    return isinstance(attestation, SigningCertificates) and any(
        is_in_dates(issuer, now) and is_issued_by(certificate, issuer) for issuer in attestation.certificates
    )


def _not_enrolled(world: World, chain: tuple[x509.Certificate, ...]) -> RequestError:
    if world.switches.word("unknown-enrollment") == "404":
        return RequestError(404, 404201, "Enrollment not found.")
    if is_self_issued(chain[0]):
        return RequestError(401, 401002, "Invalid certificate.")
    return RequestError(401, 401002, "CA certificate not found.")


def _by_token(world: World, login: DpsLogin, password: Secret, now: float) -> Match:
    token = _checked_token(world, login, password, now)
    individual = world.enrollments.individuals.get(login.registration_id.lower())
    if individual:
        if not isinstance(individual.attestation, SymmetricKeys):
            raise RequestError(401, 401002, "Unauthorized")
        match, slot = _signed(individual, individual.attestation, token)
    else:
        match, slot = _by_group_key(world, login.registration_id, token)
    _check_key_cache(world, login.registration_id.lower(), slot, now)
    return match


def _checked_token(world: World, login: DpsLogin, password: Secret, now: float) -> Token:
    """Check all of a token but its signature."""
    try:
        token = parse_token(password.reveal().decode())
    except (ProtocolError, UnicodeDecodeError):
        raise RequestError(*UNAUTHORIZED) from None
    expected = make_dps_resource(login.id_scope, login.registration_id)
    named = token.key_name in (None, "", DPS_KEY_NAME) or world.switches.word("unknown-key-name") == "accept"
    fresh = token.expiry + world.switches.number("clock-drift") > now
    if token.decode_resource().lower() != expected.lower() or not named or not fresh:
        raise RequestError(*UNAUTHORIZED)
    return token


def _signed(enrollment: Enrollment, keys: SymmetricKeys, token: Token) -> tuple[Match, str]:
    """Return the match and which key signed; raises RequestError when neither did."""
    for slot, key in keys._asdict().items():
        if verify_token(token, key.reveal()):
            return Match(enrollment, Keys(keys.primary, keys.secondary)), slot
    raise RequestError(*UNAUTHORIZED)


def _by_group_key(world: World, registration_id: str, token: Token) -> tuple[Match, str]:
    """Derive from the id as it was presented, then in lower case: which of them DPS uses is not known."""
    groups = [one for one in world.enrollments.groups.values() if isinstance(one.attestation, SymmetricKeys)]
    for group in groups:
        for spelling in dict.fromkeys((registration_id, registration_id.lower())):
            try:
                return _signed(group, _derived(group.attestation, spelling), token)
            except RequestError:
                continue
    choice = world.switches.word("unknown-enrollment")
    if choice == "404" or (choice == "by-type" and not groups):
        raise RequestError(404, 404201, "Enrollment not found.")
    raise RequestError(*UNAUTHORIZED)


def _derived(attestation: object, registration_id: str) -> SymmetricKeys:
    assert isinstance(attestation, SymmetricKeys)
    return SymmetricKeys(*(Secret(derive_device_key(key.reveal(), registration_id)) for key in attestation))


def _check_key_cache(world: World, name: str, slot: str, now: float) -> None:
    """Refuse the other key within 30 minutes of the last, where the switch says so; maintainers call it expected."""
    last, when = world.last_keys.get(name, (slot, now))
    if world.switches.word("key-cache") == "on" and last != slot and now - when < KEY_CACHE_SECONDS:
        raise RequestError(401, 401002, "Unauthorized")
    world.last_keys[name] = (slot, now)
