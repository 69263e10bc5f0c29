"""The ways to a service that speaks MQTT: alone on port 8883, or inside WebSocket on port 443.

Source: Microsoft's "Communicate with DPS using the MQTT protocol" and "Communicate with an IoT hub using the MQTT
protocol" pages (ports, path, subprotocol).
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.protocol.identifiers import DPS_PORT, Endpoint

MQTT = "mqtt"
WEBSOCKET = "websocket"
AUTO = "auto"
WEBSOCKET_PORT = 443
WEBSOCKET_PATH = "/$iothub/websocket"


class Way(NamedTuple):
    """A transport, and where it is to be found."""

    transport: str
    endpoint: Endpoint

    @property
    def path(self) -> str | None:
        """The path of the WebSocket, None without one."""
        return WEBSOCKET_PATH if self.transport == WEBSOCKET else None

    def __str__(self) -> str:
        return f"{self.endpoint} by WebSocket" if self.transport == WEBSOCKET else str(self.endpoint)


def make_way(transport: str, endpoint: Endpoint) -> Way:
    """Return how to reach `endpoint` by this transport; 8883 stands for the transport's own port.

    Nothing speaks WebSocket on port 8883, so that a configuration may name it and change its transport alone.
    """
    if transport == WEBSOCKET and endpoint.port == DPS_PORT:
        endpoint = endpoint._replace(port=WEBSOCKET_PORT)
    return Way(transport, endpoint)


def list_ways(transport: str, endpoint: Endpoint, first: str | None) -> tuple[Way, ...]:
    """Return the ways to try, in order. first: the transport that worked the last time, for `auto` only.

    With `auto` a port of the configuration's is MQTT's, and WebSocket's stays 443.
    """
    if transport != AUTO:
        return (make_way(transport, endpoint),)
    both = (Way(MQTT, endpoint), Way(WEBSOCKET, endpoint._replace(port=WEBSOCKET_PORT)))
    return both[::-1] if first == WEBSOCKET else both
