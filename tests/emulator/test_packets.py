from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.packets import (
    ConnAck,
    Connect,
    PingResp,
    PubAck,
    Publish,
    ServerPacket,
    SubAck,
    Subscribe,
    UnsubAck,
    Will,
)
from dpsd.emulator.wire.parsing import PACKET_LIMIT, Framing, parse_packet
from dpsd.errors import ProtocolError
from tests.emulator.device import connect_packet, packet, publish_packet, string, subscribe_packet


def parsed(data: bytes) -> list[object]:
    framing = Framing()
    framing.feed(data)
    return list(framing.packets())


def test_a_connect_is_read_and_its_password_is_not_shown() -> None:
    (connect,) = parsed(connect_packet("pi", "scope/registrations/pi/api-version=1", "SharedAccessSignature canary"))
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.clean_session, connect.keep_alive) == ("pi", True, 60)
    assert connect.password.reveal() == b"SharedAccessSignature canary"
    assert "canary" not in repr(connect)


def test_an_empty_client_id_stays_empty() -> None:
    (connect,) = parsed(connect_packet("", "user"))
    assert isinstance(connect, Connect)
    assert connect.client_id == ""


@given(st.text(st.characters(exclude_characters="#+\0", exclude_categories=["Cs"]), min_size=1), st.binary())
def test_a_publish_is_read(topic: str, body: bytes) -> None:
    assert parsed(publish_packet(topic, body, packet_id=9)) == [Publish(topic, body, 1, 9)]


