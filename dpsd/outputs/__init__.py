"""The formats in which agents read the connection: pure renderers.

A renderer takes the connection and returns bytes; it refuses what its format cannot carry.
"""

from __future__ import annotations

from collections.abc import Callable

from dpsd.outputs.document import render_document
from dpsd.outputs.environment import render_environment
from dpsd.state.connection import Connection

FORMATS: dict[str, Callable[[Connection], bytes]] = {"json": render_document, "env": render_environment}
