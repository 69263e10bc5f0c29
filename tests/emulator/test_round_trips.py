"""Packets that are encoded and parsed again are the same, in both directions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
from tests.emulator.client_packets import Bits, encode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
TOPICS = st.text(st.characters(exclude_characters="#+\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
FILTERS = TOPICS | st.sampled_from(["#", "+", "a/#", "a/+/b", "/", "+/+", "/#", "\ufeff"])
IDS = st.integers(1, 0xFFFF)
QOS = st.integers(0, 2)
BODIES = st.binary(max_size=300)


@st.composite
def connects(draw: st.DrawFn) -> tuple[Connect, Bits]:
    will = draw(st.none() | st.builds(Will, TOPICS, BODIES))
    named = draw(st.booleans())
    secret = named and draw(st.booleans())
    clean = draw(st.booleans())
    flags = (named and 0x80) | (secret and 0x40) | (clean and 0x02)
    flags |= 0x04 | draw(QOS) << 3 | draw(st.sampled_from([0, 0x20])) if will else 0
    connect = Connect(
        client_id=draw(TEXT),
        username=draw(TEXT) if named else "",
        password=Secret(draw(BODIES) if secret else b""),
        clean_session=clean,
        keep_alive=draw(st.integers(0, 0xFFFF)),
        protocol_level=4,
        will=will,
    )
    return connect, Bits(connect=flags)


@st.composite
def publishes(draw: st.DrawFn) -> tuple[Publish, Bits]:
    qos = draw(QOS)
    publish = Publish(draw(TOPICS), draw(BODIES), qos, draw(IDS) if qos else None, draw(st.booleans()))
    return publish, Bits(dup=draw(st.sampled_from([0, 8])) if qos else 0)


OTHERS: st.SearchStrategy[ClientPacket] = st.one_of(
    st.builds(Subscribe, IDS, st.lists(st.tuples(FILTERS, QOS), min_size=1, max_size=4).map(tuple)),
    st.builds(Unsubscribe, IDS, st.lists(FILTERS, min_size=1, max_size=4).map(tuple)),
    st.builds(PubAck, IDS),
    st.just(PingReq()),
    st.just(Disconnect()),
)
CLIENT_PACKETS = st.one_of(connects(), publishes(), st.tuples(OTHERS, st.just(Bits())))


@given(st.lists(CLIENT_PACKETS, max_size=4), st.integers(1, 50))
def test_what_a_client_sends_is_parsed_as_it_was_meant(sent: list[tuple[ClientPacket, Bits]], size: int) -> None:
    stream = b"".join(encode(value, bits) for value, bits in sent)
    framing, found = Framing(), []
    for begin in range(0, len(stream), size):
        framing.feed(stream[begin : begin + size])
        found += list(framing.packets())
    assert found == [value for value, _ in sent]


@given(publishes() | st.tuples(st.builds(PubAck, IDS), st.just(Bits())))
def test_both_sides_send_these_in_the_same_form(sent: tuple[Publish | PubAck, Bits]) -> None:
    value, bits = sent
    assert encode_packet(value) == encode(value, bits._replace(dup=0))


ANSWERS: st.SearchStrategy[ServerPacket] = st.one_of(
    st.builds(ConnAck, st.integers(0, 255), st.booleans()),
    st.builds(SubAck, IDS, st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1, max_size=200).map(tuple)),
    st.builds(UnsubAck, IDS),
    st.just(PingResp()),
)


def parse_answer(data: bytes) -> ServerPacket:
    """Parse by hand one packet that only servers send."""
    first, body = data[0], data[2 if data[1] < 128 else 3 :]
    length = data[1] if data[1] < 128 else (data[1] & 127) + 128 * data[2]
    assert len(body) == length
    if first == 0x20:
        return ConnAck(body[1], {0: False, 1: True}[body[0]])
    if first == 0x90:
        return SubAck(int.from_bytes(body[:2], "big"), tuple(body[2:]))
    if first == 0xB0:
        return UnsubAck(int.from_bytes(body, "big"))
    assert (first, body) == (0xD0, b"")
    return PingResp()


@given(ANSWERS)
def test_what_the_server_sends_can_be_read(answer: ServerPacket) -> None:
    assert parse_answer(encode_packet(answer)) == answer
