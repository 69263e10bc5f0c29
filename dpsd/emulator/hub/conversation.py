"""What an IoT Hub answers: each connection has a `HubConversation`. Pure: `now`, in seconds since 1970, is handed in.

Sources: Microsoft's page on IoT Hub over MQTT, and traces of the real service ("seen live"). A hub decides at CONNECT,
keeps one connection for each device, hangs up on a subscription that it does not allow, where others would send a
SUBACK that says so, and ends a connection when its token expires.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cryptography import x509

from dpsd.emulator.actions import Action, SendMessage, WriteLog
from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.files.certificates import (
    follow_chain,
    get_thumbprints,
    is_in_dates,
    is_issued_by,
    read_common_name,
)
from dpsd.emulator.wire.packets import ACCEPTED, NOT_AUTHORIZED, Connect, Will
from dpsd.emulator.world import Authorities, Hub, HubDevice, Keys, Telemetry, Thumbprints, World
from dpsd.errors import ProtocolError
from dpsd.protocol import hub as hub_topics
from dpsd.protocol.hub.messages import RETAIN_MARK, WILL_MARK
from dpsd.protocol.login import HubLogin
from dpsd.protocol.sas import Token, make_hub_resource, parse_token, verify_token
from dpsd.shape import ShapeError, parse_object

SUBSCRIPTION_LIMIT = 5
TWIN_DEPTH_LIMIT = 10


class HubConversation:
    """One device's connection to its hub. disconnect: ends this connection.

    deadline: when it must end, or None. granted: QoS by subscribed filter.
    """

    service = "hub"

    def __init__(self, world: World, login: HubLogin, credential: Credential, disconnect: Callable[[], None]) -> None:
        self._world = world
        self._login = login
        self._credential = credential
        self._disconnect = disconnect
        self._device: HubDevice | None = None
        self._will: Will | None = None
        self.name = login.client_id()
        self.deadline: float | None = None
        self.granted: dict[str, int] = {}
        self.session_present = False

    def connect(self, connect: Connect, now: float) -> int:
        """Return the CONNACK code; an older connection of the device is ended."""
        hub = self._world.find_hub(self._login.hub)
        device = hub.devices.get(self._login.device_id) if hub else None
        if hub is None or device is None or not device.enabled or self._login.module_id is not None:
            return NOT_AUTHORIZED
        if connect.client_id != self.name or not self._is_authentic(hub, device, now):
            return NOT_AUTHORIZED
        if device.disconnect:
            device.disconnect()
        self._open_session(device, connect)
        return ACCEPTED

    def _open_session(self, device: HubDevice, connect: Connect) -> None:
        device.disconnect = self._disconnect
        # Session-present is 1 with CleanSession 0, even the first time: seen live.
        self.session_present = not connect.clean_session
        self.granted = {} if connect.clean_session or device.session is None else device.session
        device.session = None if connect.clean_session else self.granted
        self._device, self._will = device, connect.will

    def _is_authentic(self, hub: Hub, device: HubDevice, now: float) -> bool:
        authentication, chain = device.authentication, self._credential.chain
        if isinstance(authentication, Keys):
            return self._is_valid_token(hub, authentication, now)
        if self._credential.password or not chain or not is_in_dates(chain[0], now):
            return False
        if isinstance(authentication, Thumbprints):
            return bool(get_thumbprints(chain[0]) & authentication.values)
        return read_common_name(chain[0]) == device.device_id and self._is_issued_below(authentication, now)

    def _is_issued_below(self, authorities: Authorities, now: float) -> bool:
        issuers = [one for one in authorities.certificates if is_in_dates(one, now)]

        def is_below(certificate: x509.Certificate) -> bool:
            return any(is_issued_by(certificate, issuer) for issuer in issuers)

        return follow_chain(self._credential.chain, is_below, now) is not None

    def _is_valid_token(self, hub: Hub, keys: Keys, now: float) -> bool:
        """Tell whether the password is a token that one of the keys signed; sets the deadline to its expiry."""
        try:
            token = parse_token(self._credential.password.reveal().decode())
        except (ProtocolError, UnicodeDecodeError):
            return False
        drift = self._world.switches.get_number("clock-drift")
        signed = any(verify_token(token, key.reveal()) for key in (keys.primary, keys.secondary))
        if not signed or token.expiry + drift <= now or not self._is_token_for(token, hub):
            return False
        self.deadline = token.expiry if token.expiry > now else token.expiry + drift
        return True

    def _is_token_for(self, token: Token, hub: Hub) -> bool:
        host, _, rest = token.decode_resource().partition("/")
        return self._world.find_hub(host) is hub and make_hub_resource("", self._login.device_id) == f"/{rest}"

    def subscribe(self, filters: tuple[tuple[str, int], ...]) -> list[int] | None:
        """Return the QoS granted to each filter, at most 1; None where the hub would hang up."""
        if not all(hub_topics.is_filter_of(name, self._login.device_id) for name, _ in filters):
            return None
        self.granted.update((name, min(qos, 1)) for name, qos in filters)
        if len(self.granted) > SUBSCRIPTION_LIMIT and self._world.switches.get_word("sixth-subscription") == "close":
            return None
        return [min(qos, 1) for _, qos in filters]

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Take back what was granted."""
        for name in filters:
            self.granted.pop(name, None)

    def name_moment(self, topic: str) -> str:
        """Return the moment of a message or request to `topic`; raises ProtocolError for any other topic."""
        return "telemetry" if isinstance(_parse_request(topic), hub_topics.Telemetry) else "twin"

    def publish(self, topic: str, body: bytes, retain: bool, now: float) -> list[Action]:
        """Keep a message, or answer a twin request; raises ProtocolError where the hub would hang up."""
        request = _parse_request(topic)
        assert self._device is not None
        if isinstance(request, hub_topics.Telemetry):
            return [*self._handle_telemetry(self._device, request, body, RETAIN_MARK if retain else {}, now)]
        if isinstance(request, hub_topics.TwinGet):
            return self._handle_twin_get(self._device, request)
        return self._handle_twin_patch(self._device, request, body)

    def _handle_telemetry(
        self, device: HubDevice, request: hub_topics.Telemetry, body: bytes, marks: hub_topics.Bag, now: float
    ) -> list[WriteLog]:
        if request.device_id != self._login.device_id or request.module_id is not None:
            raise ProtocolError("a message in another device's name")
        if len(body) > hub_topics.MESSAGE_LIMIT:
            raise ProtocolError("a message larger than a hub takes")
        device.messages.append(Telemetry(now, {**request.properties, **marks}, body))
        shown = {"hub": self._login.hub, "bytes": len(body), "body": body.decode("utf-8", "backslashreplace")}
        return [WriteLog("message", shown)]

    def _handle_twin_get(self, device: HubDevice, request: hub_topics.TwinGet) -> list[Action]:
        if not self._login.api_version:
            return self._reply_twin(request.request_id, 400, b"")
        twin = {"desired": device.desired.as_json(), "reported": device.reported.as_json()}
        return self._reply_twin(request.request_id, 200, _encode_json(twin))

    def _handle_twin_patch(self, device: HubDevice, request: hub_topics.TwinPatch, body: bytes) -> list[Action]:
        try:
            changes = parse_object(body, "reported").values
            patched = _merge_twin(device.reported.properties, changes, TWIN_DEPTH_LIMIT)
        except ShapeError:
            return self._reply_twin(request.request_id, 400, b"")
        if not self._login.api_version:
            return self._reply_twin(request.request_id, 400, b"")
        device.reported.properties = patched
        device.reported.version += 1
        return self._reply_twin(request.request_id, 204, b"", device.reported.version)

    def _reply_twin(self, request_id: str | None, status: int, body: bytes, version: int | None = None) -> list[Action]:
        """Answer a twin request; a hub does not answer one without `$rid`."""
        if request_id is None:
            return []
        topic = hub_topics.TwinReply(status, request_id, version).encode()
        return [SendMessage("twin-reply", hub_topics.TWIN_REPLY_FILTER, topic, body)]

    def close(self, graceful: bool, now: float) -> list[WriteLog]:
        """End the conversation. graceful: the client sent DISCONNECT; otherwise its Will becomes a message."""
        device, will = self._device, self._will
        if device is None:
            return []
        if device.disconnect is self._disconnect:
            device.disconnect = None
        if graceful or will is None:
            return []
        try:
            request = hub_topics.parse_request_topic(will.topic)
            if isinstance(request, hub_topics.Telemetry):
                return self._handle_telemetry(device, request, will.body, WILL_MARK, now)
        except ProtocolError:
            pass  # A Will to any other topic is not delivered.
        return []


def _parse_request(topic: str) -> hub_topics.Telemetry | hub_topics.TwinGet | hub_topics.TwinPatch:
    """Parse what a device publishes to; it has no call of a method to answer here."""
    request = hub_topics.parse_request_topic(topic)
    if isinstance(request, hub_topics.MethodAnswer):
        raise ProtocolError("an answer to a method that nobody called")
    return request


def _merge_twin(before: dict[str, Any], changes: Any, depth: int) -> dict[str, Any]:
    """Merge changes as twins do: objects key by key, null deletes; raises ShapeError for objects nested too deep."""
    if depth == 0:
        raise ShapeError("reported: is nested too deep")
    after = dict(before)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            old = after.get(key)
            after[key] = _merge_twin(old if isinstance(old, dict) else {}, value, depth - 1)
        else:
            after[key] = value
    return after


def _encode_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
