"""Registers a device with Microsoft's azure-iot-device: what a script without dpsd would do at first boot."""

import sys

from azure.iot.device import X509, ProvisioningDeviceClient

dps, scope, folder = sys.argv[1:]
with open(f"{folder}/ca.pem") as file:
    roots = file.read()
with open(f"{folder}/registration_id") as file:
    registration_id = file.read().strip()
client = ProvisioningDeviceClient.create_from_x509_certificate(
    provisioning_host=dps,
    registration_id=registration_id,
    id_scope=scope,
    x509=X509(f"{folder}/device.pem", f"{folder}/device.key"),
    server_verification_cert=roots,
)
result = client.register()
assert result.status == "assigned", result
