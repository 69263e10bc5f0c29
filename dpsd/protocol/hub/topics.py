"""Any topic that is published at an IoT Hub, and the filters that a device or module subscribes to."""

from __future__ import annotations

from urllib.parse import unquote

from dpsd.errors import ProtocolError
from dpsd.protocol.hub.messages import (
    CloudMessage,
    ModuleInput,
    Telemetry,
    cloud_filter,
    input_filter,
    parse_cloud_message,
    parse_module_input,
    parse_telemetry,
)
from dpsd.protocol.hub.methods import METHOD_FILTER, MethodAnswer, MethodCall, parse_method_answer, parse_method_call
from dpsd.protocol.hub.twin import (
    DESIRED_FILTER,
    TWIN_REPLY_FILTER,
    DesiredChange,
    TwinGet,
    TwinPatch,
    TwinReply,
    parse_desired_change,
    parse_twin_reply,
    parse_twin_request,
)

Request = Telemetry | TwinGet | TwinPatch | MethodAnswer
"""What a device or module publishes to."""
Delivery = CloudMessage | ModuleInput | TwinReply | DesiredChange | MethodCall
"""What the hub publishes to."""


def parse_request_topic(topic: str) -> Request:
    """Parse what a device or module publishes to; raises ProtocolError."""
    found = parse_telemetry(topic) or parse_twin_request(topic) or parse_method_answer(topic)
    if found is None:
        raise ProtocolError("not a topic that devices publish to")
    return found


def parse_delivery_topic(topic: str) -> Delivery:
    """Parse what the hub publishes to; raises ProtocolError."""
    message = parse_cloud_message(topic) or parse_module_input(topic)
    found = message or parse_twin_reply(topic) or parse_desired_change(topic) or parse_method_call(topic)
    if found is None:
        raise ProtocolError("not a topic that IoT Hub publishes to")
    return found


def is_filter_of(topic_filter: str, device_id: str, module_id: str | None = None) -> bool:
    """Tell whether this device, or module, may subscribe to that; its ids may be percent-encoded in it."""
    own = cloud_filter(device_id) if module_id is None else input_filter(device_id, module_id)
    return topic_filter in (TWIN_REPLY_FILTER, DESIRED_FILTER, METHOD_FILTER) or unquote(topic_filter) == unquote(own)
