"""The format of connection.json."""

from __future__ import annotations

import json

from dpsd.state.connection import Connection, encode_connection


def render_document(connection: Connection) -> bytes:
    """Return the connection as a JSON object."""
    return json.dumps(encode_connection(connection), indent=1).encode() + b"\n"
