"""What an IoT Hub answers: one `HubConversation` per connection. Pure; time comes in.

Sources: the fact sheet's section 6. A hub decides at CONNECT, keeps one connection per device, never fails a
subscription by SUBACK but hangs up, and ends a connection when its token expires.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.dps.steps import ACCEPTED, NOT_AUTHORIZED, Event, Message, Step
from dpsd.emulator.files.certificates import climb, common_name, is_in_dates, is_issued_by, thumbprints
from dpsd.emulator.wire.packets import Connect, Will
from dpsd.emulator.world import Authorities, Device, Hub, Keys, Telemetry, Thumbprints, World
from dpsd.errors import ProtocolError
from dpsd.protocol import hub as hub_topics
from dpsd.protocol.hub.messages import RETAIN_MARK, WILL_MARK
from dpsd.protocol.login import HubLogin
from dpsd.protocol.sas import Token, make_hub_resource, parse_token, verify_token
from dpsd.shape import ShapeError, parse_object

SUBSCRIPTION_LIMIT = 5
TWIN_DEPTH_LIMIT = 10


class HubConversation:
    """One device's connection to its hub. kick: ends this connection."""

    service = "hub"

    def __init__(self, world: World, login: HubLogin, credential: Credential, kick: Callable[[], None]) -> None:
        self._world = world
        self._login = login
        self._credential = credential
        self._kick = kick
        self._device: Device | None = None
        self._will: Will | None = None
        self.name = login.client_id()
        self.deadline: float | None = None
        self.granted: dict[str, int] = {}
        self.session_present = False

    def connect(self, connect: Connect, now: float) -> int:
        """Return the CONNACK code; an older connection of the device ends."""
        hub = self._world.find_hub(self._login.hub)
        device = hub.devices.get(self._login.device_id) if hub else None
        if hub is None or device is None or not device.enabled or self._login.module_id is not None:
            return NOT_AUTHORIZED
        if connect.client_id != self.name or not self._is_authentic(hub, device, now):
            return NOT_AUTHORIZED
        if device.kick:
            device.kick()
        self._begin(device, connect)
        return ACCEPTED

    def _begin(self, device: Device, connect: Connect) -> None:
        """Session-present is 1 for CleanSession 0 even the first time: seen live."""
        device.kick = self._kick
        self.session_present = not connect.clean_session
        self.granted = {} if connect.clean_session or device.session is None else device.session
        device.session = None if connect.clean_session else self.granted
        self._device, self._will = device, connect.will

    def _is_authentic(self, hub: Hub, device: Device, now: float) -> bool:
        authentication, chain = device.authentication, self._credential.chain
        if isinstance(authentication, Keys):
            return self._has_token(hub, authentication, now)
        if self._credential.password or not chain or not is_in_dates(chain[0], now):
            return False
        if isinstance(authentication, Thumbprints):
            return bool(thumbprints(chain[0]) & authentication.values)
        return common_name(chain[0]) == device.device_id and self._is_below(authentication, now)

    def _is_below(self, authorities: Authorities, now: float) -> bool:
        issuers = [one for one in authorities.certificates if is_in_dates(one, now)]
        below = climb(self._credential.chain, lambda one: any(is_issued_by(one, issuer) for issuer in issuers), now)
        return below is not None

    def _has_token(self, hub: Hub, keys: Keys, now: float) -> bool:
        """Check the token, and end the connection when it expires."""
        try:
            token = parse_token(self._credential.password.reveal().decode())
        except (ProtocolError, UnicodeDecodeError):
            return False
        drift = self._world.switches.number("clock-drift")
        signed = any(verify_token(token, key.reveal()) for key in (keys.primary, keys.secondary))
        if not signed or token.expiry + drift <= now or not self._is_for(token, hub):
            return False
        self.deadline = token.expiry if token.expiry > now else token.expiry + drift
        return True

    def _is_for(self, token: Token, hub: Hub) -> bool:
        host, _, rest = token.decode_resource().partition("/")
        return self._world.find_hub(host) is hub and make_hub_resource("", self._login.device_id) == f"/{rest}"

    def subscribe(self, filters: tuple[tuple[str, int], ...]) -> list[int] | None:
        """Grant what a device may subscribe to, at QoS 1 at most; None where the hub would hang up."""
        if not all(hub_topics.is_filter_of(name, self._login.device_id) for name, _ in filters):
            return None
        self.granted.update((name, min(qos, 1)) for name, qos in filters)
        if len(self.granted) > SUBSCRIPTION_LIMIT and self._world.switches.word("sixth-subscription") == "close":
            return None
        return [min(qos, 1) for _, qos in filters]

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        for name in filters:
            self.granted.pop(name, None)

    def moment(self, topic: str) -> str:
        """Name the request for the fault list; raises ProtocolError."""
        return "telemetry" if isinstance(_parse_request(topic), hub_topics.Telemetry) else "twin"

    def publish(self, topic: str, body: bytes, retain: bool, now: float) -> list[Step]:
        """Take a message or answer a twin request; raises ProtocolError where the hub would hang up."""
        request = _parse_request(topic)
        assert self._device is not None
        if isinstance(request, hub_topics.Telemetry):
            return [*self._telemetry(self._device, request, body, RETAIN_MARK if retain else {}, now)]
        if isinstance(request, hub_topics.TwinGet):
            return self._twin(self._device, request)
        return self._report(self._device, request, body)

    def _telemetry(
        self, device: Device, request: hub_topics.Telemetry, body: bytes, marks: hub_topics.Bag, now: float
    ) -> list[Event]:
        if request.device_id != self._login.device_id or request.module_id is not None:
            raise ProtocolError("a message in another device's name")
        if len(body) > hub_topics.MESSAGE_LIMIT:
            raise ProtocolError("a message larger than a hub takes")
        device.messages.append(Telemetry(now, {**request.properties, **marks}, body))
        shown = {"hub": self._login.hub, "bytes": len(body), "body": body.decode("utf-8", "backslashreplace")}
        return [Event("message", shown)]

    def _twin(self, device: Device, request: hub_topics.TwinGet) -> list[Step]:
        if not self._login.api_version:
            return self._reply(request.request_id, 400, b"")
        twin = {"desired": device.desired.as_json(), "reported": device.reported.as_json()}
        return self._reply(request.request_id, 200, _json(twin))

    def _report(self, device: Device, request: hub_topics.TwinPatch, body: bytes) -> list[Step]:
        try:
            changes = parse_object(body, "reported").values
            patched = _patched(device.reported.properties, changes, TWIN_DEPTH_LIMIT)
        except ShapeError:
            return self._reply(request.request_id, 400, b"")
        if not self._login.api_version:
            return self._reply(request.request_id, 400, b"")
        device.reported.properties = patched
        device.reported.version += 1
        return self._reply(request.request_id, 204, b"", device.reported.version)

    def _reply(self, request_id: str | None, status: int, body: bytes, version: int | None = None) -> list[Step]:
        """Answer, unless the request had no `$rid`: then a hub says nothing."""
        if request_id is None:
            return []
        topic = hub_topics.TwinReply(status, request_id, version).encode()
        return [Message("twin-reply", hub_topics.TWIN_REPLY_FILTER, topic, body)]

    def closed(self, graceful: bool, now: float) -> list[Event]:
        """The connection ended; without DISCONNECT a Will becomes a message."""
        device, will = self._device, self._will
        if device is None:
            return []
        if device.kick is self._kick:
            device.kick = None
        if graceful or will is None:
            return []
        try:
            request = hub_topics.parse_request_topic(will.topic)
            if isinstance(request, hub_topics.Telemetry):
                return self._telemetry(device, request, will.body, WILL_MARK, now)
        except ProtocolError:
            pass  # A Will to any other topic is not delivered.
        return []


def _parse_request(topic: str) -> hub_topics.Telemetry | hub_topics.TwinGet | hub_topics.TwinPatch:
    """Parse what a device publishes to; it has no call of a method to answer here."""
    request = hub_topics.parse_request_topic(topic)
    if isinstance(request, hub_topics.MethodAnswer):
        raise ProtocolError("an answer to a method that nobody called")
    return request


def _patched(before: dict[str, Any], changes: Any, depth: int) -> dict[str, Any]:
    """Merge as twins do: objects by key, null deletes; raises ShapeError when they are nested too deep."""
    if depth == 0:
        raise ShapeError("reported: is nested too deep")
    after = dict(before)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            old = after.get(key)
            after[key] = _patched(old if isinstance(old, dict) else {}, value, depth - 1)
        else:
            after[key] = value
    return after


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
