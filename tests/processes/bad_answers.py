"""What a server can do to dpsd: rows for the emulator's list of faults, and how an attempt ends under each.

Each row happens whenever its moment comes, so that no second connection goes past it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.emulator.wire.faults import ALERTS

Row = dict[str, Any]


class End(NamedTuple):
    """A problem and dpsctl's exit status."""

    code: str
    exit_status: int


LOST = End("connection-lost", 69)
INVALID = End("dps-reply-invalid", 69)
UNAVAILABLE = End("dps-unavailable", 69)
THROTTLED = End("dps-throttled", 75)
ASSIGNING = End("dps-assigning", 75)
REJECTED = End("mqtt-rejected", 77)
ALERT = End("tls-alert", 69)
INTERCEPTED = End("intercepted", 69)

REPLY: Row = {"on": "register-reply", "do": "reply"}
POLL: Row = {"on": "poll-reply", "do": "reply"}
REFUSED: Row = {"on": "connack", "do": "code", "code": 5, "service": "hub"}
"""The hub does not let the device in."""
OLD_HELLO = "160302002a020000260302" + "00" * 32 + "00c01300"
"""A ServerHello of TLS 1.1, as a server answers that has never heard of anything newer."""

CUTS: dict[str, tuple[Row, End]] = {
    f"{deed} at {moment}": ({"on": moment, "do": deed}, LOST)
    for moment in (
        *("accept", "connect", "connack", "subscribe", "suback", "register", "puback", "register-reply"),
        *("acknowledge", "poll"),
    )
    for deed in ("drop", "reset", "hang-up")
}
"""The connection ends at each packet, in each way."""

