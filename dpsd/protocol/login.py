"""The username and client id of MQTT CONNECT for DPS and for IoT Hub, in both directions.

Source: Microsoft's "Communicate with DPS using MQTT" and "Communicate with IoT Hub using MQTT" pages. The DPS
username has no `?` before its parameters and the hub's has `/?`; the services refuse the other form with CONNACK 5.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

from dpsd.errors import ProtocolError
from dpsd.protocol.query import parse_query

HUB_API_VERSION = "2021-04-12"
_DPS = re.compile(r"([^/]+)/registrations/([^/]+)/(.*)", re.DOTALL)
_HUB = re.compile(r"([^/]+)/([^/]+)(?:/([^/?]+))?/\?(.*)", re.DOTALL)


class DpsLogin(NamedTuple):
    """The username of a device that registers. Its client id is the registration id."""

    id_scope: str
    registration_id: str
    api_version: str
    client_version: str = ""

    def encode(self) -> str:
        """Return the username."""
        username = f"{self.id_scope}/registrations/{self.registration_id}/api-version={self.api_version}"
        return f"{username}&ClientVersion={quote(self.client_version, safe='')}" if self.client_version else username


class HubLogin(NamedTuple):
    """The username of a device or module at its IoT Hub."""

    hub: str
    device_id: str
    module_id: str | None = None
    api_version: str = HUB_API_VERSION

    def client_id(self) -> str:
        """Return the client id that belongs to the username: DEVICE or DEVICE/MODULE."""
        return self.device_id if self.module_id is None else f"{self.device_id}/{self.module_id}"

    def encode(self) -> str:
        """Return the username."""
        return f"{self.hub}/{self.client_id()}/?api-version={self.api_version}"


def parse_login(username: str) -> DpsLogin | HubLogin:
    """Parse a username of either service; raises ProtocolError. Ids are taken as they are, without decoding."""
    dps = _DPS.fullmatch(username)
    if dps:
        fields = parse_query(dps[3])
        return DpsLogin(dps[1], dps[2], fields.get("api-version", ""), fields.get("ClientVersion", ""))
    hub = _HUB.fullmatch(username)
    if hub:
        return HubLogin(hub[1], hub[2], hub[3], parse_query(hub[4]).get("api-version", ""))
    raise ProtocolError("the username is neither a DPS nor an IoT Hub login")
