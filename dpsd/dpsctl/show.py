"""`dpsctl show`: the IoT Hub connection."""

from __future__ import annotations

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.outputs import FORMATS
from dpsd.shape import ShapeError, parse_object
from dpsd.state.connection import parse_connection
from dpsd.system.command import UsageError
from dpsd.system.files import load
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    wanted = arguments.options.get("--format", "json")
    if wanted not in FORMATS:
        raise UsageError(f"--format is one of: {' '.join(FORMATS)}")
    text = load(arguments.places.state.connection_json)
    if text is None:
        raise Problem("not-provisioned", "there is no connection yet")
    try:
        print(FORMATS[wanted](parse_connection(parse_object(text, "connection"))).decode(), end="")
    except ShapeError as error:
        raise Problem("state-unreadable", f"{printable(arguments.places.state.connection_json)}: {error}") from None
    return EXIT_DONE
