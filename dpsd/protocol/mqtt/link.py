"""One connection of MQTT 3.1.1, from CONNECT to its end, as a client keeps it.

It knows no socket and no clock: what is to be sent it puts into `output`, which the caller empties, and `now` is the
caller's monotonic clock, in seconds. Pings go by themselves when `tick` is called at `next_tick`. Every message at
QoS 1 waits for `acknowledge`, in any order; the standard's order of acknowledgements (4.6) is kept here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from dpsd.errors import ProtocolError
from dpsd.protocol.mqtt.packets import (
    DISCONNECT,
    PINGREQ,
    ConnAck,
    Connect,
    PingResp,
    Publish,
    ServerPacket,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)
from dpsd.protocol.mqtt.parsing import Unframer

PING_LIMIT = 20
"""Seconds for the answer to a ping, or any other packet."""
RECEIVE_LIMIT = 1000
"""Messages that the server may send before the first of them is acknowledged; a hub keeps 50 for a device."""


class Link:
    """connect: what to log in with, which is put out at once."""

    def __init__(self, connect: Connect, now: float) -> None:
        self.output = bytearray(encode_connect(connect))
        self._keep_alive = connect.keep_alive
        self._unframer = Unframer()
        self._connected = False
        self._sent = now
        self._pinged: float | None = None
        self._unacknowledged: deque[int] = deque()
        self._acknowledged: set[int] = set()

    def receive(self, data: bytes) -> Iterator[ServerPacket]:
        """Yield the packets that are for the caller; raises ProtocolError, after which the connection has to end."""
        self._pinged = None  # whoever sends is there, although the answer may stand behind much else
        for packet in self._unframer.receive(data):
            if isinstance(packet, ConnAck) == self._connected:
                raise ProtocolError("CONNACK twice" if self._connected else "another packet before CONNACK")
            self._connected = True
            if not isinstance(packet, PingResp) and (not isinstance(packet, Publish) or self._is_new(packet)):
                yield packet

    def _is_new(self, publish: Publish) -> bool:
        """Remember what has to be acknowledged; a message may be repeated until it is (4.4)."""
        if publish.packet_id is None:
            return True
        if publish.packet_id in self._unacknowledged:
            return False
        if len(self._unacknowledged) == RECEIVE_LIMIT:
            raise ProtocolError(f"more than {RECEIVE_LIMIT} messages before the first was acknowledged")
        self._unacknowledged.append(publish.packet_id)
        return True

    def acknowledge(self, packet_id: int, now: float) -> None:
        """Let a message go; its PUBACK follows as soon as those before it are acknowledged."""
        self._acknowledged.add(packet_id)
        while self._unacknowledged and self._unacknowledged[0] in self._acknowledged:
            first = self._unacknowledged.popleft()
            self._acknowledged.remove(first)
            self._send(encode_puback(first), now)

    def publish(self, publish: Publish, now: float) -> None:
        self._send(encode_publish(publish), now)

    def subscribe(self, packet_id: int, topic_filter: str, now: float) -> None:
        """Subscribe at QoS 1."""
        self._send(encode_subscribe(packet_id, topic_filter), now)

    def disconnect(self, now: float) -> None:
        self._send(DISCONNECT, now)

    def next_tick(self) -> float | None:
        """Return the moment at which `tick` is due, None for never."""
        if self._pinged is not None:
            return self._pinged + PING_LIMIT
        return self._sent + self._keep_alive if self._keep_alive else None

    def tick(self, now: float) -> bool:
        """Ping where that is due; return whether the server is there, as far as pings can tell."""
        due = self.next_tick()
        if due is None or now < due:
            return True
        if self._pinged is not None:
            return False
        self._send(PINGREQ, now)
        self._pinged = now
        return True

    def _send(self, data: bytes, now: float) -> None:
        self.output += data
        self._sent = now
