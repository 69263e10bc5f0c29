"""The MQTT 3.1.1 packets that a hub and its clients exchange, as values; `codec` has their bytes. Pure."""

from __future__ import annotations

from typing import NamedTuple

from dpsd.secret import Secret

PROTOCOL_LEVEL = 4
"""MQTT 3.1.1."""

ACCEPTED = 0
UNACCEPTABLE_PROTOCOL = 1
NOT_AUTHORIZED = 5
"""CONNACK codes (3.2.2.3)."""


class Will(NamedTuple):
    """The message that a hub publishes when the connection ends without DISCONNECT."""

    topic: str
    body: bytes


class Connect(NamedTuple):
    """keep_alive: seconds, 0 for none. protocol_level: 4 is MQTT 3.1.1; of any other, nothing else is read."""

    client_id: str
    username: str
    password: Secret
    clean_session: bool
    keep_alive: int
    protocol_level: int
    will: Will | None


class Subscribe(NamedTuple):
    """filters: each with the highest QoS that the client wants."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: tuple[str, ...]


class Publish(NamedTuple):
    """Either direction; packet_id is None at QoS 0."""

    topic: str
    body: bytes
    qos: int = 0
    packet_id: int | None = None
    retain: bool = False


class PubAck(NamedTuple):
    """Either direction."""

    packet_id: int


class PingReq(NamedTuple):
    pass


class Disconnect(NamedTuple):
    pass


class ConnAck(NamedTuple):
    code: int
    session_present: bool = False


class SubAck(NamedTuple):
    """codes: the QoS granted to each filter, or 0x80."""

    packet_id: int
    codes: tuple[int, ...]


class UnsubAck(NamedTuple):
    packet_id: int


class PingResp(NamedTuple):
    pass


ClientPacket = Connect | Subscribe | Unsubscribe | Publish | PubAck | PingReq | Disconnect
ServerPacket = ConnAck | SubAck | UnsubAck | Publish | PubAck | PingResp
