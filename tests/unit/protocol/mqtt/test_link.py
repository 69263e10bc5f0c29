"""One connection of MQTT: order, acknowledgements and pings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol.mqtt.link import PING_LIMIT, RECEIVE_LIMIT, Link
from dpsd.protocol.mqtt.packets import (
    DISCONNECT,
    PINGREQ,
    ConnAck,
    Connect,
    Publish,
    encode_connect,
    encode_puback,
    encode_publish,
)

CONNACK = b"\x20\2\0\0"
LOGIN = Connect("pi-1", "user", None, keep_alive=60)


def linked(login: Connect = LOGIN) -> Link:
    """A link that is logged in since 0."""
    link = Link(login, 0)
    assert list(link.receive(CONNACK)) == [ConnAck(0, False)]
    link.output.clear()
    return link


def message(packet_id: int | None) -> bytes:
    return encode_publish(Publish("t", b"", packet_id))


def test_it_begins_with_connect() -> None:
    assert Link(LOGIN, 0).output == encode_connect(LOGIN)


@pytest.mark.parametrize("data", [message(None), b"\xd0\0", CONNACK + CONNACK])
def test_connack_comes_first_and_once(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="CONNACK"):
        list(Link(LOGIN, 0).receive(data))


@given(st.permutations([1, 2, 3, 4, 5]))
def test_acknowledgements_go_out_in_the_order_of_the_messages(order: list[int]) -> None:
    link = linked()
    assert len(list(link.receive(b"".join(message(number) for number in (3, 1, 5, 2, 4))))) == 5
    for number in order:
        link.acknowledge(number, 1)
    assert link.output == b"".join(encode_puback(number) for number in (3, 1, 5, 2, 4))


def test_a_message_that_is_repeated_before_it_is_acknowledged_comes_once() -> None:
    link = linked()
    assert len(list(link.receive(message(7) + message(7)))) == 1
    link.acknowledge(7, 1)
    assert len(list(link.receive(message(7)))) == 1


def test_a_server_cannot_fill_the_memory_with_messages() -> None:
    link = linked()
    assert len(list(link.receive(b"".join(map(message, range(1, RECEIVE_LIMIT + 1)))))) == RECEIVE_LIMIT
    with pytest.raises(ProtocolError, match="before the first was acknowledged"):
        list(link.receive(message(RECEIVE_LIMIT + 1)))


def test_a_ping_is_due_a_keep_alive_after_the_last_packet() -> None:
    link = linked()
    link.publish(Publish("t", b""), 10)
    link.output.clear()
    assert link.next_tick() == 70
    assert link.tick(69.9) and not link.output
    assert link.tick(70) and link.output == PINGREQ
    assert link.next_tick() == 70 + PING_LIMIT


def test_a_server_that_answers_no_ping_is_gone() -> None:
    link = linked()
    assert link.tick(60)
    assert link.tick(60 + PING_LIMIT - 0.1)
    assert not link.tick(60 + PING_LIMIT)


@pytest.mark.parametrize("data", [b"\xd0\0", message(None), b"\x30"])
def test_a_server_that_sends_anything_is_there(data: bytes) -> None:
    link = linked()
    link.tick(60)
    list(link.receive(data))
    assert link.next_tick() == 120
    assert link.tick(60 + PING_LIMIT)


def test_without_a_keep_alive_there_is_no_ping() -> None:
    link = linked(LOGIN._replace(keep_alive=0))
    assert link.next_tick() is None
    assert link.tick(1e9) and not link.output


def test_goodbye_is_said() -> None:
    link = linked()
    link.disconnect(1)
    assert link.output == DISCONNECT
