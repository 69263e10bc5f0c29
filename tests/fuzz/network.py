"""Targets for what DPS and devices say: topics, bodies, logins, tokens, and whole registrations."""

from __future__ import annotations

import json
import re

from dpsd.configuration.settings import SETTINGS
from dpsd.errors import Problem, ProtocolError
from dpsd.outputs import FORMATS
from dpsd.protocol import dps
from dpsd.protocol.assignment import Assignment, check_hub_allowed, parse_assignment
from dpsd.protocol.identifiers import is_device_id, is_host_name, parse_endpoint
from dpsd.protocol.login import HubLogin, parse_login
from dpsd.protocol.query import encode_query, parse_query
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, StartOver, Wait, choose_poll_delay
from dpsd.protocol.sas import parse_key, parse_token
from dpsd.shape import ShapeError, Table, parse_object
from dpsd.state.connection import Connection, encode_connection, parse_connection
from dpsd.system.routes import has_new_route
from dpsd.system.time_sync import parse_moment
from dpsd.text import LIMIT, printable
from tests.fuzz.endings import check_line, check_shown, problems, refusing
from tests.unit.examples import CONNECTION

FROM_DPS = (
    *("dps-unauthorized", "dps-not-found", "dps-bad-request", "dps-disabled", "dps-failed", "dps-conflict"),
    *("dps-assigning", "dps-throttled", "dps-unavailable", "dps-reply-invalid", "dps-unassigned"),
    *("assignment-invalid", "assignment-mqtt5"),
)
"""How a registration may end besides with an assignment."""


def text_of(data: bytes) -> str:
    """Any text, lone surrogates included, which JSON and file names can hold."""
    return data.decode("utf-8", "surrogateescape")


def shown(data: bytes) -> None:
    """Outside text of any kind is one line within its limit; the first byte is the limit."""
    limit = data[0] if data else LIMIT
    told = printable(text_of(data[1:]), limit)
    check_line(told)
    assert len(told) <= limit


def reply_topic(data: bytes) -> None:
    with refusing(ProtocolError):
        reply = dps.parse_reply_topic(text_of(data))
        assert 0 <= reply.status <= 999
        assert 1 <= choose_poll_delay(reply.retry_after) <= 300


def retry_after(data: bytes) -> None:
    """The text of a retry-after, as it stands in a topic."""
    reply_topic(b"$dps/registrations/res/202/?$rid=a-1&retry-after=" + data)


def operation(data: bytes) -> None:
    with refusing(ProtocolError):
        parsed = dps.parse_operation(data)
        again = dps.parse_operation(dps.encode_operation(parsed))
        assert (again.operation_id, again.status) == (parsed.operation_id, parsed.status)


def fault(data: bytes) -> None:
    dps.encode_error_body(dps.parse_error_body(data), "")


def register_body(data: bytes) -> None:
    with refusing(ProtocolError):
        dps.parse_register_body(data)


def assignment(data: bytes) -> None:
    """A registrationState, as it stands in the body of an operation."""
    with refusing(ShapeError, ProtocolError), problems("assignment-invalid", "assignment-mqtt5"):
        check_assignment(parse_assignment(parse_object(data, "registrationState")))


def check_assignment(assigned: Assignment) -> None:
    """Fail unless every file can be rendered from it."""
    assert is_host_name(assigned.hub) and is_device_id(assigned.device_id)
    parse_moment(assigned.assigned_at)
    json.dumps(assigned.payload, indent=1, allow_nan=False)
    login = HubLogin(assigned.hub, assigned.device_id)
    assert parse_login(login.encode()) == login
    connection = connection_of(assigned)
    assert b"\nREADY" not in FORMATS["env"](connection)
    assert parse_connection(Table(json.loads(FORMATS["json"](connection)))) == connection
    encode_connection(connection)