FAILURES: dict[str, tuple[Row, End]] = {
    **CUTS,
    "drop after the PUBACK of the poll": ({"on": "puback", "do": "drop", "nth": 2}, LOST),
    "drop in the middle of CONNACK": ({"on": "connack", "do": "cut", "size": 1}, LOST),
    "drop in the middle of a reply": ({"on": "register-reply", "do": "cut", "size": 9}, LOST),
    "drop in the middle of the outcome": ({"on": "poll-reply", "do": "cut", "size": 200}, LOST),
    # TLS
    "an expired certificate": (
        {"on": "accept", "do": "certificate", "which": "expired"},
        End("tls-certificate-dates", 69),
    ),
    "a certificate of tomorrow": (
        {"on": "accept", "do": "certificate", "which": "not-yet-valid"},
        End("tls-certificate-dates", 69),
    ),
    "a wrong name": ({"on": "accept", "do": "certificate", "which": "wrong-name"}, End("tls-wrong-name", 69)),
    "an unknown authority": ({"on": "accept", "do": "certificate", "which": "unknown-ca"}, INTERCEPTED),
    "TLS 1.0": ({"on": "accept", "do": "tls", "version": "1.0"}, ALERT),
    "TLS 1.1": ({"on": "accept", "do": "tls", "version": "1.1"}, ALERT),
    "TLS 1.1 of an old server": ({"on": "accept", "do": "raw", "hex": OLD_HELLO}, End("tls-failed", 69)),
    "no TLS": ({"on": "accept", "do": "raw", "hex": b"SSH-2.0-OpenSSH\r\n".hex()}, End("tls-failed", 69)),
    "noise": ({"on": "accept", "do": "raw", "size": 500}, End("tls-failed", 69)),
    **{f"the alert {which}": ({"on": "accept", "do": "alert", "which": which}, ALERT) for which in ALERTS},
    "an alert for the client": ({"on": "accept", "do": "tls", "version": "1.2", "trust": "none"}, ALERT),
    "an alert after TLS 1.3": ({"on": "accept", "do": "tls", "version": "1.3", "trust": "none"}, ALERT),
    # MQTT
    "CONNACK 1": ({"on": "connack", "do": "code", "code": 1}, REJECTED),
    "CONNACK 2": ({"on": "connack", "do": "code", "code": 2}, REJECTED),
    "CONNACK 3": ({"on": "connack", "do": "code", "code": 3}, End("mqtt-unavailable", 69)),
    "CONNACK 4": ({"on": "connack", "do": "code", "code": 4}, End("mqtt-unauthorized", 77)),
    "CONNACK 5": ({"on": "connack", "do": "code", "code": 5}, End("mqtt-unauthorized", 77)),
    "CONNACK 255": ({"on": "connack", "do": "code", "code": 255}, REJECTED),
    "SUBACK 0x80": ({"on": "suback", "do": "code", "code": 128}, End("mqtt-subscribe-refused", 69)),
    "no MQTT for CONNACK": ({"on": "connack", "do": "raw", "hex": "f000"}, REJECTED),
    "no MQTT for a reply": ({"on": "register-reply", "do": "raw", "hex": "30050003fffefd"}, INVALID),
    # The status of a reply
    "status 400": ({**REPLY, "status": 400}, End("dps-bad-request", 77)),
    "status 401": ({**REPLY, "status": 401, "errorCode": 401002}, End("dps-unauthorized", 77)),
    "status 403": ({**REPLY, "status": 403}, End("dps-unauthorized", 77)),
    "status 404": ({**REPLY, "status": 404}, End("dps-not-found", 77)),
    "status 409": ({**REPLY, "status": 409}, End("dps-conflict", 69)),
    "status 412": ({**REPLY, "status": 412, "message": "Precondition failed"}, End("dps-conflict", 69)),
    "status 429": ({**REPLY, "status": 429, "retryAfter": "7"}, THROTTLED),
    "status 429 without a time": ({**REPLY, "status": 429, "retryAfter": None}, THROTTLED),
    "status 429 on a poll": ({**POLL, "status": 429, "retryAfter": "-1"}, THROTTLED),
    "status 500": ({**REPLY, "status": 500, "retryAfter": "abc"}, UNAVAILABLE),
    "status 503 on a poll": ({**POLL, "status": 503, "retryAfter": None}, UNAVAILABLE),
    "status 999": ({**REPLY, "status": 999}, UNAVAILABLE),
    "status 302": ({**REPLY, "status": 302}, UNAVAILABLE),
    "status 42": ({**REPLY, "status": 42}, INVALID),
    "poll again in a day": ({**REPLY, "retryAfter": "100000"}, ASSIGNING),
    "poll again in 61 s": ({**POLL, "status": 202, "registrationStatus": "assigning", "retryAfter": "61"}, ASSIGNING),
    # The body of a reply
    "not JSON": ({**REPLY, "body": "{]"}, INVALID),
    "JSON that is no object": ({**REPLY, "body": "[1]"}, INVALID),
    "deep JSON": ({**REPLY, "body": "[" * 50_000}, INVALID),
    "not UTF-8": ({**REPLY, "bodyHex": "fffe00"}, INVALID),
    "an empty body": ({**REPLY, "body": ""}, INVALID),
    "a truncated body": ({**REPLY, "bodyCut": 40}, INVALID),
    "a truncated outcome": ({**POLL, "bodyCut": 200}, INVALID),
    "a body above 96 KB": ({**REPLY, "bodySize": 120_000}, INVALID),
    "a body of exactly 96 KB without an operation": ({**REPLY, "bodySize": 96 * 1024}, INVALID),
    "another topic": ({**REPLY, "topic": "$dps/other"}, INVALID),
    "a topic without status": ({**REPLY, "topic": "$dps/registrations/res/x/?$rid=1"}, INVALID),
    # The outcome
    "status failed": ({**POLL, "registrationStatus": "failed"}, End("dps-failed", 77)),
    "status disabled": ({**POLL, "registrationStatus": "disabled"}, End("dps-disabled", 77)),
    "status unheard of": ({**POLL, "registrationStatus": "dancing"}, INVALID),
    "status unassigned": ({**POLL, "registrationStatus": "unassigned"}, End("dps-unassigned", 77)),
    "status blacklisted": ({**POLL, "registrationStatus": "blacklisted"}, End("dps-disabled", 77)),
    "no hub": ({**POLL, "state": {"assignedHub": None}}, INVALID),
    "a hub that is no name": ({**POLL, "state": {"assignedHub": "h\nREADY=1"}}, End("assignment-invalid", 77)),
    "a device id with a quote": ({**POLL, "state": {"deviceId": "a'b"}}, End("assignment-invalid", 77)),
    "a profile unheard of": ({**POLL, "state": {"connectionProfile": "amqp"}}, End("assignment-invalid", 77)),
    "a hub of MQTT 5": ({**POLL, "state": {"connectionProfile": "mqttV5"}}, End("assignment-mqtt5", 77)),
}
"""Rows that end an attempt at once, by name, before a hub is assigned."""

HUB_FAILURES: dict[str, tuple[Row, End]] = {
    "the hub drops the connection": ({"on": "connect", "do": "drop", "service": "hub"}, LOST),
    "the hub cannot now": ({"on": "connack", "do": "code", "code": 3, "service": "hub"}, End("hub-unavailable", 69)),
    "the hub shows another's certificate": (
        {"on": "accept", "do": "certificate", "which": "wrong-name", "nth": 2},
        End("tls-wrong-name", 69),
    ),
    "the hub is intercepted": (
        {"on": "accept", "do": "certificate", "which": "unknown-ca", "nth": 2},
        INTERCEPTED,
    ),
}
"""Rows that end an attempt when it tries the assigned hub."""

