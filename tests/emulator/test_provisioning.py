from __future__ import annotations

from typing import Any

import pytest

from dpsd.emulator.dps.attestation import authenticate
from dpsd.emulator.dps.enrollments import parse_enrollments
from dpsd.emulator.dps.provisioning import provision
from dpsd.emulator.files import authority
from dpsd.emulator.world import HubDevice, Keys, Registration, Thumbprints, World
from dpsd.shape import Table
from tests.emulator.worlds import (
    KEY,
    NOW,
    SCOPE,
    group_x509,
    individual_key,
    individual_x509,
    login,
    with_chain,
    with_key,
    world,
)

TWIN = {"tags": {"room": 7}, "properties": {"desired": {"interval": 5}}}
MIGRATE = {"updateHubAssignment": True, "migrateDeviceData": True}
RESET = {"updateHubAssignment": True, "migrateDeviceData": False}
NEVER = {"updateHubAssignment": False, "migrateDeviceData": True}


def enroll(made: World, hub: str, **more: Any) -> None:
    """Replace the enrollment of `pi` by one that is bound to `hub`."""
    entry = individual_key(allocationPolicy="static", iotHubHostName=hub, **more)
    document = {"idScope": SCOPE, "linkedHubs": [{"name": "hub-a"}, {"name": "hub-b"}]}
    made.enrollments = parse_enrollments(Table({**document, "individualEnrollments": [entry]}))


def register(made: World, now: float = NOW) -> Registration:
    return provision(made, "pi", authenticate(made, login(), with_key(KEY), now), None, now)


def device(made: World, hub: str) -> HubDevice | None:
    return made.hubs[hub].devices.get("pi")


def moved(policy: dict[str, bool]) -> tuple[World, Registration]:
    """Register at hub-a, change the twin, and register again when the enrollment says hub-b."""
    made = world()
    enroll(made, "hub-a", initialTwin=TWIN)
    register(made)
    at_a = device(made, "hub-a")
    assert at_a is not None
    at_a.reported.properties["x"] = 1
    enroll(made, "hub-b", initialTwin=TWIN, reprovisionPolicy=policy)
    return made, register(made, NOW + 60)


def test_a_first_registration_creates_the_device_with_its_initial_twin() -> None:
    made = world()
    enroll(made, "hub-a", initialTwin=TWIN, deviceId="Pi-One", capabilities={"iotEdge": True})
    registration = register(made)
    created = made.hubs["hub-a"].devices["Pi-One"]
    assert (registration.status, registration.substatus) == ("assigned", "initialAssignment")
    assert (registration.hub, registration.device_id) == ("hub-a", "Pi-One")
    assert (created.tags, created.desired.properties, created.iot_edge) == ({"room": 7}, {"interval": 5}, True)


def test_the_same_hub_again_leaves_the_twin_alone() -> None:
    made = world()
    enroll(made, "hub-a", initialTwin=TWIN)
    before = register(made)
    made.hubs["hub-a"].devices["pi"].desired.properties["interval"] = 9
    after = register(made, NOW + 60)
    assert after.substatus == "reprovisionedToInitialAssignment"
    assert (after.created, after.updated, after.etag != before.etag) == (NOW, NOW + 60, True)
    assert made.hubs["hub-a"].devices["pi"].desired.properties == {"interval": 9}


def test_migrate_moves_the_device_with_its_data() -> None:
    made, registration = moved(MIGRATE)
    assert (registration.hub, registration.substatus) == ("hub-b", "deviceDataMigrated")
    at_b = device(made, "hub-b")
    assert at_b is not None
    assert at_b.reported.properties == {"x": 1}
    assert device(made, "hub-a") is None


def test_reset_moves_the_device_without_its_data() -> None:
    made, registration = moved(RESET)
    assert (registration.hub, registration.substatus) == ("hub-b", "deviceDataReset")
    at_b = device(made, "hub-b")
    assert at_b is not None
    assert (at_b.reported.properties, at_b.desired.properties) == ({}, {"interval": 5})
    assert device(made, "hub-a") is None


def test_never_keeps_the_hub() -> None:
    made, registration = moved(NEVER)
    assert (registration.hub, registration.substatus) == ("hub-a", "reprovisionedToInitialAssignment")
    assert device(made, "hub-b") is None


def test_a_moved_device_is_disconnected_from_its_old_hub() -> None:
    made, ended = world(), []
    enroll(made, "hub-a")
    register(made)
    made.hubs["hub-a"].devices["pi"].disconnect = lambda: ended.append("pi")
    enroll(made, "hub-b")
    register(made)
    assert ended == ["pi"]


def test_a_device_that_was_deleted_at_its_hub_starts_anew() -> None:
    made = world()
    enroll(made, "hub-a")
    register(made)
    del made.hubs["hub-a"].devices["pi"]
    assert register(made).substatus == "initialAssignment"


def test_a_hub_that_refuses_dps_makes_the_registration_fail() -> None:
    made = world(individual_key(), linkedHubs=[{"name": "hub-a", "x-unauthorized": True}])
    registration = register(made)
    assert (registration.status, registration.error_code) == ("failed", 401002)
    assert "IotHubUnauthorizedAccess" in registration.error_message


def test_a_failure_leaves_the_device_where_it_was() -> None:
    made = world()
    enroll(made, "hub-a")
    register(made)
    enroll(made, "elsewhere")
    assert (register(made).status, register(made).error_code) == ("failed", 400208)
    assert device(made, "hub-a") is not None


def test_the_hub_knows_a_key_device_by_the_enrollments_keys() -> None:
    made = world(individual_key(allocationPolicy="static", iotHubHostName="hub-a"))
    register(made)
    assert isinstance(made.hubs["hub-a"].devices["pi"].authentication, Keys)


@pytest.mark.parametrize("in_group", [True, False])
def test_a_renewed_certificate_reaches_the_hub(in_group: bool) -> None:
    root = authority.issue_authority("root")
    seen = []
    made = world()
    for _ in range(2):
        leaf = authority.issue_device("pi", root)
        entry = {"allocationPolicy": "static", "iotHubHostName": "hub-a"}
        made.enrollments = (
            world(groups=[group_x509(root, **entry)]) if in_group else world(individual_x509(leaf, **entry))
        ).enrollments
        provision(made, "pi", authenticate(made, login(), with_chain(leaf), NOW), None, NOW)
        seen.append(made.hubs["hub-a"].devices["pi"].authentication)
    assert isinstance(seen[0], Thumbprints)
    assert seen[0] != seen[1]
