"""Chooses the IoT Hub for a device. Pure.

Sources: Microsoft's pages on the allocation policies of DPS. hashed spreads devices by the hubs' weights. geoLatency
knows no latencies here, and does the same as hashed. static takes the enrollment's first hub. custom takes the
enrollment's `x-allocation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from dpsd.emulator.dps.enrollments import Enrollment, LinkedHub


class Allocation(NamedTuple):
    """The hub that was chosen. payload, initial_twin: only from a custom allocation."""

    hub: str
    payload: dict[str, Any] | None = None
    initial_twin: dict[str, Any] | None = None


class AllocationError(Exception):
    """The registration ends in the status `failed`, with an error code and a message."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.message = message


def allocate(enrollment: Enrollment, registration_id: str, hubs: Sequence[LinkedHub]) -> Allocation:
    """Choose one of the linked hubs; raises AllocationError."""
    candidates = [hub for hub in hubs if not enrollment.hubs or hub.name in enrollment.hubs]
    if enrollment.policy == "custom":
        return _allocate_custom(enrollment, registration_id, candidates, hubs)
    if enrollment.policy == "static":
        wanted = enrollment.hubs[:1]
        return Allocation(_require_hubs([hub for hub in candidates if hub.name in wanted])[0].name)
    return Allocation(_choose_by_hash(registration_id, [hub for hub in candidates if hub.applies]))


def _allocate_custom(
    enrollment: Enrollment, registration_id: str, candidates: Sequence[LinkedHub], hubs: Sequence[LinkedHub]
) -> Allocation:
    answer = enrollment.webhook
    if not 200 <= answer.status < 300:
        raise AllocationError(400207, f"Custom allocation failed with status code: {answer.status}")
    if answer.hub and answer.hub not in {hub.name for hub in hubs}:
        raise AllocationError(400208, "The IoT hub that the custom allocation named is not linked.")
    return Allocation(answer.hub or _choose_by_hash(registration_id, candidates), answer.payload, answer.initial_twin)


def _choose_by_hash(registration_id: str, hubs: Sequence[LinkedHub]) -> str:
    """Choose by the hash of the registration id, each hub in proportion to its weight."""
    tickets = [hub.name for hub in sorted(_require_hubs(hubs)) for _ in range(hub.weight)]
    digest = hashlib.sha256(registration_id.encode()).digest()
    return tickets[int.from_bytes(digest[:8], "big") % len(tickets)]


def _require_hubs(hubs: Sequence[LinkedHub]) -> Sequence[LinkedHub]:
    if not hubs:
        raise AllocationError(400208, "No IoT hub is linked for this enrollment.")
    return hubs
