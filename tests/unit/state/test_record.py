"""The record, the connection and the worker's events are read back as they were written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import PROBLEMS, Problem, encode_problem
from dpsd.shape import ShapeError, Table
from dpsd.state.connection import Authentication, Connection, Mqtt, encode_connection, parse_connection
from dpsd.state.messages import (
    Carry,
    Done,
    Event,
    Failed,
    Orders,
    Step,
    Watch,
    encode_event,
    encode_orders,
    parse_event,
    parse_orders,
    parse_problem,
)
from dpsd.state.record import (
    LAST_MOMENT,
    Binding,
    Details,
    Record,
    Validity,
    differences,
    encode_record,
    parse_record,
    render_record,
    updated,
)
from dpsd.state.trial import Trial
from tests.unit.examples import ANY_TEXT, CONNECTION, JSON_VALUES, RECORD

OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=3)
MAYBE = st.none() | ANY_TEXT
AUTHENTICATIONS = st.builds(Authentication, ANY_TEXT, *[MAYBE] * 8)
MQTT = st.builds(Mqtt, ANY_TEXT, st.integers(), ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, MAYBE, MAYBE)
CONNECTIONS = st.builds(
    Connection, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, AUTHENTICATIONS, MQTT, ANY_TEXT, ANY_TEXT, ANY_TEXT
)
BINDINGS = st.builds(Binding, *[ANY_TEXT] * 5)
MOMENTS = st.floats(-LAST_MOMENT, LAST_MOMENT)
VALIDITIES = st.none() | st.builds(Validity, MOMENTS, MOMENTS)
DETAILS = st.builds(Details, ANY_TEXT, ANY_TEXT, ANY_TEXT)
MAYBE_OBJECT, FLAGS = st.none() | OBJECTS, st.booleans()
RECORDS = st.builds(
    Record, BINDINGS, OBJECTS, CONNECTIONS, JSON_VALUES, FLAGS, FLAGS, MAYBE_OBJECT, VALIDITIES, DETAILS
)
SENTENCES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)
"""What a problem is made of: outside text in it has gone through `printable`."""
CARRIES = st.builds(Carry, MAYBE, st.booleans(), st.none() | st.floats(0, 1e9), MAYBE)
TRIALS = st.builds(Trial, st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3), ANY_TEXT)
ORDERS = st.builds(Orders, FLAGS, FLAGS, st.none() | st.floats(0, 1e9), CARRIES, TRIALS)
EVENTS = CARRIES | st.builds(Step, ANY_TEXT) | st.builds(Watch, OBJECTS) | st.builds(Done, RECORDS, st.booleans())


@given(CONNECTIONS)
def test_a_connection_is_parsed_back(connection: Connection) -> None:
    assert parse_connection(Table(encode_connection(connection))) == connection


def test_the_document_of_a_connection_is_the_promised_one() -> None:
    document = encode_connection(CONNECTION)
    assert next(iter(document.items())) == ("version", 1)
    assert document["authentication"] == {
        "type": "x509",
        "certificate_file": "/etc/dpsd/device.pem",
        "private_key_file": "/etc/dpsd/device.key",
    }
    assert document["mqtt"]["port"] == 8883 and document["mqtt"]["proxy"] is None
    assert "path" not in document["mqtt"]


@given(RECORDS)
def test_a_record_is_parsed_back(record: Record) -> None:
    assert parse_record(render_record(record)) == record


@pytest.mark.parametrize("path", ["binding", "inputs", "connection", "binding.credential", "connection.mqtt.port"])
def test_a_record_without_a_part_is_refused(path: str) -> None:
    document: dict[str, Any] = json.loads(render_record(RECORD))
    *outer, last = path.split(".")
    inner = document
    for name in outer:
        inner = inner[name]
    del inner[last]
    with pytest.raises(ShapeError, match=rf"{path}: is missing"):
        parse_record(json.dumps(document))


@given(st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_event_or_a_shape_error(line: bytes) -> None:
    try:
        assert isinstance(parse_event(line), (Step, Watch, Done, Failed))
    except ShapeError as error:
        assert str(error).startswith(("event: ", "event.", "problem."))


@given(EVENTS)
def test_an_event_is_one_line_and_parsed_back(event: Event) -> None:
    line = encode_event(event)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert parse_event(line) == event


@given(ORDERS)
def test_orders_are_parsed_back(orders: Orders) -> None:
    assert parse_orders(encode_orders(orders)) == orders


@given(
    code=st.sampled_from(sorted(PROBLEMS)),
    texts=st.tuples(SENTENCES, SENTENCES.filter(bool)),
    retry_after=st.none() | st.integers(-1, 10**9) | st.floats(0, 1e9),
    also=st.lists(SENTENCES).map(tuple),
    window=st.integers(0, 86_400),
)
def test_a_failure_keeps_all_that_the_problem_says(
    code: str, texts: tuple[str, str], retry_after: float | None, also: tuple[str, ...], window: int
) -> None:
    said, hint = texts
    problem = Problem(code, said, hint=hint, retry_after=retry_after, also=also, window=window)
    read = parse_event(encode_event(Failed(problem)))
    assert isinstance(read, Failed)
    assert encode_problem(read.problem) == encode_problem(problem)
    assert read.problem.kind == PROBLEMS[code]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"code": "no-such-code"}, "'no-such-code' is not known"),
        ({"sentence": 7}, "sentence: expected a string"),
        ({"retry_after": "soon"}, "retry_after: expected an integer"),
        ({"also": None}, "also: expected a list"),
    ],
)
def test_a_problem_with_a_wrong_part_is_refused(changed: dict[str, Any], said: str) -> None:
    written = encode_problem(Problem("no-answer", "said"))
    assert parse_problem(Table(written)).sentence == "said"
    with pytest.raises(ShapeError, match=said):
        parse_problem(Table({**written, **changed}))


PI = Details("Raspberry Pi 4 Model B Rev 1.5", "", "0353445343313647")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (PI, PI, []),
        (PI, PI._replace(rpi_machine_id="00ff"), ["the firmware gives an rpi-machine-id"]),
        (
            PI._replace(rpi_machine_id="1"),
            PI._replace(rpi_machine_id="2"),
            ["the firmware gives another rpi-machine-id"],
        ),
        (PI, PI._replace(card="27"), ["the card is 27, it was 0353445343313647"]),
        (PI, Details(), []),
        (Details(), PI, ["the board's model is Raspberry Pi 4 Model B Rev 1.5", "the card is 0353445343313647"]),
    ],
)
def test_details_are_compared_where_both_sides_have_them_and_new_ones_told(
    before: Details, now: Details, said: list[str]
) -> None:
    assert differences(before, now) == said
    assert differences(updated(before, now), now) == []
    assert updated(before, Details()) == before


def test_a_record_of_a_version_that_knew_less_is_valid() -> None:
    document = encode_record(RECORD)
    del document["validity"], document["details"]
    assert parse_record(json.dumps(document)) == RECORD


@pytest.mark.parametrize("moment", [None, "soon", float("nan"), 1e14])
def test_a_record_with_an_odd_end_is_refused(moment: object) -> None:
    document = {**encode_record(RECORD), "validity": {"not_before": 0, "not_after": moment}}
    with pytest.raises(ShapeError, match="validity"):
        parse_record(json.dumps(document))


def test_a_record_says_its_version() -> None:
    assert encode_record(RECORD)["version"] == 1
