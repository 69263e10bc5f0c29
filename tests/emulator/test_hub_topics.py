"""IoT Hub's topics, as the emulated hub reads and writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol import hub as hub_topics
from dpsd.protocol.hub import Telemetry, TwinGet, TwinPatch, TwinReply, encode_twin_reply_topic
from dpsd.protocol.query import encode_query, parse_query
from tests.unit.examples import ANY_TEXT

NAME = st.from_regex(r"[A-Za-z0-9._:$-]+", fullmatch=True)
PROPERTY = st.from_regex(r"[$A-Za-z][A-Za-z.]*", fullmatch=True)


@pytest.mark.parametrize(
    ("topic", "request_"),
    [
        ("$iothub/twin/GET/?$rid=1", TwinGet("1")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=1", TwinPatch("1")),
        ("devices/pi-1/messages/events/", Telemetry("pi-1", None, {})),
        (
            "devices/pi-1/modules/m/messages/events/$.ct=application%2Fjson",
            Telemetry("pi-1", "m", {"$.ct": "application/json"}),
        ),
    ],
)
def test_the_topics_are_the_published_ones(topic: str, request_: Telemetry | TwinGet | TwinPatch) -> None:
    assert hub_topics.parse_request_topic(topic) == request_


@given(NAME, st.dictionaries(PROPERTY, st.text()))
def test_a_telemetry_topic_is_read(device: str, properties: dict[str, str]) -> None:
    topic = f"devices/{device}/messages/events/{encode_query(properties)}"
    assert hub_topics.parse_request_topic(topic) == Telemetry(device, None, properties)


@given(st.text())
def test_a_twin_request_is_read(request_id: str) -> None:
    query = encode_query({"$rid": request_id})
    assert hub_topics.parse_request_topic(f"$iothub/twin/GET/?{query}") == TwinGet(request_id)
    assert hub_topics.parse_request_topic(f"$iothub/twin/PATCH/properties/reported/?{query}") == TwinPatch(request_id)


@pytest.mark.parametrize("query", ["", "?", "?rid=1"])
def test_a_twin_request_without_an_id_awaits_no_answer(query: str) -> None:
    assert hub_topics.parse_request_topic(f"$iothub/twin/GET/{query}") == TwinGet(None)
    assert hub_topics.parse_request_topic(f"$iothub/twin/PATCH/properties/reported/{query}") == TwinPatch(None)


@given(st.text())
def test_a_twin_reply_carries_the_id_of_its_request(request_id: str) -> None:
    topic, _, query = encode_twin_reply_topic(TwinReply(204, request_id, 7)).partition("?")
    assert topic == "$iothub/twin/res/204/"
    assert parse_query(query) == {"$rid": request_id, "$version": "7"}
    assert encode_twin_reply_topic(TwinReply(200, "1")) == "$iothub/twin/res/200/?$rid=1"


@pytest.mark.parametrize("topic", ["", "devices//messages/events/", "devices/a/messages/events", "$iothub/twin/GET"])
def test_a_topic_that_is_no_request_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="not a telemetry or twin topic"):
        hub_topics.parse_request_topic(topic)


@given(ANY_TEXT, st.sampled_from(["", "devices/", "$iothub/twin/GET/?", "$iothub/twin/res/200/?"]))
def test_any_topic_is_a_value_or_a_protocol_error(text: str, before: str) -> None:
    try:
        assert isinstance(hub_topics.parse_request_topic(before + text), (Telemetry, TwinGet, TwinPatch))
    except ProtocolError as error:
        assert str(error) == "not a telemetry or twin topic"
