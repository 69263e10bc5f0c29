"""IoT Hub over MQTT: what a device and its hub say to each other, in both directions. Pure.

    from the device   Telemetry  TwinGet    TwinPatch      MethodAnswer     parse_request_topic
    from the hub      CloudMessage  ModuleInput  TwinReply  DesiredChange  MethodCall    parse_delivery_topic

Each is a topic as a value; `encode` makes the topic of it again. Bodies are in `twin` and `methods`, and `limits` has
what a hub takes at most.
"""

from dpsd.protocol.hub.bags import SYSTEM_PROPERTIES, Bag, encode_bag, parse_bag
from dpsd.protocol.hub.limits import CLOUD_MESSAGE_LIMIT, MESSAGE_LIMIT, TOPIC_LIMIT
from dpsd.protocol.hub.messages import CloudMessage, ModuleInput, Telemetry, cloud_filter, input_filter
from dpsd.protocol.hub.methods import METHOD_FILTER, MethodAnswer, MethodCall
from dpsd.protocol.hub.topics import Delivery, Request, is_filter_of, parse_delivery_topic, parse_request_topic
from dpsd.protocol.hub.twin import (
    DESIRED_FILTER,
    TWIN_REPLY_FILTER,
    DesiredChange,
    TwinGet,
    TwinPatch,
    TwinReply,
)

__all__ = (
    "CLOUD_MESSAGE_LIMIT",
    "DESIRED_FILTER",
    "MESSAGE_LIMIT",
    "METHOD_FILTER",
    "SYSTEM_PROPERTIES",
    "TOPIC_LIMIT",
    "TWIN_REPLY_FILTER",
    "Bag",
    "CloudMessage",
    "Delivery",
    "DesiredChange",
    "MethodAnswer",
    "MethodCall",
    "ModuleInput",
    "Request",
    "Telemetry",
    "TwinGet",
    "TwinPatch",
    "TwinReply",
    "cloud_filter",
    "encode_bag",
    "input_filter",
    "is_filter_of",
    "parse_bag",
    "parse_delivery_topic",
    "parse_request_topic",
)
