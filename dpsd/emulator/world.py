"""What exists: enrollments, registrations, operations, hubs and their devices. Plain attributes, no I/O.

Times are seconds since 1970, handed in. Ids come from the `random` that the world was made with, so that a test can
have the same ones again.
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
"""Device-to-cloud messages remembered per device."""


@dataclass(frozen=True)
class Keys:
    """A hub identity that signs with either of two keys."""

    primary: Secret
    secondary: Secret


@dataclass(frozen=True)
class Thumbprints:
    """A hub identity with certificates of its own: SHA-1 or SHA-256, upper-case hexadecimal."""

    values: frozenset[str]


@dataclass(frozen=True)
class Authorities:
    """A hub identity with any certificate of its name below one of these."""

    certificates: tuple[x509.Certificate, ...]


Authentication = Keys | Thumbprints | Authorities


@dataclass(frozen=True)
class Telemetry:
    """A device-to-cloud message as the hub got it."""

    received: float
    properties: Bag
    body: bytes


@dataclass
class Section:
    """One half of a twin: the properties and the version that each change counts up."""

    properties: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def as_json(self) -> dict[str, Any]:
        return {**self.properties, "$version": self.version}


@dataclass
class Device:
    """A device identity of a hub. session: what a connection with CleanSession 0 left subscribed, or None."""

    device_id: str
    authentication: Authentication
    enabled: bool = True
    iot_edge: bool = False
    tags: dict[str, Any] = field(default_factory=dict)
    desired: Section = field(default_factory=Section)
    reported: Section = field(default_factory=Section)
    messages: deque[Telemetry] = field(default_factory=lambda: deque(maxlen=MESSAGES_KEPT))
    session: dict[str, int] | None = None
    kick: Callable[[], None] | None = None
    """Ends the device's present connection."""


@dataclass
class Hub:
    """An IoT Hub; devices by id, which is case-sensitive."""

    name: str
    devices: dict[str, Device] = field(default_factory=dict)


@dataclass
class Registration:
    """What the service remembers of a registration id, in lower case. payload: of the last register request."""

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
    """A registration in progress; its outcome shows after `polls_left` more polls. started: seconds since 1970."""

    operation_id: str
    registration: Registration
    started: float
    polls_left: int
    finished: bool = False


class World:
    """One DPS with its linked hubs."""

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
        """Return the hub of that host name; `name.device.zone` and `name.zone` mean the same hub."""
        name = name.lower()
        wanted = {name, _classic(name)}
        return next((hub for hub in self.hubs.values() if wanted & {hub.name, _classic(hub.name)}), None)

    def new_guid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_operation_id(self) -> str:
        """Return an id of the live form: a digit, 16 hexadecimal digits, a guid, 55 characters."""
        return f"5.{self._random.getrandbits(64):016x}.{self.new_guid()}"

    def new_etag(self) -> str:
        """Return base64 of a quoted guid, as the service's etags are."""
        return base64.b64encode(f'"{self.new_guid()}"'.encode()).decode()


def timestamp(now: float) -> str:
    """Return `now` as the service writes it: UTC with seven fractional digits."""
    seconds, fraction = divmod(round(now * 10_000_000), 10_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def _classic(name: str) -> str:
    host, _, zone = name.partition(".")
    return f"{host}.{zone.removeprefix('device.')}" if zone.startswith("device.") else name


def device_name(name: str) -> str:
    """Return the second name of a hub for devices, `hub.device.zone`; an address has none and is returned."""
    host, _, zone = name.partition(".")
    return name if not zone or zone.startswith("device.") or zone[-1].isdigit() else f"{host}.device.{zone}"
