"""paho, a client of other authors, as the oracle of the codec: each side reads what the other sends."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt import client as paho

from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.packets import (
    ClientPacket,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    ServerPacket,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)
from dpsd.emulator.wire.parsing import Framing
from dpsd.secret import Secret

pytestmark = [pytest.mark.mqtt, pytest.mark.filterwarnings("ignore:Callback API version 1")]

VERSION: dict[str, Any] = (
    {"callback_api_version": paho.CallbackAPIVersion.VERSION1} if hasattr(paho, "CallbackAPIVersion") else {}
)
TOPIC = "$dps/registrations/PUT/iotdps-register/?$rid=é"


class Client(paho.Client):
    """paho's client on one end of a socket pair."""

    def __init__(self, stream: socket.socket, **options: Any) -> None:
        super().__init__(**VERSION, client_id="pi", **options)
        self.stream = stream

    def _create_socket_connection(self) -> Any:
        return self.stream


class Pair:
    """A client of paho and the codec, in one thread."""

    def __init__(self, **options: Any) -> None:
        self.stream, stream = socket.socketpair()
        self.client = Client(stream, **options)
        self._framing = Framing()

    def receive(self) -> ClientPacket:
        """Return the packet that paho sends next."""
        while True:
            while self.client.want_write():
                self.client.loop_write()
            for packet in self._framing.packets():
                return packet
            self._framing.feed(self.stream.recv(1000))

    def send(self, packet: ServerPacket) -> None:
        """Have paho read a packet; an error of paho is one of the test."""
        self.stream.sendall(encode_packet(packet))
        while select.select([self.client.stream], [], [], 0)[0]:
            assert self.client.loop_read() == paho.MQTT_ERR_SUCCESS

    def connect(self) -> ClientPacket:
        self.client.connect("localhost", 1883, 77)
        return self.receive()


@pytest.fixture
def open_pair() -> Iterator[Callable[..., Pair]]:
    pairs: list[Pair] = []

    def make(**options: Any) -> Pair:
        pairs.append(Pair(**options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.stream.close()
        pair.client.stream.close()


def test_a_connect_of_paho_is_read(open_pair: Callable[..., Pair]) -> None:
    pair = open_pair(clean_session=False)
    pair.client.username_pw_set("user", "secret")
    pair.client.will_set("will/é", b"gone\xff", qos=1, retain=True)
    assert pair.connect() == Connect("pi", "user", Secret(b"secret"), False, 77, 4, Will("will/é", b"gone\xff"))


def test_of_a_connect_of_mqtt_5_only_the_version_is_read(open_pair: Callable[..., Pair]) -> None:
    pair = open_pair(protocol=paho.MQTTv5)
    pair.client.username_pw_set("user", "secret")
    assert pair.connect() == Connect("", "", Secret(b""), True, 0, 5, None)


def test_a_conversation_with_paho_is_read_on_both_sides(open_pair: Callable[..., Pair]) -> None:
    pair = open_pair()
    client = pair.client
    seen: list[tuple[Any, ...]] = []
    client.on_connect = lambda *given: seen.append(("connect", given[2], given[3]))
    client.on_subscribe = lambda *given: seen.append(("subscribe", given[2], given[3]))
    client.on_publish = lambda *given: seen.append(("publish", given[2]))
    client.on_message = lambda *given: seen.append((given[2].topic, given[2].payload, given[2].qos, given[2].retain))
    client.on_unsubscribe = lambda *given: seen.append(("unsubscribe", given[2]))
    pair.connect()
    pair.send(ConnAck(0, True))
    client.subscribe([("$dps/registrations/res/#", 1), ("+", 0)])
    assert pair.receive() == Subscribe(1, (("$dps/registrations/res/#", 1), ("+", 0)))
    pair.send(SubAck(1, (1, 0x80)))
    client.publish(TOPIC, b"x" * 200, qos=1)
    assert pair.receive() == Publish(TOPIC, b"x" * 200, 1, 2)
    pair.send(PubAck(2))
    pair.send(Publish(TOPIC, b"y" * 20_000, 1, 0xFFFF))
    assert pair.receive() == PubAck(0xFFFF)
    pair.send(Publish("t", b"", retain=True))
    client.unsubscribe("+")
    assert pair.receive() == Unsubscribe(3, ("+",))
    pair.send(UnsubAck(3))
    client._send_pingreq()
    assert pair.receive() == PingReq()
    pair.send(PingResp())
    client.disconnect()
    assert pair.receive() == Disconnect()
    assert seen == [
        ("connect", {"session present": 1}, 0),
        ("subscribe", 1, (1, 0x80)),
        ("publish", 2),
        (TOPIC, b"y" * 20_000, 1, False),
        ("t", b"", 0, True),
        ("unsubscribe", 3),
    ]
