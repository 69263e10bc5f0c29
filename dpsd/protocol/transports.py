"""The two ways to a service that speaks MQTT: directly on port 8883, or inside WebSocket on port 443.

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
    """A transport and the endpoint where it is spoken."""

    transport: str
    endpoint: Endpoint

    @property
    def path(self) -> str | None:
        """The path of the WebSocket; None for plain MQTT."""
        return WEBSOCKET_PATH if self.transport == WEBSOCKET else None

    def __str__(self) -> str:
        return f"{self.endpoint} by WebSocket" if self.transport == WEBSOCKET else str(self.endpoint)


def make_way(transport: str, endpoint: Endpoint) -> Way:
    """Return how to reach `endpoint` by this transport; port 8883 stands for the transport's own port."""
    # Nothing speaks WebSocket on port 8883, so a configuration that names the port may change its transport alone.
    if transport == WEBSOCKET and endpoint.port == DPS_PORT:
        endpoint = endpoint._replace(port=WEBSOCKET_PORT)
    return Way(transport, endpoint)


def list_ways(transport: str, endpoint: Endpoint, first: str | None) -> tuple[Way, ...]:
    """Return the ways to try, in order. first: the transport that worked last time, which matters for `auto` only.

    With `auto`, the configured port is that of plain MQTT, and WebSocket stays on 443.
    """
    if transport != AUTO:
        return (make_way(transport, endpoint),)
    both = (Way(MQTT, endpoint), Way(WEBSOCKET, endpoint._replace(port=WEBSOCKET_PORT)))
    return both[::-1] if first == WEBSOCKET else both
