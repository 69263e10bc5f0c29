"""IoT Hub's topics, as devices and the hub write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol import hub
from dpsd.protocol.hub import (
    CloudMessage,
    Delivery,
    DesiredChange,
    MethodAnswer,
    MethodCall,
    ModuleInput,
    Request,
    Telemetry,
    TwinGet,
    TwinPatch,
    TwinReply,
    is_filter_of,
    parse_delivery_topic,
    parse_request_topic,
)
from tests.unit.examples import ANY_TEXT
from tests.unit.protocol.hub.properties import BAGS, NAMES

MODULES = st.none() | NAMES
NUMBERS = st.integers(0, 2**50)
REQUESTS = st.one_of(
    st.builds(Telemetry, NAMES, MODULES, BAGS),
    st.builds(TwinGet, st.none() | st.text()),
    st.builds(TwinPatch, st.none() | st.text()),
    st.builds(MethodAnswer, st.integers(-(2**31), 2**31 - 1), st.text()),
)
DELIVERIES = st.one_of(
    st.builds(CloudMessage, NAMES, MODULES, BAGS),
    st.builds(ModuleInput, NAMES, NAMES, NAMES, BAGS),
    st.builds(TwinReply, st.integers(100, 999), st.text(), st.none() | NUMBERS),
    st.builds(DesiredChange, st.none() | NUMBERS),
    st.builds(MethodCall, NAMES, st.text()),
)


@pytest.mark.parametrize(
    ("topic", "request_"),
    [
        ("devices/pi-1/messages/events/", Telemetry("pi-1", None, {})),
        ("devices/pi-1/messages/events/a=1/", Telemetry("pi-1", None, {"a": "1"})),
        (
            "devices/pi-1/modules/m/messages/events/$.ct=application%2Fjson",
            Telemetry("pi-1", "m", {"$.ct": "application/json"}),
        ),
        ("devices/a%3Ab/messages/events/", Telemetry("a:b", None, {})),
        ("devices/a:b/messages/events/", Telemetry("a:b", None, {})),
        ("$iothub/twin/GET/?$rid=4", TwinGet("4")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=5", TwinPatch("5")),
        ("$iothub/methods/res/200/?$rid=7", MethodAnswer(200, "7")),
        ("$iothub/methods/res/-1/?$rid=", MethodAnswer(-1, "")),
    ],
)
def test_what_devices_publish_to_is_read(topic: str, request_: Request) -> None:
    assert parse_request_topic(topic) == request_


# The first two, and the three of the twin but one, are from recorded sessions with the service.
@pytest.mark.parametrize(
    ("topic", "delivery"),
    [
        (
            "devices/pubsub/messages/devicebound/%24.mid=2c2db32a-9c41-4073-baa4-db584e021573&"
            "%24.to=%2Fdevices%2Fpubsub%2Fmessages%2Fdevicebound&%24.ce=utf-8&iothub-ack=none",
            CloudMessage(
                "pubsub",
                None,
                {
                    "$.mid": "2c2db32a-9c41-4073-baa4-db584e021573",
                    "$.to": "/devices/pubsub/messages/devicebound",
                    "$.ce": "utf-8",
                    "iothub-ack": "none",
                },
            ),
        ),
        (
            "devices/MySmartDevice/messages/devicebound/"
            "%24.to=%2Fdevices%2FMySmartDevice%2Fmessages%2FdeviceBound&foo=bar",
            CloudMessage("MySmartDevice", None, {"$.to": "/devices/MySmartDevice/messages/deviceBound", "foo": "bar"}),
        ),
        ("devices/pi/messages/devicebound", CloudMessage("pi", None, {})),
        ("devices/pi/modules/m/inputs/in1/a=1", ModuleInput("pi", "m", "in1", {"a": "1"})),
        ("devices/pi/modules/m/inputs/in1", ModuleInput("pi", "m", "in1", {})),
        ("$iothub/twin/res/204/?$rid=ho&$version=88", TwinReply(204, "ho", 88)),
        ("$iothub/twin/res/200/?$rid=4", TwinReply(200, "4")),
        ("$iothub/twin/res/400/", TwinReply(400, "")),
        ("$iothub/twin/PATCH/properties/desired/?$version=15", DesiredChange(15)),
        ("$iothub/twin/PATCH/properties/desired/?$version=x", DesiredChange(None)),
        ("$iothub/methods/POST/reboot/?$rid=1", MethodCall("reboot", "1")),
        ("$iothub/methods/POST/a%2Fb/?$rid=1", MethodCall("a/b", "1")),
    ],
)
def test_what_the_hub_publishes_to_is_read(topic: str, delivery: Delivery) -> None:
    assert parse_delivery_topic(topic) == delivery


def test_a_twin_reply_has_its_request_id_first_as_the_service_writes_it() -> None:
    assert TwinReply(204, "5", 6).encode() == "$iothub/twin/res/204/?$rid=5&$version=6"
    assert TwinReply(200, "4").encode() == "$iothub/twin/res/200/?$rid=4"


@given(REQUESTS)
def test_a_request_comes_back(request_: Request) -> None:
    assert parse_request_topic(request_.encode()) == request_


@given(DELIVERIES)
def test_a_delivery_comes_back(delivery: Delivery) -> None:
    assert parse_delivery_topic(delivery.encode()) == delivery


@given(REQUESTS | DELIVERIES)
def test_a_topic_has_no_wildcard_and_nothing_that_mqtt_forbids(value: Request | Delivery) -> None:
    topic = value.encode()
    assert topic.isascii() and not set(topic) & set("+#\0")


@pytest.mark.parametrize("query", ["", "?", "?rid=1"])
def test_a_twin_request_without_an_id_awaits_no_answer(query: str) -> None:
    assert parse_request_topic(f"$iothub/twin/GET/{query}") == TwinGet(None)
    assert parse_request_topic(f"$iothub/twin/PATCH/properties/reported/{query}") == TwinPatch(None)


@pytest.mark.parametrize(
    "topic",
    ["", "devices//messages/events/", "devices/a/messages/events", "$iothub/twin/GET", "$iothub/methods/res/ok/?"],
)
def test_a_topic_that_is_no_request_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="not a topic that devices publish to"):
        parse_request_topic(topic)


@pytest.mark.parametrize("topic", ["", "$iothub/twin/res/20/", "$iothub/methods/POST//?$rid=1", "$dps/x", "devices/a"])
def test_a_topic_that_is_no_delivery_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="not a topic that IoT Hub publishes to"):
        parse_delivery_topic(topic)


@given(ANY_TEXT, st.sampled_from(["", "devices/", "$iothub/twin/GET/?", "$iothub/twin/res/200/?", "$iothub/methods/"]))
def test_any_topic_is_a_value_or_a_protocol_error(text: str, before: str) -> None:
    for parse in (parse_request_topic, parse_delivery_topic):
        try:
            parse(before + text)
        except ProtocolError as error:
            assert str(error).startswith("not a topic that ")


@pytest.mark.parametrize(
    ("topic_filter", "device", "module", "own"),
    [
        (hub.TWIN_REPLY_FILTER, "pi", None, True),
        (hub.DESIRED_FILTER, "pi", None, True),
        (hub.METHOD_FILTER, "pi", "m", True),
        ("devices/pi/messages/devicebound/#", "pi", None, True),
        ("devices/a:b/messages/devicebound/#", "a:b", None, True),
        ("devices/a%3Ab/messages/devicebound/#", "a:b", None, True),
        ("devices/pi/messages/devicebound/#", "pi-2", None, False),
        ("devices/pi/messages/devicebound/#", "pi", "m", False),
        ("devices/pi/modules/m/inputs/#", "pi", "m", True),
        ("devices/pi/modules/m/inputs/#", "pi", None, False),
        ("#", "pi", None, False),
    ],
)
def test_an_identity_has_filters_of_its_own(topic_filter: str, device: str, module: str | None, own: bool) -> None:
    assert is_filter_of(topic_filter, device, module) is own
