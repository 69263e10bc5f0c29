"""The token door: what can be asked, and what is answered, as bytes of HTTP. Pure: docs/token-door.openapi.yaml.

A token is only ever for this device at its hub, and has exactly `sr`, `sig` and `se`: nobody gets a signature of
something else, and nothing for DPS.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from dpsd.doors.http import JSON, TEXT, HttpError, Request, encode_response, parse_request
from dpsd.errors import Problem, encode_problem
from dpsd.protocol.sas import encode_token, make_hub_resource
from dpsd.shape import ShapeError, parse_object
from dpsd.state.connection import Connection
from dpsd.system.clock import format_time
from dpsd.text import printable

VERSION = 1
TTL_MIN, TTL_MAX, TTL_DEFAULT = 300, 86_400, 3_600
"""Seconds that a token lives. Microsoft's SDK for Python renews 120 s before the end, and never what lives shorter."""
RENEW_AT = 0.8
"""The part of its life after which a token should be renewed: as Microsoft's SDK for C does it."""
STATUSES = {
    "door-request-invalid": HTTPStatus.BAD_REQUEST,
    "door-refused": HTTPStatus.FORBIDDEN,
    "not-provisioned": HTTPStatus.CONFLICT,
    "token-needs-key": HTTPStatus.CONFLICT,
    "door-busy": HTTPStatus.TOO_MANY_REQUESTS,
    "worker-failed": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""By code of the problem; all others are 503: something is wrong on the device, and may be mended."""


class GiveToken(NamedTuple):
    """Answer with a token that lives for `ttl` seconds; as_text: with nothing besides."""

    ttl: int = TTL_DEFAULT
    as_text: bool = False


class GiveIdentity(NamedTuple):
    """Answer with what connection.json says."""


class Follow(NamedTuple):
    """Answer with what connection.json says, now and each time that it changes."""


class Recheck(NamedTuple):
    """Have the daemon look whether the hub still lets the device in."""


Ask = GiveToken | GiveIdentity | Follow | Recheck


class Grant(NamedTuple):
    """A token, and all else that an MQTT client puts into CONNECT. expires_at, renew_after: seconds since 1970."""

    connection: Connection
    token: str
    expires_at: int
    renew_after: int


def parse_ask(data: bytes) -> Ask | None:
    """Parse all that has arrived of a request; None: the rest is still to come. Raises HttpError."""
    request = parse_request(data)
    if request is None:
        return None
    methods = _ROUTES.get(request.path)
    if methods is None:
        raise HttpError(HTTPStatus.NOT_FOUND, f"there is none but {', '.join(_ROUTES)}")
    parse = methods.get(request.method)
    if parse is None:
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} is asked by {' or '.join(methods)}")
    return parse(request)


def grant(connection: Connection, sign: Callable[[bytes], bytes], ttl: int, now: float) -> Grant:
    """Make a token. sign: gives HMAC-SHA256 under the device's key. now: seconds since 1970."""
    expires_at = int(now) + ttl
    token = encode_token(make_hub_resource(connection.iothub_hostname, connection.device_id), expires_at, sign)
    return Grant(connection, token, expires_at, int(now + ttl * RENEW_AT))


def answer_grant(granted: Grant, as_text: bool) -> bytes:
    if as_text:
        return encode_response(HTTPStatus.OK, granted.token.encode(), TEXT)
    mqtt = granted.connection.mqtt
    told = {
        "version": VERSION,
        "hostname": granted.connection.iothub_hostname,
        "client_id": mqtt.client_id,
        "username": mqtt.username,
        "token": granted.token,
        "expires_at": format_time(granted.expires_at),
        "expires_at_unix": granted.expires_at,
        "renew_after_unix": granted.renew_after,
    }
    return encode_response(HTTPStatus.OK, _encode(told))


def answer_identity(document: bytes) -> bytes:
    """document: the text of connection.json."""
    return encode_response(HTTPStatus.OK, document)


def answer_recheck() -> bytes:
    return encode_response(HTTPStatus.ACCEPTED, _encode({"version": VERSION}))


def answer_problem(problem: Problem) -> bytes:
    status = STATUSES.get(problem.code, HTTPStatus.SERVICE_UNAVAILABLE)
    return _encode_problem(status, problem)


def answer_http_error(error: HttpError) -> bytes:
    return _encode_problem(error.status, Problem("door-request-invalid", str(error)))


def encode_event(document: bytes) -> bytes:
    """Return a server-sent event (https://html.spec.whatwg.org/#server-sent-events) of connection.json's text."""
    return b"event: connection\ndata: " + document.replace(b"\n", b"").strip() + b"\n\n"


def _encode_problem(status: HTTPStatus, problem: Problem) -> bytes:
    wait = {} if problem.retry_after is None else {"Retry_After": str(math.ceil(problem.retry_after))}
    return encode_response(status, _encode(encode_problem(problem)), JSON, **wait)


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _ask_token_by_get(request: Request) -> GiveToken:
    _check_empty(request, "format", "ttl")
    form, ttl = request.query.get("format", "json"), request.query.get("ttl", str(TTL_DEFAULT))
    if form not in ("json", "text"):
        raise HttpError(HTTPStatus.BAD_REQUEST, "format is json or text")
    if not re.fullmatch(r"[0-9]{1,9}", ttl):
        raise HttpError(HTTPStatus.BAD_REQUEST, "ttl is no number of seconds")
    return GiveToken(_checked_ttl(int(ttl)), as_text=form == "text")


def _ask_token_by_post(request: Request) -> GiveToken:
    _check_no_parameters(request)
    if not request.body:
        return GiveToken()
    try:
        table = parse_object(request.body, "body")
        table.check_names(("ttl",))
        ttl = table.optional_integer("ttl")
    except ShapeError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, printable(error)) from None
    return GiveToken() if ttl is None else GiveToken(_checked_ttl(ttl))


def _checked_ttl(ttl: int) -> int:
    if not TTL_MIN <= ttl <= TTL_MAX:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"ttl is not within {TTL_MIN} to {TTL_MAX} seconds")
    return ttl


def _ask_identity(request: Request) -> GiveIdentity:
    _check_empty(request)
    return GiveIdentity()


def _ask_events(request: Request) -> Follow:
    _check_empty(request)
    return Follow()


def _ask_recheck(request: Request) -> Recheck:
    _check_no_parameters(request)
    if request.body.strip() not in (b"", b"{}"):
        raise HttpError(HTTPStatus.BAD_REQUEST, "a recheck takes no body")
    return Recheck()


def _check_empty(request: Request, *known: str) -> None:
    _check_no_parameters(request, *known)
    if request.body:
        raise HttpError(HTTPStatus.BAD_REQUEST, "GET takes no body")


def _check_no_parameters(request: Request, *known: str) -> None:
    for name in request.query:
        if name not in known:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"the parameter '{printable(name, 40)}' is not known here")


_ROUTES: dict[str, dict[str, Callable[[Request], Ask]]] = {
    "/v1/token": {"GET": _ask_token_by_get, "POST": _ask_token_by_post},
    "/v1/identity": {"GET": _ask_identity},
    "/v1/events": {"GET": _ask_events},
    "/v1/recheck": {"POST": _ask_recheck},
}
