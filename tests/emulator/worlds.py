"""Worlds for tests of the pure parts: an id scope, two hubs, and whatever enrollments a test adds."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from typing import Any

from cryptography import x509

from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.dps.enrollments import parse_enrollments
from dpsd.emulator.files.authority import Issued
from dpsd.emulator.switches import Switches
from dpsd.emulator.world import World
from dpsd.protocol.login import DpsLogin
from dpsd.protocol.sas import make_dps_resource
from dpsd.secret import Secret
from dpsd.shape import Table
from tests.emulator.device import token

SCOPE = "0ne00TEST01"
NOW = float(int(time.time()))
KEY = base64.b64encode(b"a primary key of 32 bytes ......").decode()
OTHER_KEY = base64.b64encode(b"a secondary key of 32 bytes ....").decode()
WRONG_KEY = base64.b64encode(b"a key that nobody has enrolled .").decode()


def world(*individuals: dict[str, Any], groups: Iterable[dict[str, Any]] = (), **more: Any) -> World:
    """Make a world with the hubs hub-a and hub-b; `switches` is a list of NAME=VALUE."""
    switches = Switches(more.pop("switches", ()))
    document = {
        "idScope": SCOPE,
        "linkedHubs": [{"name": "hub-a"}, {"name": "hub-b"}],
        "individualEnrollments": list(individuals),
        "enrollmentGroups": list(groups),
        **more,
    }
    return World(parse_enrollments(Table(document)), ["hub-a", "hub-b"], switches, seed=1)


def individual_key(registration_id: str = "pi", **more: Any) -> dict[str, Any]:
    return {"registrationId": registration_id, "attestation": _keys(), **more}


def group_key(group_id: str = "fleet", **more: Any) -> dict[str, Any]:
    return {"enrollmentGroupId": group_id, "attestation": _keys(), **more}


def _keys() -> dict[str, Any]:
    return {"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY, "secondaryKey": OTHER_KEY}}


def individual_x509(device: Issued, registration_id: str = "pi", **more: Any) -> dict[str, Any]:
    attestation = {"type": "x509", "x509": {"clientCertificates": {"primary": device.pem()}}}
    return {"registrationId": registration_id, "attestation": attestation, **more}


def group_x509(authority: Issued, group_id: str = "fleet", **more: Any) -> dict[str, Any]:
    attestation = {"type": "x509", "x509": {"signingCertificates": {"primary": authority.pem()}}}
    return {"enrollmentGroupId": group_id, "attestation": attestation, **more}


def login(registration_id: str = "pi", scope: str = SCOPE) -> DpsLogin:
    return DpsLogin(scope, registration_id, "2019-03-31")


def with_key(key: str, registration_id: str = "pi", expiry: float = NOW + 3600, name: str | None = None) -> Credential:
    made = token(make_dps_resource(SCOPE, registration_id), key, int(expiry), name)
    return Credential((), Secret(made.encode()))


def with_chain(*chain: Issued | x509.Certificate) -> Credential:
    found = tuple(one.certificate if isinstance(one, Issued) else one for one in chain)
    return Credential(found, Secret(b""))
