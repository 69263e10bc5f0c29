"""The formats in which agents read the connection. Floor 2, pure renderers.

A renderer takes the connection and returns bytes; it refuses what its format cannot carry.
"""

from __future__ import annotations

from collections.abc import Callable

from dpsd.connection import Connection
from dpsd.outputs.document import render_document
from dpsd.outputs.environment import render_environment

FORMATS: dict[str, Callable[[Connection], bytes]] = {"json": render_document, "env": render_environment}
