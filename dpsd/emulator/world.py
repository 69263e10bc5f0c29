"""The world: enrollments, registrations, operations, hubs and their devices, in plain attributes. No I/O.

Times are seconds since 1970, and are handed in. New ids come from a seed, so that a test can have the same ones again.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from cryptography import x509

from dpsd.emulator.dps.enrollments import Enrollments
from dpsd.emulator.switches import Switches
from dpsd.protocol.hub import Bag
from dpsd.secret import Secret

MESSAGES_KEPT = 1000
"""Device-to-cloud messages kept for each device."""


@dataclass(frozen=True)
class Keys:
    """A device logs in to its hub by a token that one of these keys signed."""

    primary: Secret
    secondary: Secret


@dataclass(frozen=True)
class Thumbprints:
    """A device logs in by a certificate with one of these thumbprints: SHA-1 or SHA-256, upper-case hexadecimal."""

    values: frozenset[str]


@dataclass(frozen=True)
class Authorities:
    """A device logs in by any certificate that has its id as name and was issued below one of these."""

    certificates: tuple[x509.Certificate, ...]


Authentication = Keys | Thumbprints | Authorities


@dataclass(frozen=True)
class Telemetry:
    """A device-to-cloud message. received: seconds since 1970."""

    received: float
    properties: Bag
    body: bytes


@dataclass
class Section:
    """The desired or reported half of a twin; each change adds 1 to its version."""

    properties: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the half as a device reads it."""
        return {**self.properties, "$version": self.version}


@dataclass
class HubDevice:
    """A device that is registered in a hub. session: the subscriptions kept for CleanSession 0, or None."""

    device_id: str
    authentication: Authentication
    enabled: bool = True
    iot_edge: bool = False
    tags: dict[str, Any] = field(default_factory=dict)
    desired: Section = field(default_factory=Section)
    reported: Section = field(default_factory=Section)
    messages: deque[Telemetry] = field(default_factory=lambda: deque(maxlen=MESSAGES_KEPT))
    session: dict[str, int] | None = None
    disconnect: Callable[[], None] | None = None
    """Ends the device's connection; None while it has none."""


@dataclass
class Hub:
    """An IoT Hub. devices: by their id, which is case-sensitive."""

    name: str
    devices: dict[str, HubDevice] = field(default_factory=dict)


@dataclass
class Registration:
    """What DPS remembers of a registration id, which is in lower case. payload: of the last register request."""

    registration_id: str
    created: float
    updated: float
    status: str
    etag: str
    attestation: dict[str, Any]
    hub: str = ""
    device_id: str = ""
    substatus: str = ""
    error_code: int | None = None
    error_message: str = ""
    payload: dict[str, Any] | None = None
    answer_payload: dict[str, Any] | None = None


@dataclass
class Operation:
    """A registration in progress. polls_left: polls that are answered `assigning` before its outcome."""

    operation_id: str
    registration: Registration
    started: float
    polls_left: int
    finished: bool = False


class World:
    """One DPS with its linked hubs. hubs: their names. seed: for new ids; None takes any."""

    def __init__(
        self, enrollments: Enrollments, hubs: Iterable[str], switches: Switches, seed: int | None = None
    ) -> None:
        self.enrollments = enrollments
        self.switches = switches
        self.hubs = {name.lower(): Hub(name.lower()) for name in hubs}
        self.registrations: dict[str, Registration] = {}
        self.operations: dict[str, Operation] = {}
        self.last_operations: dict[str, Operation] = {}
        self.registers: deque[float] = deque()
        self.polls: dict[str, deque[float]] = {}
        self.last_keys: dict[str, tuple[str, float]] = {}
        self._random = random.Random(seed)

    def find_hub(self, name: str) -> Hub | None:
        """Return the hub with this host name, or None; `name.device.zone` and `name.zone` mean the same hub."""
        name = name.lower()
        wanted = {name, _strip_device_label(name)}
        return next((hub for hub in self.hubs.values() if wanted & {hub.name, _strip_device_label(hub.name)}), None)

    def make_guid(self) -> str:
        """Return a new random UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def make_operation_id(self) -> str:
        """Return a new id in the form seen live: a digit, 16 hexadecimal digits and a guid, 55 characters together."""
        return f"5.{self._random.getrandbits(64):016x}.{self.make_guid()}"

    def make_etag(self) -> str:
        """Return a new etag, which is base64 of a guid in quotes, as the service's are."""
        return base64.b64encode(f'"{self.make_guid()}"'.encode()).decode()


def format_timestamp(now: float) -> str:
    """Return the time as the service writes it: UTC with seven fractional digits. now: seconds since 1970."""
    seconds, fraction = divmod(round(now * 10_000_000), 10_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def _strip_device_label(name: str) -> str:
    host, _, zone = name.partition(".")
    return f"{host}.{zone.removeprefix('device.')}" if zone.startswith("device.") else name


def derive_device_name(name: str) -> str:
    """Return a hub's second name for devices, `hub.device.zone`; an IP address is returned as it is."""
    host, _, zone = name.partition(".")
    return name if not zone or zone.startswith("device.") or zone[-1].isdigit() else f"{host}.device.{zone}"