HTTP: Row = {"on": "upgrade-reply", "do": "http"}
UPGRADED: Row = {**HTTP, "status": 101}
WEBSOCKET_FAILURES: dict[str, tuple[Row, End]] = {
    **{
        f"{deed} at {moment}": ({"on": moment, "do": deed}, LOST)
        for moment in ("upgrade", "upgrade-reply", "register")
        for deed in ("drop", "reset", "hang-up")
    },
    "half an upgrade": ({"on": "upgrade-reply", "do": "cut", "size": 40}, LOST),
    "no HTTP": ({"on": "upgrade-reply", "do": "raw", "hex": b"SSH-2.0-OpenSSH\r\n\r\n".hex()}, INTERCEPTED),
    "HTTP before its time": ({"on": "upgrade", "do": "raw", "hex": b"\r\n".hex()}, INTERCEPTED),
    "two upgrades": ({"on": "upgrade-reply", "do": "duplicate"}, REJECTED),
    "a login page": ({**HTTP, "status": 200, "body": "<html>log in</html>"}, INTERCEPTED),
    "a redirection": ({**HTTP, "status": 302, "headers": {"Location": "http://portal.example/"}}, INTERCEPTED),
    "HTTP status 503": ({**HTTP, "status": 503}, INTERCEPTED),
    "an upgrade by somebody else": ({**UPGRADED, "headers": {"Sec-WebSocket-Accept": "AAAA"}}, INTERCEPTED),
    "an upgrade to nothing": ({**UPGRADED, "headers": {"Sec-WebSocket-Protocol": None}}, INTERCEPTED),
    "a close frame for CONNACK": ({"on": "connack", "do": "frame", "kind": "close", "hex": "03e9"}, LOST),
    "a close frame for a reply": ({"on": "register-reply", "do": "frame", "kind": "close"}, LOST),
    "text for CONNACK": ({"on": "connack", "do": "frame", "kind": "text", "hex": "6869"}, REJECTED),
    "text for a reply": ({"on": "register-reply", "do": "frame", "kind": "text", "hex": "6869"}, INVALID),
    "an opcode unheard of": ({"on": "register-reply", "do": "frame", "kind": "reserved"}, INVALID),
    "half a frame": ({"on": "register-reply", "do": "cut", "size": 9}, LOST),
}
"""Rows that end an attempt over WebSocket."""

WEBSOCKET_SURVIVED: dict[str, Row] = {
    "a ping": {"on": "suback", "do": "frame", "kind": "ping", "hex": "01"},
    "a pong that nobody asked": {"on": "suback", "do": "frame", "kind": "pong"},
    "a packet over frames": {"on": "register-reply", "do": "split", "size": 7},
    "a frame of packets": {"on": "puback", "do": "join"},
    "a message in fragments": {"on": "register-reply", "do": "fragment", "size": 7},
    "a single fragment": {"on": "poll-reply", "do": "fragment", "size": 5000},
}
"""Rows under which the device is provisioned all the same over WebSocket."""

SURVIVED: dict[str, Row] = {
    "everything twice": {"on": "register-reply", "do": "duplicate"},
    "the outcome twice": {"on": "poll-reply", "do": "duplicate"},
    "SUBACK byte by byte": {"on": "suback", "do": "split", "size": 1},
    "the outcome byte by byte": {"on": "poll-reply", "do": "split", "size": 1},
    "PUBACK and reply at once": {"on": "puback", "do": "join"},
    "no PUBACK": {"on": "puback", "do": "omit"},
    "a late CONNACK": {"on": "connack", "do": "delay", "seconds": 2},
    "a ping that nobody asked": {"on": "register", "do": "raw", "hex": "d000"},
    "the end after the outcome": {"on": "poll-reply", "do": "drop"},
    "a reset instead of the end": {"on": "disconnect", "do": "reset"},
    "a member unheard of": {**POLL, "state": {"weather": {"rain": True}}},
    **{f"retry-after {text}": {**REPLY, "retryAfter": text} for text in ("0", "-1", "abc", "1.5", "", None)},
    "one more poll": {**POLL, "status": 202, "registrationStatus": "assigning", "retryAfter": "0", "times": 1},
}
"""Rows under which the device is provisioned all the same."""

SILENT: dict[str, Row] = {
    "no CONNACK": {"on": "connack", "do": "silence"},
    "no SUBACK": {"on": "suback", "do": "omit"},
    "no reply": {"on": "register-reply", "do": "omit"},
    "no outcome": {"on": "poll", "do": "silence"},
    "a wrong request id": {**REPLY, "requestId": "another"},
    "no request id": {**REPLY, "requestId": None},
    "no request id on a poll": {**POLL, "requestId": None},
    "no CONNACK of the hub": {"on": "connack", "do": "silence", "service": "hub"},
}
"""Rows that end an attempt by `no-answer`, 30 s later."""

_FAILING = (FAILURES, HUB_FAILURES, WEBSOCKET_FAILURES)
_OTHER = (SURVIVED, WEBSOCKET_SURVIVED, SILENT)
ROWS: list[Row] = [
    *(row for table in _FAILING for row, _ in table.values()),
    *(row for table in _OTHER for row in table.values()),
]
