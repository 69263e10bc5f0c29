"""Targets for what agents say to the doors."""

from __future__ import annotations

import json

from dpsd.doors import token
from dpsd.doors.http import BODY_LIMIT, HEAD_LIMIT, HttpError
from dpsd.doors.who import unit_of
from dpsd.errors import PROBLEMS
from tests.fuzz.endings import check_line


def token_request(data: bytes) -> None:
    """A whole request to the token door; however it is cut, it is judged the same, and never wanted without end."""
    asked = judge(data)
    assert asked is not None or len(data) <= HEAD_LIMIT + BODY_LIMIT + 4
    for size in range(0, len(data), max(1, len(data) // 16)):
        assert judge(data[:size]) in (None, asked) or isinstance(asked, bytes)


def judge(data: bytes) -> token.Ask | bytes | None:
    """Return what is asked, or the answer to what is no request; fails unless that can be sent."""
    try:
        asked = token.parse_ask(data)
    except HttpError as error:
        answer = token.answer_http_error(error)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {error.status.value} ".encode())
        assert json.loads(body)["code"] in PROBLEMS
        check_line(str(error))
        return answer
    if isinstance(asked, token.GiveToken):
        assert token.TTL_MIN <= asked.ttl <= token.TTL_MAX
    return asked


def cgroup(data: bytes) -> None:
    """The text of /proc/PID/cgroup."""
    unit = unit_of(data.decode("utf-8", "replace"))
    assert unit == "" or (unit.endswith(".service") and "/" not in unit)


TARGETS = {"token-request": token_request, "cgroup": cgroup}
