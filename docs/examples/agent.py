"""A sample agent: sends one message to the IoT Hub that dpsd found, and ends when the hub has taken it.

It needs paho-mqtt and what connection.env says (under systemd: EnvironmentFile=/var/lib/dpsd/connection.env). A unit
that is not root's gets the key by LoadCredential=device.key:/etc/dpsd/device.key, and one that stays is started again
for another hub by PartOf=dpsd-connection.target. An argument names a PEM file with the roots to trust; without one the
system's are.
"""

from __future__ import annotations

import os
import ssl
import sys

import paho.mqtt.client as mqtt


def main(roots: str | None) -> None:
    hub, device = os.environ["IOTHUB_HOSTNAME"], os.environ["IOTHUB_DEVICE_ID"]
    context = ssl.create_default_context(cafile=roots)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    key = f"{credentials}/device.key" if credentials else os.environ["X509_KEY_FILE"]
    context.load_cert_chain(os.environ["X509_CERT_FILE"], key)
    arguments = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
    client = mqtt.Client(*arguments, client_id=device, protocol=mqtt.MQTTv311)
    client.username_pw_set(os.environ["IOTHUB_MQTT_USERNAME"])
    client.tls_set_context(context)
    client.connect(hub, int(os.environ["IOTHUB_MQTT_PORT"]))
    client.loop_start()
    topic = f"devices/{device}/messages/events/$.ct=application%2Fjson"
    message = client.publish(topic, b'{"temperature": 21.5}', qos=1)
    message.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    print(f"agent: {hub} has taken the message" if message.is_published() else "agent: the hub did not answer")
    sys.exit(0 if message.is_published() else 1)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