def connection_of(assigned: Assignment) -> Connection:
    mqtt = CONNECTION.mqtt._replace(host=assigned.hub, username=HubLogin(assigned.hub, assigned.device_id).encode())
    return CONNECTION._replace(
        iothub_hostname=assigned.hub,
        device_id=assigned.device_id,
        mqtt=mqtt,
        substatus=assigned.substatus,
        assigned_at=assigned.assigned_at,
        etag=assigned.etag,
    )


def registration(data: bytes) -> None:
    """A whole conversation: what DPS says, parted by empty lines, each a topic, a newline and a body.

    Request ids are a-1, a-2, and so on. An empty message is a wait that ends.
    """
    machine = Registration("pi-1", None, "a")
    machine.start()
    follow(machine, [message.partition(b"\n")[::2] for message in data.split(b"\n\n")])


def follow(machine: Registration, messages: list[tuple[bytes, bytes]]) -> None:
    """Tell the machine all of it, and check what it does and asks."""
    action: Publish | Wait | Ignore | StartOver | Finish = machine.subscribed()
    asked = 1
    with problems(*FROM_DPS):
        for topic, body in messages:
            action = machine.received(topic.decode("utf-8", "replace"), body)
            if isinstance(action, Wait):
                assert 1 <= action.seconds <= 60
                assert isinstance(machine.received(topic.decode("utf-8", "replace"), body), Ignore)
                action = machine.waited()
            if isinstance(action, StartOver):
                machine.start()
                action = machine.subscribed()
            if isinstance(action, Publish):
                asked += 1
                assert action.topic.startswith("$dps/registrations/") and f"?$rid=a-{asked}" in action.topic
                assert len(action.body) <= dps.PAYLOAD_LIMIT
            if isinstance(action, Finish):
                check_assignment(action.assignment)
                break
    # What a later attempt gets as an argument.
    assert machine.operation_id is None or re.fullmatch(r"[!-~]{1,256}", machine.operation_id)


def login(data: bytes) -> None:
    with refusing(ProtocolError):
        parse_login(data.decode("utf-8", "replace")).encode()


def query(data: bytes) -> None:
    fields = parse_query(data.decode("utf-8", "replace"))
    plain = {str(number): value for number, value in enumerate(fields.values())}
    assert parse_query(encode_query(plain)) == plain


def token(data: bytes) -> None:
    try:
        parse_token(text_of(data))
    except ProtocolError as error:
        check_shown(Problem("credential-invalid", str(error)))


def key_text(data: bytes) -> None:
    with refusing(ProtocolError):
        assert 16 <= len(parse_key(data)) <= 64


def endpoint(data: bytes) -> None:
    try:
        found = parse_endpoint(text_of(data))
        assert 0 < found.port < 65536
        assert parse_endpoint(str(found)) == found
    except ValueError as error:
        check_line(str(error))


def hub_pattern(data: bytes) -> None:
    """A pattern of hub.allow, up to a line's end, and a hub's name."""
    pattern, _, name = text_of(data).partition("\n")
    with refusing(ValueError), problems("assignment-not-allowed"):
        check_hub_allowed(printable(name), SETTINGS["hub.allow"].check([pattern]))


def json_object(data: bytes) -> None:
    """Any JSON object; what is taken can also be written again, deeper on the stack and indented."""
    with refusing(ShapeError):
        json.dumps({"again": [parse_object(data).values]}, indent=1)


def routes(data: bytes) -> None:
    """Netlink messages, which the kernel sends, but cut and odd."""
    has_new_route(data)


TARGETS = {
    "shown-text": shown,
    "reply-topic": reply_topic,
    "retry-after": retry_after,
    "operation": operation,
    "fault": fault,
    "register-body": register_body,
    "assignment": assignment,
    "registration": registration,
    "login": login,
    "query": query,
    "token": token,
    "key-text": key_text,
    "endpoint": endpoint,
    "hub-pattern": hub_pattern,
    "json-object": json_object,
    "routes": routes,
}