@given(st.data())
def test_packets_are_read_however_the_stream_is_cut(data: st.DataObject) -> None:
    stream = subscribe_packet(1, ("a/#", 1), ("b", 0)) + publish_packet("t", b"x" * 300) + packet(0xE0)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    framing, found = Framing(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        framing.feed(stream[begin:end])
        found += list(framing.packets())
    assert [type(one).__name__ for one in found] == ["Subscribe", "Publish", "Disconnect"]
    assert found[0] == Subscribe(1, (("a/#", 1), ("b", 0)))


@given(st.integers(0, 255), st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_a_protocol_error(first: int, body: bytes) -> None:
    try:
        parse_packet(first, body)
    except ProtocolError:
        pass


def connect_body(flags: int, *strings: str) -> bytes:
    return string("MQTT") + bytes([4, flags, 0, 60]) + b"".join(map(string, strings))


CONNECT_BODY = connect_body(0xC2, "pi", "user", "secret")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(packet(0x10, CONNECT_BODY + b"x"), id="trailing byte"),
        pytest.param(packet(0x10, CONNECT_BODY[:-1]), id="truncated password"),
        pytest.param(packet(0x11, CONNECT_BODY), id="flags on CONNECT"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\xc3", 1)), id="reserved CONNECT flag"),
        pytest.param(packet(0x10, connect_body(0x42, "pi", "secret")), id="password without username"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\xca", 1)), id="will QoS without will"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"MQTT", b"MQIs", 1)), id="another protocol"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"user", b"us\xffr", 1)), id="username not UTF-8"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"user", b"us\0r", 1)), id="username with U+0000"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"pi", b"\xc0\x80", 1)), id="client id with an overlong U+0000"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\xe2", 1)), id="will retain without will"),
        pytest.param(packet(0x10, connect_body(0x1E, "pi", "will", "body")), id="will QoS 3"),
        pytest.param(packet(0x10, connect_body(0x06, "pi", "a/+", "body")), id="will topic with a wildcard"),
        pytest.param(packet(0x10, connect_body(0x06, "pi", "", "body")), id="empty will topic"),
        pytest.param(packet(0x10, connect_body(0x06, "pi", "will")), id="will without a body"),
        pytest.param(packet(0x10, connect_body(0x82, "pi")), id="no username where flagged"),
        pytest.param(packet(0x10, connect_body(0xC2, "pi", "user")), id="no password where flagged"),
        pytest.param(packet(0x10, connect_body(0x02)), id="no client id"),
        pytest.param(packet(0x10, string("MQTT")), id="no protocol level"),
        pytest.param(packet(0x10), id="empty CONNECT"),
        pytest.param(publish_packet("a/+"), id="plus in a topic"),
        pytest.param(publish_packet("a/#"), id="hash in a topic"),
        pytest.param(publish_packet(""), id="empty topic"),
        pytest.param(packet(0x32, string(b"\xc3\x28") + b"\0\1"), id="topic not UTF-8"),
        pytest.param(packet(0x32, string(b"\xed\xa0\x80") + b"\0\1"), id="topic with a surrogate"),
        pytest.param(publish_packet("t", packet_id=0), id="packet id 0"),
        pytest.param(packet(0x36, string("t") + b"\0\1"), id="QoS 3"),
        pytest.param(packet(0x38, string("t")), id="DUP at QoS 0"),
        pytest.param(packet(0x32, string("t") + b"\0"), id="half a packet id"),
        pytest.param(packet(0x30, b"\0\2t"), id="topic shorter than its length"),
        pytest.param(packet(0x30, b"\0"), id="half a length"),
        pytest.param(publish_packet("a\0b"), id="topic with U+0000"),
        pytest.param(packet(0x40, b"\0\0"), id="PUBACK of packet id 0"),
        pytest.param(packet(0x40, b"\0\1\0"), id="PUBACK with a byte more"),
        pytest.param(packet(0x42, b"\0\1"), id="flags on PUBACK"),
        pytest.param(packet(0x80, b"\0\1" + string("t") + b"\1"), id="flags on SUBSCRIBE"),
        pytest.param(packet(0x82, b"\0\1"), id="subscription to nothing"),
        pytest.param(subscribe_packet(1, ("t", 3)), id="subscription at QoS 3"),
        pytest.param(subscribe_packet(1, ("a#", 1)), id="hash inside a level"),
        pytest.param(subscribe_packet(1, ("#/a", 1)), id="hash before the end"),
        pytest.param(subscribe_packet(1, ("a+/b", 1)), id="plus inside a level"),
        pytest.param(subscribe_packet(1, ("", 1)), id="empty filter"),
        pytest.param(subscribe_packet(1, ("a\0", 1)), id="filter with U+0000"),
        pytest.param(subscribe_packet(0, ("a", 1)), id="SUBSCRIBE with packet id 0"),
        pytest.param(subscribe_packet(1, ("a", 0x80)), id="reserved bits of a requested QoS"),
        pytest.param(packet(0x82, b"\0\1" + string("a")), id="filter without QoS"),
        pytest.param(packet(0xA2, b"\0\1"), id="UNSUBSCRIBE from nothing"),
        pytest.param(packet(0xA2, b"\0\0" + string("a")), id="UNSUBSCRIBE with packet id 0"),
        pytest.param(packet(0xA2, b"\0\1" + string("a#")), id="UNSUBSCRIBE with a wildcard out of place"),
        pytest.param(packet(0xA0, b"\0\1" + string("a")), id="flags on UNSUBSCRIBE"),
        pytest.param(packet(0xC1), id="flags on PINGREQ"),
        pytest.param(packet(0xC0, b"x"), id="PINGREQ with a body"),
        pytest.param(packet(0xE1), id="flags on DISCONNECT"),
        pytest.param(packet(0xE0, b"x"), id="DISCONNECT with a body"),
        pytest.param(packet(0x20, b"\0\0"), id="CONNACK from a client"),
        pytest.param(packet(0x62, b"\0\1"), id="PUBREL"),
        pytest.param(packet(0x00), id="reserved type 0"),
        pytest.param(packet(0xF0), id="reserved type 15"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="length of five bytes"),
        pytest.param(b"\x30" + b"\xff\xff\xff\x7f", id="length over the cap"),
        pytest.param(b"\xc0\x80\0", id="length 0 in two bytes"),
        pytest.param(b"\x40\x82\x80\0\0\1", id="length 2 in three bytes"),
        pytest.param(b"\x40\x82\x80\x80\0\0\1", id="length 2 in four bytes"),
    ],
)
def test_what_the_standard_forbids_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parsed(data)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("length", [4, 127, 128, 16_383, 16_384, PACKET_LIMIT])
def test_every_form_of_a_length_is_read(length: int) -> None:
    body = b"x" * (length - 3)
    data = publish_packet("t", body, qos=0)
    assert (len(data), parsed(data)) == (length + 2 + (length > 127) + (length > 16_383), [Publish("t", body)])
    assert encode_packet(Publish("t", body)) == data


