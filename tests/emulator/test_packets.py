from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.emulator.wire.packets import (
    PACKET_LIMIT,
    ConnAck,
    Connect,
    Framing,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    encode_packet,
    parse_packet,
)
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


CONNECT_BODY = string("MQTT") + b"\x04\xc2\0\x3c" + string("pi") + string("user") + string("secret")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(packet(0x10, CONNECT_BODY + b"x"), id="trailing byte"),
        pytest.param(packet(0x10, CONNECT_BODY[:-1]), id="truncated password"),
        pytest.param(packet(0x11, CONNECT_BODY), id="flags on CONNECT"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\xc3", 1)), id="reserved CONNECT flag"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\x42", 1)), id="password without username"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"\xc2", b"\xca", 1)), id="will QoS without will"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"MQTT", b"MQIs", 1)), id="another protocol"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"user", b"us\xffr", 1)), id="username not UTF-8"),
        pytest.param(packet(0x10, CONNECT_BODY.replace(b"user", b"us\0r", 1)), id="username with U+0000"),
        pytest.param(publish_packet("a/+"), id="plus in a topic"),
        pytest.param(publish_packet("a/#"), id="hash in a topic"),
        pytest.param(publish_packet(""), id="empty topic"),
        pytest.param(packet(0x32, string(b"\xc3\x28") + b"\0\1"), id="topic not UTF-8"),
        pytest.param(packet(0x32, string(b"\xed\xa0\x80") + b"\0\1"), id="topic with a surrogate"),
        pytest.param(publish_packet("t", packet_id=0), id="packet id 0"),
        pytest.param(packet(0x36, string("t") + b"\0\1"), id="QoS 3"),
        pytest.param(packet(0x38, string("t")), id="DUP at QoS 0"),
        pytest.param(packet(0x80, b"\0\1" + string("t") + b"\1"), id="flags on SUBSCRIBE"),
        pytest.param(packet(0x82, b"\0\1"), id="subscription to nothing"),
        pytest.param(subscribe_packet(1, ("t", 3)), id="subscription at QoS 3"),
        pytest.param(subscribe_packet(1, ("a#", 1)), id="hash inside a level"),
        pytest.param(subscribe_packet(1, ("#/a", 1)), id="hash before the end"),
        pytest.param(packet(0xC1), id="flags on PINGREQ"),
        pytest.param(packet(0xC0, b"x"), id="PINGREQ with a body"),
        pytest.param(packet(0x20, b"\0\0"), id="CONNACK from a client"),
        pytest.param(packet(0x62, b"\0\1"), id="PUBREL"),
        pytest.param(packet(0x00), id="reserved type 0"),
        pytest.param(packet(0xF0), id="reserved type 15"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="length of five bytes"),
        pytest.param(b"\x30" + b"\xff\xff\xff\x7f", id="length over the cap"),
    ],
)
def test_what_the_standard_forbids_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parsed(data)
    assert "secret" not in str(caught.value)


def test_the_largest_packet_is_read() -> None:
    assert len(parsed(publish_packet("t", b"x" * (PACKET_LIMIT - 5)))) == 1


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
    ],
)
def test_what_the_server_sends_has_the_standard_form(value: ConnAck | SubAck | PubAck | Publish, data: bytes) -> None:
    assert encode_packet(value) == data
