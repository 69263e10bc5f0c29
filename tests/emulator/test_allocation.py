from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dpsd.emulator.dps.allocation import Allocation, AllocationError, allocate
from tests.emulator.worlds import group_key, world


def allocated(registration_id: str = "pi", hubs: list[dict[str, Any]] | None = None, **entry: Any) -> Allocation:
    more = {"linkedHubs": hubs} if hubs is not None else {}
    enrollments = world(groups=[group_key(**entry)], **more).enrollments
    return allocate(enrollments.groups["fleet"], registration_id, list(enrollments.hubs.values()))


def test_hashed_gives_a_device_the_same_hub_again() -> None:
    assert {allocated("pi").hub for _ in range(5)} == {allocated("pi").hub}


@pytest.mark.parametrize("policy", ["hashed", "geoLatency"])
def test_devices_are_spread_by_weight(policy: str) -> None:
    hubs: list[dict[str, Any]] = [{"name": "hub-a", "allocationWeight": 3}, {"name": "hub-b"}]
    counts = Counter(allocated(f"pi-{number}", hubs, allocationPolicy=policy).hub for number in range(800))
    assert 500 < counts["hub-a"] < 700


def test_a_hub_that_does_not_apply_gets_no_device_by_policy() -> None:
    hubs: list[dict[str, Any]] = [{"name": "hub-a", "applyAllocationPolicy": False}, {"name": "hub-b"}]
    assert {allocated(f"pi-{number}", hubs).hub for number in range(20)} == {"hub-b"}


@pytest.mark.parametrize("entry", [{"iotHubHostName": "HUB-B"}, {"iotHubs": ["hub-b", "hub-a"]}])
def test_static_takes_the_enrollments_first_hub(entry: dict[str, Any]) -> None:
    assert allocated(allocationPolicy="static", **entry) == Allocation("hub-b")


def test_an_enrollments_hubs_limit_the_choice() -> None:
    assert {allocated(f"pi-{number}", iotHubs=["hub-a"]).hub for number in range(20)} == {"hub-a"}


def test_custom_gives_what_the_webhook_answers() -> None:
    answer: dict[str, Any] = {"iotHubHostName": "hub-b", "payload": {"a": 1}, "initialTwin": {"tags": {"t": 1}}}
    entry: dict[str, Any] = {"allocationPolicy": "custom", "x-allocation": answer}
    expected = Allocation("hub-b", {"a": 1}, {"tags": {"t": 1}, "desired": {}})
    assert allocated(**entry) == expected


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"allocationPolicy": "static"}, 400208),
        ({"allocationPolicy": "static", "iotHubHostName": "elsewhere"}, 400208),
        ({"iotHubs": ["elsewhere"]}, 400208),
        ({"allocationPolicy": "custom", "x-allocation": {"statusCode": 400}}, 400207),
        ({"allocationPolicy": "custom", "x-allocation": {"iotHubHostName": "elsewhere"}}, 400208),
    ],
)
def test_an_allocation_without_a_hub_fails(entry: dict[str, Any], code: int) -> None:
    with pytest.raises(AllocationError) as caught:
        allocated(**entry)
    assert caught.value.error_code == code


def test_no_linked_hub_fails() -> None:
    with pytest.raises(AllocationError):
        allocated(hubs=[])
