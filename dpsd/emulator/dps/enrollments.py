"""Parses enrollments from a JSON document with the names of the service API. Pure.

Source of the names: the DPS service REST specification, stable 2021-10-01. Names that begin with `x-` are the
emulator's own: `x-allocation` is what a custom allocation's webhook answers, `x-unauthorized` a hub that refuses DPS.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from cryptography import x509

from dpsd.errors import ProtocolError
from dpsd.protocol.identifiers import is_device_id, is_id_scope
from dpsd.protocol.sas import parse_key
from dpsd.secret import Secret
from dpsd.shape import ShapeError, Table

ID_SCOPE = "0ne00C0FFEE"
POLICIES = ("hashed", "geoLatency", "static", "custom")
WEIGHT_LIMIT = 1000

_T = TypeVar("_T")


class ClientCertificates(NamedTuple):
    """An individual device's certificates, primary and secondary."""

    certificates: tuple[x509.Certificate, ...]


class SigningCertificates(NamedTuple):
    """The certificate authorities of a group."""

    certificates: tuple[x509.Certificate, ...]


class SymmetricKeys(NamedTuple):
    """The keys of a device, or those that the keys of a group's devices are derived from."""

    primary: Secret
    secondary: Secret


Attestation = ClientCertificates | SigningCertificates | SymmetricKeys


class Reprovision(NamedTuple):
    """What happens to a device that registers again."""

    update_hub: bool
    migrate_data: bool


class Webhook(NamedTuple):
    """What the webhook of a custom allocation answers. hub: None leaves the choice to `hashed`. status: of HTTP."""

    hub: str | None
    payload: dict[str, Any] | None
    initial_twin: dict[str, Any] | None
    status: int


class Enrollment(NamedTuple):
    """One enrollment. id: a registration id in lower case, or a group's id."""

    id: str
    is_group: bool
    attestation: Attestation
    device_id: str | None
    enabled: bool
    policy: str
    hubs: tuple[str, ...]
    reprovision: Reprovision
    initial_twin: dict[str, Any]
    iot_edge: bool
    webhook: Webhook


class LinkedHub(NamedTuple):
    """A hub that DPS may assign. weight: 1 to 1000. applies: whether allocation policies consider it."""

    name: str
    weight: int
    applies: bool
    refuses_dps: bool


class Enrollments(NamedTuple):
    """All that a document says, by name or id."""

    id_scope: str
    hubs: dict[str, LinkedHub]
    individuals: dict[str, Enrollment]
    groups: dict[str, Enrollment]


