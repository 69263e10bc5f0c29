"""The piece of HTTP/1.1 that a door takes: a whole request, more to come, or a refusal that names what is wrong."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.doors.http import BODY_LIMIT, HEAD_LIMIT, HttpError, Request, encode_response, parse_request

GET = b"GET /v1/token?format=text&ttl=600 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
POST = b'POST /v1/token HTTP/1.1\r\nhost:localhost\r\nContent-Length: 11\r\n\r\n{"ttl":300}'


def test_a_request_is_read() -> None:
    assert parse_request(GET) == Request("GET", "/v1/token", {"format": "text", "ttl": "600"}, b"")
    assert parse_request(POST + b"more") == Request("POST", "/v1/token", {}, b'{"ttl":300}')


@pytest.mark.parametrize("whole", [GET, POST])
def test_a_part_of_a_request_waits_for_the_rest(whole: bytes) -> None:
    assert [parse_request(whole[:size]) for size in range(len(whole))] == [None] * len(whole)


LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", 400),
        (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\n" + HOST + b"\n", 400),
        (LINE + b"\r\n", 400),
        (LINE + HOST + HOST + b"\r\n", 400),
        (LINE + HOST + b" folded: line\r\n\r\n", 400),
        (LINE + HOST + b"no colon\r\n\r\n", 400),
        (LINE + HOST + b"na me: value\r\n\r\n", 400),
        (LINE + HOST + b"name: val\x00ue\r\n\r\n", 400),
        (LINE + HOST + b"a: b\r\n" * 64 + b"\r\n", 400),
        (LINE + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (LINE + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n.", 400),
        (LINE + HOST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413),
        (LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /?a=1&a=2 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /" + b"a" * HEAD_LIMIT, 400),
        (LINE + b"a: " + b"b" * HEAD_LIMIT + b"\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        parse_request(data)
    assert caught.value.status == status
    assert str(caught.value).isascii()


@given(st.binary(max_size=200), st.sampled_from([GET, POST, LINE]))
def test_a_refusal_never_repeats_what_was_sent(noise: bytes, start: bytes) -> None:
    try:
        parse_request(start[: len(noise)] + noise)
    except HttpError as error:
        assert (str(error).isprintable() and noise.decode("latin-1")[:8] not in str(error)) or len(noise) < 8


def test_a_response_says_its_length_and_that_the_connection_ends() -> None:
    answer = encode_response(HTTPStatus.TOO_MANY_REQUESTS, b"{}", Retry_After="3")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 429 Too Many Requests", b"Content-Type: application/json", b"Cache-Control: no-store",
        b"Connection: close", b"Content-Length: 2", b"Retry-After: 3",
    ]  # fmt: skip
    assert body == b"{}"
