"""Assigns a device to a hub, and creates it there. Pure: `now`, in seconds since 1970, is handed in.

Source: Microsoft's page on re-provisioning, with its table of policies and the substatus that each gives.
"""

from __future__ import annotations

import json
from typing import Any

from dpsd.emulator.dps.allocation import Allocation, AllocationError, allocate
from dpsd.emulator.dps.attestation import Match
from dpsd.emulator.dps.enrollments import Enrollment, SymmetricKeys
from dpsd.emulator.world import Hub, HubDevice, Registration, Section, World

HUB_REFUSES_DPS = '{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized","ExceptionMessage":"Tracking ID:%s"}'
"""What DPS repeats, with error code 401002, when a linked hub no longer takes its policy key: seen live."""


def provision(world: World, name: str, match: Match, payload: dict[str, Any] | None, now: float) -> Registration:
    """Register `name`, in lower case, in the world; return the registration, which is `assigned` or `failed`."""
    before = world.registrations.get(name)
    after = _make_registration(world, name, match.enrollment, payload, now, before)
    world.registrations[name] = after
    try:
        _assign(world, match, before, after)
    except AllocationError as failure:
        after.status, after.error_code, after.error_message = "failed", failure.error_code, failure.message
    return after


def _make_registration(
    world: World,
    name: str,
    enrollment: Enrollment,
    payload: dict[str, Any] | None,
    now: float,
    before: Registration | None,
) -> Registration:
    return Registration(
        registration_id=name,
        created=before.created if before else now,
        updated=now,
        status="assigned",
        etag=world.make_etag(),
        attestation=_describe_attestation(enrollment),
        hub=before.hub if before else "",
        device_id=before.device_id if before else "",
        payload=payload,
    )


def _describe_attestation(enrollment: Enrollment) -> dict[str, Any]:
    kind = "symmetricKey" if isinstance(enrollment.attestation, SymmetricKeys) else "x509"
    return {kind: {"enrollmentGroupId": enrollment.id} if enrollment.is_group else {}}


def _assign(world: World, match: Match, before: Registration | None, after: Registration) -> None:
    enrollment = match.enrollment
    old = _find_device(world, before)
    if old is not None and not enrollment.reprovision.update_hub:
        allocation = Allocation(after.hub)
    else:
        allocation = allocate(enrollment, after.registration_id, list(world.enrollments.hubs.values()))
    _check_hub_takes_dps(world, allocation.hub)
    moved = old is not None and allocation.hub != after.hub
    after.substatus = _choose_substatus(enrollment, old, moved)
    after.answer_payload = allocation.payload
    old_hub = world.hubs.get(after.hub)
    after.hub, after.device_id = allocation.hub, enrollment.device_id or after.registration_id
    kept = old if moved and enrollment.reprovision.migrate_data and allocation.initial_twin is None else None
    if moved and old_hub and old:
        _remove_device(old_hub, old)
    _ensure_device(world.hubs[after.hub], after.device_id, match, allocation, kept)


def _find_device(world: World, before: Registration | None) -> HubDevice | None:
    hub = world.hubs.get(before.hub) if before else None
    return hub.devices.get(before.device_id) if hub and before else None


def _choose_substatus(enrollment: Enrollment, old: HubDevice | None, moved: bool) -> str:
    if old is None:
        return "initialAssignment"
    if not moved:
        return "reprovisionedToInitialAssignment"
    return "deviceDataMigrated" if enrollment.reprovision.migrate_data else "deviceDataReset"


def _check_hub_takes_dps(world: World, name: str) -> None:
    if world.enrollments.hubs[name].refuses_dps:
        raise AllocationError(401002, HUB_REFUSES_DPS % world.make_guid())


def _remove_device(hub: Hub, device: HubDevice) -> None:
    hub.devices.pop(device.device_id, None)
    if device.disconnect:
        device.disconnect()


def _ensure_device(hub: Hub, device_id: str, match: Match, allocation: Allocation, kept: HubDevice | None) -> None:
    """Create the device, or let the present one log in by what it has just shown, such as a renewed certificate."""
    device = hub.devices.get(device_id)
    if device is None:
        device = hub.devices[device_id] = HubDevice(device_id, match.authentication)
        if kept is None:
            _set_initial_twin(device, match.enrollment, allocation)
        else:
            device.tags, device.desired, device.reported = kept.tags, kept.desired, kept.reported
            device.iot_edge = kept.iot_edge
    device.authentication = match.authentication


def _set_initial_twin(device: HubDevice, enrollment: Enrollment, allocation: Allocation) -> None:
    # A copy by JSON, so that a change to one device's twin does not reach the enrollment.
    twin = json.loads(json.dumps(allocation.initial_twin or enrollment.initial_twin))
    device.tags, device.desired = twin["tags"], Section(twin["desired"])
    device.iot_edge = enrollment.iot_edge
