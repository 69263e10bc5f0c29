"""An agent with Microsoft's SDK for Python (azure-iot-device) that gets its tokens from dpsd's token door.

It holds no key, and works whatever store the key is in. Its unit needs:

    SupplementaryGroups=dpsd-agents
    EnvironmentFile=/var/lib/dpsd/connection.env
    Restart=on-failure
    RestartSec=10
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from typing import Any

from azure.iot.device import IoTHubDeviceClient

AGAIN = 5
"""Seconds until the door is asked again where it cannot give a token now."""


def ask_token(door: str) -> str:
    """Return a token from the socket `door`, as soon as there is one.

    The SDK asks its handler only once for each renewal: it must not fail, so it tries again here.
    """
    while True:
        try:
            return _ask_once(door)
        except OSError as error:
            print(f"no token yet: {error}")
            time.sleep(AGAIN)


def _ask_once(door: str) -> str:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(door)
        connection.request("POST", "/v1/token", json.dumps({"ttl": 3600}))
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
    if response.status in (429, 503):
        raise OSError(answer["sentence"])
    if response.status != 200:
        raise SystemExit(f"{answer['code']}: {answer['sentence']}; {answer['hint']}")
    return str(answer["token"])


def make_client(door: str, **options: Any) -> IoTHubDeviceClient:
    """Return a client, not connected, that renews its token from the door."""
    client = IoTHubDeviceClient.create_from_sastoken(ask_token(door), **options)
    client.on_new_sastoken_required = lambda: client.update_sastoken(ask_token(door))
    return client


def main() -> None:
    client = make_client(os.environ["IOTHUB_IDENTITY_SOCKET"])
    client.connect()
    while True:
        client.send_message(json.dumps({"temperature": 21.5}))
        time.sleep(60)


if __name__ == "__main__":
    main()
