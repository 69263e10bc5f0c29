"""The IoT Hub connection as agents see it: what connection.json holds, no secret among it."""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.shape import Table, read_fields


class Authentication(NamedTuple):
    """How an agent proves itself: two files, a file and a key on a PKCS#11 token, a store of its own, a socket, or the
    file of a connection string. thumbprint: SHA-256 of the device's certificate, 64 hex digits."""

    type: str
    certificate_file: str | None = None
    private_key_file: str | None = None
    identity_socket: str | None = None
    private_key_uri: str | None = None
    pkcs11_module: str | None = None
    store: str | None = None
    connection_string_file: str | None = None
    thumbprint: str | None = None


class Mqtt(NamedTuple):
    """What an MQTT client needs besides the proof. path: of the WebSocket. proxy: its URL, never with a password."""

    host: str
    port: int
    transport: str
    client_id: str
    username: str
    trusted_roots: str
    proxy: str | None
    path: str | None = None


class Connection(NamedTuple):
    """One device's connection to its IoT Hub."""

    iothub_hostname: str
    device_id: str
    registration_id: str
    id_scope: str
    authentication: Authentication
    mqtt: Mqtt
    substatus: str
    assigned_at: str
    etag: str


def encode_connection(connection: Connection) -> dict[str, Any]:
    """Return the document of connection.json, its version first."""
    authentication = {name: value for name, value in connection.authentication._asdict().items() if value is not None}
    mqtt = connection.mqtt._asdict()
    if connection.mqtt.path is None:
        del mqtt["path"]
    document = {**connection._asdict(), "authentication": authentication, "mqtt": mqtt}
    return {"version": 1, **document}


def parse_connection(table: Table) -> Connection:
    """Parse what `encode_connection` returns; raises ShapeError."""
    return read_fields(Connection, table)
