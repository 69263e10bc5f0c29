"""A configured device boots for the first time: registered, published, ready, and then its agents."""

from __future__ import annotations

import json

import pytest

from tests.boot.first_boot import MESSAGE, STATE, FirstBoot
from tests.boot.lab import HUB, READY

pytestmark = pytest.mark.root

JSON = f"{STATE}/connection.json"
ENVIRONMENT = f"{STATE}/connection.env"


def test_the_daemon_is_ready(first_boot: FirstBoot) -> None:
    assert first_boot.daemon["ActiveState"] == "active"
    assert first_boot.daemon["Type"] == "notify"
    assert first_boot.daemon["NRestarts"] == "0"


def test_the_connection_names_the_hub_and_the_device(first_boot: FirstBoot) -> None:
    connection = json.loads(first_boot.files[JSON].content)
    assert connection["version"] == 1
    assert connection["iothub_hostname"] == HUB
    assert connection["authentication"]["private_key_file"] == "/etc/dpsd/device.key"
    assert HUB in first_boot.files[ENVIRONMENT].content


def test_the_agent_starts_after_ready(first_boot: FirstBoot) -> None:
    ready = int(first_boot.daemon["ActiveEnterTimestampMonotonic"])
    assert 0 < ready < int(first_boot.telemetry["ExecMainStartTimestampMonotonic"])


def test_the_hub_gets_the_message_of_the_agent(first_boot: FirstBoot) -> None:
    device = json.loads(first_boot.files[JSON].content)["device_id"]
    messages = [exchange for exchange in first_boot.exchanges if exchange["event"] == "message"]
    assert [(message["client"], message["body"]) for message in messages] == [(device, MESSAGE)]


def test_anybody_reads_what_is_published_and_nothing_else(first_boot: FirstBoot) -> None:
    assert {path: file.access for path, file in first_boot.files.items()} == {
        JSON: "644 dpsd:dpsd",
        ENVIRONMENT: "644 dpsd:dpsd",
    }
    assert first_boot.access == {
        STATE: "755 dpsd:dpsd",
        f"{STATE}/private": "700 dpsd:dpsd",
        f"{STATE}/payload.json": "640 dpsd:dpsd-agents",
        "/run/dpsd": "755 dpsd:dpsd",
        "/run/dpsd/status.json": "644 dpsd:dpsd",
        READY: "644 dpsd:dpsd",
    }
