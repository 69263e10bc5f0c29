"""The files from which agents read the connection, one renderer for each format.

A renderer returns the file's bytes, or raises Problem `assignment-invalid` for a value that its format cannot carry.
"""

from __future__ import annotations

from collections.abc import Callable

from dpsd.outputs.document import render_document
from dpsd.outputs.environment import render_environment
from dpsd.state.connection import Connection

FORMATS: dict[str, Callable[[Connection], bytes]] = {"json": render_document, "env": render_environment}
