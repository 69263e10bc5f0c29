"""Microsoft's SDK as an agent: sends one message by the connection string that a file holds.

Runs in the SDK's own virtual environment: azure_agent.py FILE CA MESSAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

from azure.iot.device import IoTHubDeviceClient


def main(file: str, ca: str, message: str) -> None:
    """Do it once; any failure is an exception, so a traceback."""
    options = {"server_verification_cert": Path(ca).read_text()}
    client = IoTHubDeviceClient.create_from_connection_string(Path(file).read_text(), **options)
    client.connect()
    client.send_message(message)
    client.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