_IGNORED = ("etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "optionalDeviceInformation")
_ENROLLMENT = (
    *(
        "attestation",
        "capabilities",
        "iotHubHostName",
        "initialTwin",
        "provisioningStatus",
        "reprovisionPolicy",
    ),
    *("allocationPolicy", "iotHubs", "customAllocationDefinition", "x-allocation", *_IGNORED),
)
_DOCUMENT = (
    "idScope",
    "allocationPolicy",
    "linkedHubs",
    "certificates",
    "individualEnrollments",
    "enrollmentGroups",
)


def merge(first: dict[str, Any], second: Table) -> dict[str, Any]:
    """Return `first` with `second` put over it: lists entry by entry, by the entry's id, and entries key by key.

    Raises ShapeError.
    """
    merged = {**first, **second.values}
    for key, identity in (
        ("individualEnrollments", "registrationId"),
        ("enrollmentGroups", "enrollmentGroupId"),
        ("linkedHubs", "name"),
        ("certificates", "name"),
    ):
        entries = {str(entry[identity]).lower(): entry for entry in first.get(key, ())}
        for table in second.tables(key):
            name = table.string(identity).lower()
            entries[name] = {**entries.get(name, {}), **table.values}
        merged[key] = list(entries.values())
    return merged


def parse_enrollments(document: Table) -> Enrollments:
    """Parse a document; raises ShapeError with the dotted path of what is wrong."""
    document.check_names(_DOCUMENT)
    scope = document.optional_string("idScope") or ID_SCOPE
    if not is_id_scope(scope):
        raise ShapeError("idScope: is not an id scope")
    authorities = dict(_parse_authority(table) for table in document.tables("certificates"))
    policy = _parse_policy(document, POLICIES[0])
    reader = _Reader(authorities, policy)
    hubs = {hub.name: hub for hub in map(_parse_linked_hub, document.tables("linkedHubs"))}
    individuals = [reader.parse_individual(table) for table in document.tables("individualEnrollments")]
    groups = [reader.parse_group(table) for table in document.tables("enrollmentGroups")]
    return Enrollments(scope, hubs, {one.id: one for one in individuals}, {one.id: one for one in groups})


def _parse_authority(table: Table) -> tuple[str, x509.Certificate | None]:
    """Return name and certificate of an uploaded CA certificate; None until somebody has proved to have its key."""
    table.check_names(("name", "certificate", "isVerified", *_IGNORED))
    certificate = _parse_certificate(table, "certificate")
    return table.string("name"), None if table.optional_boolean("isVerified") is False else certificate


def _parse_linked_hub(table: Table) -> LinkedHub:
    table.check_names(("name", "allocationWeight", "applyAllocationPolicy", "x-unauthorized"))
    weight = table.optional_integer("allocationWeight")
    if weight is not None and not 1 <= weight <= WEIGHT_LIMIT:
        raise ShapeError(f"{table.path}.allocationWeight: is not 1 to {WEIGHT_LIMIT}")
    applies = table.optional_boolean("applyAllocationPolicy") is not False
    return LinkedHub(table.string("name").lower(), weight or 1, applies, bool(table.optional_boolean("x-unauthorized")))


class _Reader:
    """Parses entries. authorities: the uploaded CA certificates. policy: of entries that name none."""

    def __init__(self, authorities: dict[str, x509.Certificate | None], policy: str) -> None:
        self._authorities = authorities
        self._policy = policy

    def parse_individual(self, table: Table) -> Enrollment:
        table.check_names(("registrationId", "deviceId", *_ENROLLMENT))
        device_id = table.optional_string("deviceId")
        if device_id is not None and not is_device_id(device_id):
            raise ShapeError(f"{table.path}.deviceId: is not a device id")
        attestation = self._parse_attestation(table, group=False)
        return self._parse_enrollment(table, table.string("registrationId").lower(), attestation, device_id)

    def parse_group(self, table: Table) -> Enrollment:
        table.check_names(("enrollmentGroupId", *_ENROLLMENT))
        group_id, attestation = table.string("enrollmentGroupId"), self._parse_attestation(table, group=True)
        return self._parse_enrollment(table, group_id, attestation, None)._replace(is_group=True)

    def _parse_enrollment(self, table: Table, name: str, attestation: Attestation, device_id: str | None) -> Enrollment:
        host = table.optional_string("iotHubHostName")
        listed = tuple(_parse_strings(table, "iotHubs")) or ((host,) if host else ())
        return Enrollment(
            id=name,
            is_group=False,
            attestation=attestation,
            device_id=device_id,
            enabled=_parse_word(table, "provisioningStatus", ("enabled", "disabled"), "enabled") == "enabled",
            policy=_parse_policy(table, self._policy),
            hubs=tuple(hub.lower() for hub in listed),
            reprovision=_parse_reprovision(table),
            initial_twin=_parse_initial_twin(table),
            iot_edge=bool(_get_section(table, "capabilities", ("iotEdge",)).optional_boolean("iotEdge")),
            webhook=_parse_webhook(table),
        )

    def _parse_attestation(self, table: Table, *, group: bool) -> Attestation:
        attestation = table.table("attestation")
        attestation.check_names(("type", "x509", "symmetricKey"))
        if _parse_word(attestation, "type", ("x509", "symmetricKey")) == "x509":
            return self._parse_x509(attestation.table("x509"), group=group)
        keys = attestation.table("symmetricKey")
        keys.check_names(("primaryKey", "secondaryKey"))
        return SymmetricKeys(_parse_key(keys, "primaryKey"), _parse_key(keys, "secondaryKey"))

    def _parse_x509(self, table: Table, *, group: bool) -> ClientCertificates | SigningCertificates:
        table.check_names(("signingCertificates", "caReferences") if group else ("clientCertificates",))
        if not group:
            return ClientCertificates(tuple(_parse_pair(table.table("clientCertificates"), _parse_certificate)))
        if table.optional_table("caReferences") is None:
            return SigningCertificates(tuple(_parse_pair(table.table("signingCertificates"), _parse_certificate)))
        found = _parse_pair(table.table("caReferences"), self._find_authority)
        return SigningCertificates(tuple(certificate for certificate in found if certificate))

    def _find_authority(self, table: Table, key: str) -> x509.Certificate | None:
        name = table.string(key)
        if name not in self._authorities:
            raise ShapeError(f"{table.path}.{key}: names no certificate of `certificates`")
        return self._authorities[name]


def _parse_pair(table: Table, read: Callable[[Table, str], _T]) -> Iterator[_T]:
    table.check_names(("primary", "secondary"))
    for key in ("primary", "secondary"):
        if table.values.get(key) is not None:
            yield read(table, key)


def _parse_certificate(table: Table, key: str) -> x509.Certificate:
    """Parse PEM or base64 of DER, as a string or as {"certificate": "..."}; raises ShapeError."""
    if isinstance(table.values.get(key), dict):
        return _parse_certificate(table.table(key), "certificate")
    text = table.string(key)
    try:
        if "-----BEGIN" in text:
            return x509.load_pem_x509_certificate(text.encode())
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except (ValueError, x509.InvalidVersion):
        raise ShapeError(f"{table.path}.{key}: is not a certificate in PEM or base64 DER") from None


def _parse_key(table: Table, key: str) -> Secret:
    try:
        return Secret(parse_key(table.string(key).encode(errors="replace")))
    except ProtocolError as error:
        raise ShapeError(f"{table.path}.{key}: {error}") from None


def _parse_reprovision(table: Table) -> Reprovision:
    policy = _get_section(table, "reprovisionPolicy", ("updateHubAssignment", "migrateDeviceData"))
    update, migrate = (
        policy.optional_boolean("updateHubAssignment"),
        policy.optional_boolean("migrateDeviceData"),
    )
    return Reprovision(update is not False, migrate is not False)


def _parse_initial_twin(table: Table) -> dict[str, Any]:
    twin = _get_section(table, "initialTwin", ("tags", "properties"))
    properties = _get_section(twin, "properties", ("desired",))
    tags, desired = twin.optional_table("tags"), properties.optional_table("desired")
    return {"tags": dict(tags.values) if tags else {}, "desired": dict(desired.values) if desired else {}}


def _parse_webhook(table: Table) -> Webhook:
    answer = _get_section(table, "x-allocation", ("iotHubHostName", "payload", "initialTwin", "statusCode"))
    hub, payload = answer.optional_string("iotHubHostName"), answer.optional_table("payload")
    twin = _parse_initial_twin(answer) if answer.values.get("initialTwin") is not None else None
    status = answer.optional_integer("statusCode") or 200
    return Webhook(hub.lower() if hub else None, dict(payload.values) if payload else None, twin, status)


def _get_section(table: Table, key: str, names: tuple[str, ...]) -> Table:
    section = table.optional_table(key) or Table({}, f"{table.path}.{key}")
    section.check_names(names)
    return section


def _parse_policy(table: Table, default: str) -> str:
    return _parse_word(table, "allocationPolicy", POLICIES, default)


def _parse_word(table: Table, key: str, words: tuple[str, ...], default: str | None = None) -> str:
    if default is not None and table.values.get(key) is None:
        return default
    word = table.string(key)
    if word not in words:
        raise ShapeError(f"{table.path}.{key}: is not one of {', '.join(words)}")
    return word


def _parse_strings(table: Table, key: str) -> Iterator[str]:
    for index, value in enumerate(table.list(key) if table.values.get(key) is not None else ()):
        if not isinstance(value, str):
            raise ShapeError(f"{table.path}.{key}[{index}]: is not a string")
        yield value