def test_a_packet_over_the_limit_is_refused_before_it_is_here() -> None:
    data = publish_packet("t", b"x" * (PACKET_LIMIT - 4))
    with pytest.raises(ProtocolError):
        parsed(data[:5])


@pytest.mark.parametrize(
    "data", [packet(0x10, CONNECT_BODY), publish_packet("t", b"x" * 300), subscribe_packet(1, ("a", 1))]
)
def test_a_packet_is_awaited_until_it_is_whole(data: bytes) -> None:
    assert [parsed(data[:size]) for size in range(len(data))] == [[]] * len(data)


def test_the_largest_strings_are_read_and_sent() -> None:
    topic, name = "t" * 0xFFFF, "pi" * 0x7FFF
    assert parsed(publish_packet(topic, b"x", packet_id=0xFFFF)) == [Publish(topic, b"x", 1, 0xFFFF)]
    (connect,) = parsed(connect_packet(name, name, name))
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.username, connect.password.reveal()) == (name, name, name.encode())
    assert encode_packet(Publish(topic, b"x")) == publish_packet(topic, b"x", qos=0)


def test_a_topic_that_no_packet_can_hold_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        encode_packet(Publish("é" * 0x8000, b""))


def test_a_password_and_the_body_of_a_will_are_any_bytes() -> None:
    data = connect_body(0xC6, "pi", "will") + string(b"\xff\0") + string("user") + string(b"\xfe\0")
    (connect,) = parsed(packet(0x10, data))
    assert isinstance(connect, Connect)
    assert (connect.will, connect.password.reveal()) == (Will("will", b"\xff\0"), b"\xfe\0")


def test_a_byte_order_mark_is_a_part_of_its_text() -> None:
    assert parsed(publish_packet("\ufefft", qos=0)) == [Publish("\ufefft", b"")]


@pytest.mark.parametrize("level", [3, 5, 0, 255])
def test_of_a_connect_of_another_version_only_its_version_is_read(level: int) -> None:
    (connect,) = parsed(packet(0x10, string("MQTT") + bytes([level]) + b"\xff\xff and so on"))
    assert isinstance(connect, Connect)
    assert (connect.protocol_level, connect.client_id, connect.will) == (level, "", None)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (ConnAck(0), b"\x20\x02\0\0"),
        (ConnAck(0, True), b"\x20\x02\1\0"),
        (ConnAck(5), b"\x20\x02\0\5"),
        (SubAck(5, (1, 0x80)), b"\x90\x04\0\5\1\x80"),
        (PubAck(258), b"\x40\x02\1\2"),
        (Publish("t", b"x", 1, 3), b"\x32\x06\0\1t\0\3x"),
        (Publish("t", b"x"), b"\x30\x04\0\1tx"),
        (Publish("t", b"x", 1, 3, True), b"\x33\x06\0\1t\0\3x"),
        (UnsubAck(0xFFFF), b"\xb0\x02\xff\xff"),
        (PingResp(), b"\xd0\0"),
    ],
)
def test_what_the_server_sends_has_the_standard_form(value: ServerPacket, data: bytes) -> None:
    assert encode_packet(value) == data
