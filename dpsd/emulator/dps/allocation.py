"""Which IoT Hub a device gets. Pure.

Sources: the DPS allocation policy pages. hashed spreads by weight; geoLatency has no latencies here, so it is decided
as a tie is: hashed; static takes the enrollment's first hub; custom takes the enrollment's `x-allocation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from dpsd.emulator.dps.enrollments import Enrollment, LinkedHub


class Allocation(NamedTuple):
    """A hub's name; payload and initial twin only from a custom allocation."""

    hub: str
    payload: dict[str, Any] | None = None
    initial_twin: dict[str, Any] | None = None


class AllocationError(Exception):
    """Ends in the status `failed`: an error code and a message."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.message = message


def allocate(enrollment: Enrollment, registration_id: str, hubs: Sequence[LinkedHub]) -> Allocation:
    """Choose among the linked hubs; raises AllocationError."""
    candidates = [hub for hub in hubs if not enrollment.hubs or hub.name in enrollment.hubs]
    if enrollment.policy == "custom":
        return _custom(enrollment, registration_id, candidates, hubs)
    if enrollment.policy == "static":
        wanted = enrollment.hubs[:1]
        return Allocation(_some([hub for hub in candidates if hub.name in wanted])[0].name)
    return Allocation(_hashed(registration_id, [hub for hub in candidates if hub.applies]))


def _custom(
    enrollment: Enrollment, registration_id: str, candidates: Sequence[LinkedHub], hubs: Sequence[LinkedHub]
) -> Allocation:
    answer = enrollment.webhook
    if not 200 <= answer.status < 300:
        raise AllocationError(400207, f"Custom allocation failed with status code: {answer.status}")
    if answer.hub and answer.hub not in {hub.name for hub in hubs}:
        raise AllocationError(400208, "The IoT hub that the custom allocation named is not linked.")
    return Allocation(answer.hub or _hashed(registration_id, candidates), answer.payload, answer.initial_twin)


def _hashed(registration_id: str, hubs: Sequence[LinkedHub]) -> str:
    """Pick by hash, each hub as often as its weight says."""
    tickets = [hub.name for hub in sorted(_some(hubs)) for _ in range(hub.weight)]
    digest = hashlib.sha256(registration_id.encode()).digest()
    return tickets[int.from_bytes(digest[:8], "big") % len(tickets)]


def _some(hubs: Sequence[LinkedHub]) -> Sequence[LinkedHub]:
    if not hubs:
        raise AllocationError(400208, "No IoT hub is linked for this enrollment.")
    return hubs
