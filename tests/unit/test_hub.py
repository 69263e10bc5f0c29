"""IoT Hub topics, in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol import hub
from tests.unit.examples import ANY_TEXT

NAME = st.from_regex(r"[A-Za-z0-9._:$-]+", fullmatch=True)
PROPERTY = st.from_regex(r"[$A-Za-z][A-Za-z.]*", fullmatch=True)


def test_the_topics_are_the_published_ones() -> None:
    assert hub.TWIN_REPLY_FILTER == "$iothub/twin/res/#"
    assert hub.encode_twin_get_topic("1") == "$iothub/twin/GET/?$rid=1"
    assert hub.encode_twin_patch_topic("1") == "$iothub/twin/PATCH/properties/reported/?$rid=1"
    assert hub.encode_telemetry_topic(hub.Telemetry("pi-1", None, {})) == "devices/pi-1/messages/events/"
    properties = hub.Telemetry("pi-1", "m", {"$.ct": "application/json"})
    assert hub.encode_telemetry_topic(properties) == "devices/pi-1/modules/m/messages/events/$.ct=application%2Fjson"


@given(st.builds(hub.Telemetry, NAME, st.none() | NAME, st.dictionaries(PROPERTY, st.text())))
def test_a_telemetry_topic_is_parsed_back(telemetry: hub.Telemetry) -> None:
    assert hub.parse_request_topic(hub.encode_telemetry_topic(telemetry)) == telemetry


@given(st.text())
def test_a_twin_request_is_parsed_back(request_id: str) -> None:
    assert hub.parse_request_topic(hub.encode_twin_get_topic(request_id)) == hub.TwinGet(request_id)
    assert hub.parse_request_topic(hub.encode_twin_patch_topic(request_id)) == hub.TwinPatch(request_id)


@pytest.mark.parametrize("query", ["", "?", "?rid=1"])
def test_a_twin_request_without_an_id_awaits_no_answer(query: str) -> None:
    assert hub.parse_request_topic(f"$iothub/twin/GET/{query}") == hub.TwinGet(None)
    assert hub.parse_request_topic(f"$iothub/twin/PATCH/properties/reported/{query}") == hub.TwinPatch(None)


@given(st.builds(hub.TwinReply, st.integers(100, 999), st.text(), st.none() | st.integers(0, 10**18 - 1)))
def test_a_twin_reply_is_parsed_back(reply: hub.TwinReply) -> None:
    assert hub.parse_twin_reply_topic(hub.encode_twin_reply_topic(reply)) == reply


@pytest.mark.parametrize("version", ["", "x", "-1", "٣", "9" * 19])
def test_a_version_that_is_no_number_is_left_out(version: str) -> None:
    topic = f"$iothub/twin/res/204/?$rid=1&$version={version}"
    assert hub.parse_twin_reply_topic(topic) == hub.TwinReply(204, "1", None)


@pytest.mark.parametrize("topic", ["", "devices//messages/events/", "devices/a/messages/events", "$iothub/twin/GET"])
def test_a_topic_that_is_no_request_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="not a telemetry or twin topic"):
        hub.parse_request_topic(topic)


@given(ANY_TEXT, st.sampled_from(["", "devices/", "$iothub/twin/GET/?", "$iothub/twin/res/200/?"]))
def test_any_topic_is_a_value_or_a_protocol_error(text: str, before: str) -> None:
    try:
        assert isinstance(hub.parse_request_topic(before + text), (hub.Telemetry, hub.TwinGet, hub.TwinPatch))
    except ProtocolError as error:
        assert str(error) == "not a telemetry or twin topic"
    try:
        assert isinstance(hub.parse_twin_reply_topic(before + text), hub.TwinReply)
    except ProtocolError as error:
        assert str(error) == "not a twin reply topic"
