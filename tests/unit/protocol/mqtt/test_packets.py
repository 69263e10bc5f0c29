"""The packets of MQTT 3.1.1, against examples of the standard and the emulated hub's own codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.emulator.wire import packets as server
from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.parsing import Framing
from dpsd.errors import ProtocolError
from dpsd.protocol.mqtt.packets import (
    DISCONNECT,
    PINGREQ,
    ConnAck,
    Connect,
    PingResp,
    PubAck,
    Publish,
    ServerPacket,
    SubAck,
    UnsubAck,
    Will,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
)
from dpsd.protocol.mqtt.parsing import PACKET_LIMIT, Unframer
from dpsd.secret import Secret

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=50)
IDS = st.integers(1, 65_535)
BODIES = st.binary(max_size=300)
WILLS = st.none() | st.builds(Will, TOPICS, BODIES, st.sampled_from([0, 1]))
PASSWORDS = st.none() | st.text("abc%&=+/", max_size=20).map(lambda text: Secret(text.encode()))
CONNECTS = st.builds(Connect, TEXT, TEXT, PASSWORDS, st.booleans(), st.integers(0, 65_535), WILLS)


def read_by_the_emulator(data: bytes) -> server.ClientPacket:
    framing = Framing()
    framing.feed(data)
    (packet,) = framing.packets()
    return packet


def parsed(*pieces: bytes) -> list[ServerPacket]:
    unframer = Unframer()
    return [packet for piece in pieces for packet in unframer.receive(piece)]


@given(CONNECTS)
def test_a_login_is_read_by_the_emulator(connect: Connect) -> None:
    will = connect.will and server.Will(connect.will.topic, connect.will.body)
    assert read_by_the_emulator(encode_connect(connect)) == server.Connect(
        connect.client_id,
        connect.username,
        connect.password or Secret(b""),
        connect.clean_session,
        connect.keep_alive,
        server.PROTOCOL_LEVEL,
        will,
    )


def test_a_login_has_the_bytes_of_the_standard() -> None:
    will = Will("t", b"w")
    packet = encode_connect(Connect("c", "u", Secret(b"p"), clean_session=True, keep_alive=10, will=will))
    assert packet == b"\x10\x19\0\4MQTT\4\xce\0\x0a\0\1c\0\1t\0\1w\0\1u\0\1p"
    assert encode_connect(Connect("c", "u", None, clean_session=False, keep_alive=0))[9:12] == b"\x80\0\0"


def test_a_login_never_shows_its_password() -> None:
    assert "CANARY" not in repr(Connect("c", "u", Secret(b"CANARY")))


@given(TOPICS, BODIES, st.none() | IDS, st.booleans())
def test_a_message_is_read_by_the_emulator(topic: str, body: bytes, packet_id: int | None, retain: bool) -> None:
    data = encode_publish(Publish(topic, body, packet_id, False, retain))
    qos = 0 if packet_id is None else 1
    assert read_by_the_emulator(data) == server.Publish(topic, body, qos, packet_id, retain)


@given(IDS)
def test_the_other_packets_are_read_by_the_emulator(packet_id: int) -> None:
    assert read_by_the_emulator(encode_puback(packet_id)) == server.PubAck(packet_id)
    assert read_by_the_emulator(encode_subscribe(packet_id, "a/#")) == server.Subscribe(packet_id, (("a/#", 1),))
    assert read_by_the_emulator(encode_unsubscribe(packet_id, "a/#")) == server.Unsubscribe(packet_id, ("a/#",))
    assert read_by_the_emulator(PINGREQ) == server.PingReq()
    assert read_by_the_emulator(DISCONNECT) == server.Disconnect()


@pytest.mark.parametrize(
    ("size", "length"), [(127, b"\x7f"), (128, b"\x80\x01"), (16_383, b"\xff\x7f"), (16_384, b"\x80\x80\x01")]
)
def test_a_length_has_seven_bits_a_byte(size: int, length: bytes) -> None:
    data = encode_publish(Publish("t", bytes(size - 3)))
    assert data[1 : 1 + len(length)] == length
    assert parsed(data) == [Publish("t", bytes(size - 3))]


@given(TOPICS, BODIES, st.none() | IDS, st.booleans())
def test_a_message_of_the_emulator_is_read(topic: str, body: bytes, packet_id: int | None, retain: bool) -> None:
    qos = 0 if packet_id is None else 1
    data = encode_packet(server.Publish(topic, body, qos, packet_id, retain))
    assert parsed(data) == [Publish(topic, body, packet_id, False, retain)]


@given(IDS, st.integers(0, 255), st.booleans(), st.lists(st.sampled_from([0, 1, 0x80]), min_size=1, max_size=4))
def test_answers_of_the_emulator_are_read(packet_id: int, code: int, present: bool, granted: list[int]) -> None:
    answers: list[tuple[server.ServerPacket, ServerPacket]] = [
        (server.ConnAck(code, present), ConnAck(code, present)),
        (server.SubAck(packet_id, tuple(granted)), SubAck(packet_id, tuple(granted))),
        (server.UnsubAck(packet_id), UnsubAck(packet_id)),
        (server.PubAck(packet_id), PubAck(packet_id)),
        (server.PingResp(), PingResp()),
    ]
    for sent, read in answers:
        assert parsed(encode_packet(sent)) == [read]


@given(st.lists(st.builds(Publish, TOPICS, BODIES, IDS, st.booleans(), st.booleans()), max_size=5))
def test_a_stream_may_be_cut_anywhere(messages: list[Publish]) -> None:
    data = b"".join(map(encode_publish, messages))
    assert parsed(*(data[at : at + 1] for at in range(len(data)))) == messages
    assert parsed(data) == messages


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x34\7\0\1t\0\1ab", "a message of QoS 2, which it was not asked for"),
        (b"\x36\7\0\1t\0\1ab", "flags 0x6"),
        (b"\x38\3\0\1t", "flags 0x8"),
        (b"\x32\3\0\1t", "does not allow"),
        (b"\x32\5\0\1t\0\0", "a packet id of 0"),
        (b"\x30\1\0", "ends within its topic"),
        (b"\x30\3\0\2t", "ends within its topic"),
        (b"\x30\2\0\0", "a topic that is empty"),
        (b"\x30\3\0\1#", "wildcard"),
        (b"\x30\3\0\1\xff", "not UTF-8"),
        (b"\x20\2\2\0", "not MQTT 3.1.1"),
        (b"\x21\2\0\0", "not MQTT 3.1.1"),
        (b"\x20\0", "not MQTT 3.1.1"),
        (b"\x40\2\0\0", "a packet id of 0"),
        (b"\x90\2\0\1", "not MQTT 3.1.1"),
        (b"\xd0\1\0", "not MQTT 3.1.1"),
        (b"\xf0\0", "not MQTT 3.1.1"),
        (b"HTTP/1.1 400", "not MQTT 3.1.1"),
        (b"\x30\xff\xff\xff\x7f", f"more than {PACKET_LIMIT} bytes"),
        (b"\x30\x80\x80\x80\x80", "more than four bytes"),
    ],
)
def test_what_no_server_may_send_is_named(data: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        parsed(data + bytes(200))


@given(st.binary())
def test_any_bytes_are_packets_or_a_protocol_error(data: bytes) -> None:
    try:
        parsed(data)
    except ProtocolError as error:
        assert str(error).isprintable()
