"""Microsoft's SDK as a device: registers, sends a message to its hub, reads its twin; prints one JSON line.

Runs in the SDK's own virtual environment (it needs paho-mqtt 1): azure_device.py FOLDER ADDRESS ID-SCOPE CA TRANSPORT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient


def main(folder: Path, address: str, id_scope: str, ca: str, transport: str) -> None:
    """Do it all once; any failure is an exception, so a traceback."""
    options = {"server_verification_cert": Path(ca).read_text(), "websockets": transport == "websocket"}
    registration, hub = _clients(folder, options)
    result = registration(address, folder.name, id_scope).register()
    state = result.registration_state
    device = hub(state.assigned_hub, state.device_id)
    device.connect()
    message = Message(f"hello from {folder.name} over {transport}")
    message.custom_properties["colour"] = "red & blue"
    device.send_message(message)
    device.patch_twin_reported_properties({"transport": transport})
    twin = device.get_twin()
    device.shutdown()
    outcome = {"status": result.status, "hub": state.assigned_hub, "device": state.device_id, "twin": twin}
    print(json.dumps({**outcome, "substatus": state.sub_status}))


def _clients(folder: Path, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return what makes a provisioning client and what makes a hub client, for a certificate or a key."""
    if (folder / "device.pem").exists():
        x509 = X509(str(folder / "device.pem"), str(folder / "device.key"))
        register, connect = (
            ProvisioningDeviceClient.create_from_x509_certificate,
            IoTHubDeviceClient.create_from_x509_certificate,
        )
        return (
            lambda host, name, scope: register(host, name, scope, x509, **options),
            lambda hub, name: connect(x509, hub, name, **options),
        )
    key = (folder / "primary.key").read_text().strip()
    by_key, connect_by_key = (
        ProvisioningDeviceClient.create_from_symmetric_key,
        IoTHubDeviceClient.create_from_symmetric_key,
    )
    return (
        lambda host, name, scope: by_key(host, name, scope, key, **options),
        lambda hub, name: connect_by_key(key, hub, name, **options),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
