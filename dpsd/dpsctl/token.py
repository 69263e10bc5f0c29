"""`dpsctl token`: a token of this device, from the token door."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.shape import ShapeError, Table, parse_object
from dpsd.state.messages import parse_problem
from dpsd.system.command import UsageError
from dpsd.text import printable

TIME_LIMIT = 60
"""Seconds, longer than a turn and any key's answer take."""


class Door(HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIME_LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIME_LIMIT)
        self.sock.connect(self._path)


def run(arguments: Arguments) -> int:
    ttl = arguments.options.get("--ttl")
    if ttl is not None and not ttl.isdecimal():
        raise UsageError("--ttl is a number of seconds")
    answer = ask_token(arguments.places.runtime.identity_socket, None if ttl is None else int(ttl))
    print(json.dumps(answer.values) if arguments.has("--json") else answer.string("token"))
    return EXIT_DONE


def ask_token(path: str, ttl: int | None) -> Table:
    """Return the door's answer; raises the Problem that it answers with, or `door-unreachable`, `door-refused`."""
    door = Door(path)
    try:
        door.request("POST", "/v1/token", json.dumps({} if ttl is None else {"ttl": ttl}))
        response = door.getresponse()
        answer = parse_object(response.read())
        if response.status != 200:
            raise parse_problem(answer)
        answer.string("token")
    except PermissionError:
        raise Problem("door-refused", f"{printable(path)}: only root and the group dpsd-agents may connect") from None
    except OSError as error:
        raise Problem("door-unreachable", f"{printable(path)}: {error.strerror or printable(error)}") from None
    except (HTTPException, ShapeError) as error:
        raise Problem("door-unreachable", f"{printable(path)}: {printable(error)}") from None
    finally:
        door.close()
    return answer
