"""What a device wants to hear from its hub, and what it subscribes to for that.

A hub takes five subscriptions on a connection at most (Microsoft's "Communicate with IoT Hub using MQTT" page).
"""

from __future__ import annotations

import enum

from dpsd.protocol.hub.messages import cloud_filter
from dpsd.protocol.hub.methods import METHOD_FILTER
from dpsd.protocol.hub.twin import DESIRED_FILTER, TWIN_REPLY_FILTER


class Wish(enum.Flag):
    """TWIN: the answers to questions about the twin, reported properties included."""

    NOTHING = 0
    TWIN = 1
    DESIRED = 2
    METHODS = 4
    MESSAGES = 8
    ALL = 15


def filters(wish: Wish, device_id: str) -> list[str]:
    """Return the topic filters for what is wished."""
    every = {
        Wish.TWIN: TWIN_REPLY_FILTER,
        Wish.DESIRED: DESIRED_FILTER,
        Wish.METHODS: METHOD_FILTER,
        Wish.MESSAGES: cloud_filter(device_id),
    }
    return [topic_filter for one, topic_filter in every.items() if one in wish]
