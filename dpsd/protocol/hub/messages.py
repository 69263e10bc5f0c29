"""Messages from device to cloud (telemetry), from cloud to device, and to the inputs of a module.

Source: Microsoft's "Communicate with IoT Hub using MQTT" page; that ids in topics are percent-encoded is how its SDK
for Python writes and reads them.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from dpsd.protocol.hub.bags import Bag, encode_bag, parse_bag

WILL_MARK: Bag = {"iothub-MessageType": "Will"}
"""What the hub adds to the properties of a Will's message."""
RETAIN_MARK: Bag = {"mqtt-retain": "true"}
"""What the hub adds to the properties of a message that is published with RETAIN."""

_IDENTITY = r"devices/([^/]+)(?:/modules/([^/]+))?"
_TELEMETRY = re.compile(rf"{_IDENTITY}/messages/events/(.*)", re.DOTALL)
_CLOUD = re.compile(rf"{_IDENTITY}/messages/devicebound(?:/(.*))?", re.DOTALL)
_INPUT = re.compile(r"devices/([^/]+)/modules/([^/]+)/inputs/([^/]+)(?:/(.*))?", re.DOTALL)


class Telemetry(NamedTuple):
    """A device-to-cloud message's topic; a Will's topic is one too."""

    device_id: str
    module_id: str | None
    properties: Bag

    def encode(self) -> str:
        return f"{_identity(self.device_id, self.module_id)}/messages/events/{encode_bag(self.properties)}"


class CloudMessage(NamedTuple):
    """A cloud-to-device message's topic."""

    device_id: str
    module_id: str | None
    properties: Bag

    def encode(self) -> str:
        return f"{_identity(self.device_id, self.module_id)}/messages/devicebound/{encode_bag(self.properties)}"


class ModuleInput(NamedTuple):
    """The topic of a message to an input of a module."""

    device_id: str
    module_id: str
    input_name: str
    properties: Bag

    def encode(self) -> str:
        where = f"{_identity(self.device_id, self.module_id)}/inputs/{quote(self.input_name, safe='')}"
        return f"{where}/{encode_bag(self.properties)}"


def cloud_filter(device_id: str) -> str:
    """Return what a device subscribes to for cloud-to-device messages."""
    return f"{_identity(device_id, None)}/messages/devicebound/#"


def input_filter(device_id: str, module_id: str) -> str:
    """Return what a module subscribes to for all of its inputs."""
    return f"{_identity(device_id, module_id)}/inputs/#"


def parse_telemetry(topic: str) -> Telemetry | None:
    """Parse a topic, None where it is another kind's."""
    match = _TELEMETRY.fullmatch(topic)
    return Telemetry(*_names(match[1], match[2]), parse_bag(match[3])) if match else None


def parse_cloud_message(topic: str) -> CloudMessage | None:
    """Parse a topic, None where it is another kind's."""
    match = _CLOUD.fullmatch(topic)
    return CloudMessage(*_names(match[1], match[2]), parse_bag(match[3] or "")) if match else None


def parse_module_input(topic: str) -> ModuleInput | None:
    """Parse a topic, None where it is another kind's."""
    match = _INPUT.fullmatch(topic)
    if not match:
        return None
    return ModuleInput(unquote(match[1]), unquote(match[2]), unquote(match[3]), parse_bag(match[4] or ""))


def _identity(device_id: str, module_id: str | None) -> str:
    device = f"devices/{quote(device_id, safe='')}"
    return device if module_id is None else f"{device}/modules/{quote(module_id, safe='')}"


def _names(device_id: str, module_id: str | None) -> tuple[str, str | None]:
    return unquote(device_id), None if module_id is None else unquote(module_id)
