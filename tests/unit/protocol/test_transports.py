"""Which transports are tried, where, and in which order."""

from __future__ import annotations

import pytest

from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.transports import Way, list_ways, make_way

DPS = Endpoint("dps.example", 8883)
MQTT, WEBSOCKET = Way("mqtt", DPS), Way("websocket", Endpoint("dps.example", 443))


@pytest.mark.parametrize(
    ("transport", "first", "expected"),
    [
        ("mqtt", None, [MQTT]),
        ("mqtt", "websocket", [MQTT]),
        ("websocket", None, [WEBSOCKET]),
        ("websocket", "mqtt", [WEBSOCKET]),
        ("auto", None, [MQTT, WEBSOCKET]),
        ("auto", "mqtt", [MQTT, WEBSOCKET]),
        ("auto", "websocket", [WEBSOCKET, MQTT]),
        ("auto", "carrier-pigeon", [MQTT, WEBSOCKET]),
    ],
)
def test_only_auto_leaves_a_choice_and_begins_with_what_worked(
    transport: str, first: str | None, expected: list[Way]
) -> None:
    assert list(list_ways(transport, DPS, first)) == expected


def test_another_port_is_the_transports_own_and_with_auto_that_of_mqtt() -> None:
    other = Endpoint("dps.example", 9000)
    assert make_way("websocket", other).endpoint == other
    assert [one.endpoint.port for one in list_ways("auto", other, None)] == [9000, 443]


def test_only_websocket_has_a_path() -> None:
    assert (MQTT.path, WEBSOCKET.path) == (None, "/$iothub/websocket")
    assert (str(MQTT), str(WEBSOCKET)) == ("dps.example:8883", "dps.example:443 by WebSocket")
