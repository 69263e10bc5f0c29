"""As much of HTTP/1.1 (RFC 9112) as a door on a unix socket needs: one request, one response, and the end. Pure.

A connection has no second request, so that one that is about to close can never swallow it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from dpsd.protocol.query import parse_query

HEAD_LIMIT = 8192
"""Bytes of the request line and the headers."""
BODY_LIMIT = 1024
HEADER_COUNT = 64
JSON, TEXT, EVENTS = "application/json", "text/plain; charset=us-ascii", "text/event-stream"
_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ \t!-~\x80-\xff]*)")


class Request(NamedTuple):
    """path: without the query, as it was sent. query: the parameters, decoded."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


class HttpError(Exception):
    """A request that is answered by an HTTP status of its own; the message says what is wrong with it."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def parse_request(data: bytes) -> Request | None:
    """Parse all that has arrived; None: the rest is still to come. Raises HttpError, which never repeats the request.

    What follows after the request is not looked at.
    """
    head, ended, rest = data.partition(b"\r\n\r\n")
    if len(head) > HEAD_LIMIT:
        raise _bad(f"request line and headers have more than {HEAD_LIMIT} bytes")
    line, *fields = head.split(b"\r\n")
    if not ended:
        if b"\n" in line or (fields and not _LINE.fullmatch(line)):
            raise _bad("it is no request of HTTP/1.1")
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise _bad("it is no request of HTTP/1.1")
    headers = _parse_headers(fields)
    if "host" not in headers:
        raise _bad("it has no Host header")
    size = _body_size(headers)
    if len(rest) < size:
        return None
    path, _, query = found[2].decode().partition("?")
    return Request(found[1].decode(), path, _parse_parameters(query), rest[:size])


def encode_response(status: HTTPStatus, body: bytes, kind: str = JSON, **more: str) -> bytes:
    """Return a whole response. more: further headers, with _ for -."""
    return encode_head(status, kind, Content_Length=str(len(body)), **more) + body


def encode_head(status: HTTPStatus, kind: str, **more: str) -> bytes:
    """Return the beginning of a response that ends with the connection, unless it says its length."""
    fields = {"Content-Type": kind, "Cache-Control": "no-store", "Connection": "close"}
    fields.update({name.replace("_", "-"): value for name, value in more.items()})
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _parse_headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > HEADER_COUNT:
        raise _bad(f"it has more than {HEADER_COUNT} headers")
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise _bad("a line is no header")
        name = found[1].decode().lower()
        if name in headers and name in ("host", "content-length"):
            raise _bad(f"the header {name} is there twice")
        headers[name] = found[2].decode("latin-1").strip()
    return headers


def _body_size(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "a body needs Content-Length; Transfer-Encoding is not understood")
    size = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,15}", size):
        raise _bad("Content-Length is no number")
    if int(size) > BODY_LIMIT:
        raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {BODY_LIMIT} bytes")
    return int(size)


def _parse_parameters(query: str) -> dict[str, str]:
    fields = parse_query(query)
    if query and len(fields) != query.count("&") + 1:
        raise _bad("a parameter is there twice, or has no name")
    return fields


def _bad(sentence: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, sentence)
