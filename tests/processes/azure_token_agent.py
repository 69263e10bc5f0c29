"""Microsoft's SDK as an agent without a key: docs/examples/token_agent.py, with a renewal after two seconds.

Runs in the SDK's own virtual environment: azure_token_agent.py DOOR CA
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs/examples"))

import token_agent  # type: ignore[import-not-found]
from azure.iot.device.common.pipeline.pipeline_stages_base import SasTokenStage

LIFE, RENEWED_AFTER = 3600, 2
"""Seconds that a token lives, and after which the SDK is to want another one."""


def main(door: str, ca: str) -> None:
    """Send a message by the first token, and one by the second; any failure is an exception, so a traceback."""
    SasTokenStage.DEFAULT_TOKEN_UPDATE_MARGIN = LIFE - RENEWED_AFTER
    client = token_agent.make_client(door, server_verification_cert=Path(ca).read_text())
    renewed = threading.Event()
    renew = client.on_new_sastoken_required

    def note() -> None:
        SasTokenStage.DEFAULT_TOKEN_UPDATE_MARGIN = 120
        renew()
        renewed.set()

    client.on_new_sastoken_required = note
    client.connect()
    client.send_message("by the first token")
    assert renewed.wait(30), "the SDK asks for no other token"
    client.send_message("by the second token")
    client.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
