"""A sample agent: sends one message to the IoT Hub that dpsd found, and ends when the hub has taken it.

It needs paho-mqtt and what connection.env says (under systemd: EnvironmentFile=/var/lib/dpsd/connection.env), and
proves itself in the way that this names. What its unit needs for that:

    certificate and key in files        LoadCredential=device.key:/etc/dpsd/device.key, unless it is root's
    key on a token                      OPENSSL_CONF with pkcs11-provider, the token's module and its PIN
    both from systemd                   LoadCredential=dpsd.certificate and dpsd.private_key, as dpsd.service has them
    outputs.release_private_key         SupplementaryGroups=dpsd-agents
    outputs.connection_string           SupplementaryGroups=dpsd-agents

One that stays is started again for another hub by PartOf=dpsd-connection.target. An argument names a PEM file with the
roots to trust; without one the system's are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import quote

import paho.mqtt.client as mqtt

GIVEN = os.environ.get("CREDENTIALS_DIRECTORY", "")


def main(roots: str | None) -> None:
    hub, device = os.environ["IOTHUB_HOSTNAME"], os.environ["IOTHUB_DEVICE_ID"]
    context, password = ssl.create_default_context(cafile=roots), None
    if os.environ["IOTHUB_AUTH"] == "x509":
        load_certificate(context)
    elif "IOTHUB_CONNECTION_STRING_FILE" not in os.environ:
        sys.exit("agent: nothing is given to agents: set outputs.connection_string, see dpsd.toml(5)")
    else:
        password = token(Path(os.environ["IOTHUB_CONNECTION_STRING_FILE"]).read_text())
    arguments = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
    client = mqtt.Client(*arguments, client_id=device, protocol=mqtt.MQTTv311)
    client.username_pw_set(os.environ["IOTHUB_MQTT_USERNAME"], password)
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


def load_certificate(context: ssl.SSLContext) -> None:
    """Have `context` use the certificate and its key: from systemd, from a token, or from files."""
    if os.environ.get("IOTHUB_CREDENTIAL_STORE") == "systemd":
        context.load_cert_chain(f"{GIVEN}/dpsd.certificate", f"{GIVEN}/dpsd.private_key")
        return
    if "X509_CERT_FILE" not in os.environ:
        sys.exit("agent: nothing is given to agents: set outputs.release_private_key, see dpsd.toml(5)")
    certificate = os.environ["X509_CERT_FILE"]
    if "X509_KEY_URI" in os.environ:
        load_from_token(context, certificate, os.environ["X509_KEY_URI"])
    elif Path(GIVEN, "device.key").exists():
        context.load_cert_chain(certificate, f"{GIVEN}/device.key")
    else:
        context.load_cert_chain(certificate, os.environ["X509_KEY_FILE"])


def load_from_token(context: ssl.SSLContext, certificate: str, uri: str) -> None:
    """Name the key to OpenSSL by a PEM file, as pkcs11-provider wants it: DER of a description and of the URI."""
    der = encode(0x30, encode(0x1A, b"PKCS#11 Provider URI v1.0") + encode(0x0C, uri.encode()))
    name, text = "PKCS#11 PROVIDER URI", base64.encodebytes(der).decode()
    reference = os.memfd_create("key")
    os.write(reference, f"-----BEGIN {name}-----\n{text}-----END {name}-----\n".encode())
    try:
        context.load_cert_chain(certificate, f"/proc/self/fd/{reference}")
    except ssl.SSLError:
        raise
    except OSError:  # the provider's first look around leaves an errno behind, which Python takes for an error
        context.load_cert_chain(certificate, f"/proc/self/fd/{reference}")


def encode(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, *([0x80 | len(size)] if len(content) > 0x7F else []), *size]) + content


def token(connection_string: str) -> str:
    """Return a shared access signature for an hour, which is an MQTT client's password."""
    parts = dict(part.split("=", 1) for part in connection_string.strip().split(";"))
    resource = quote(f"{parts['HostName']}/devices/{parts['DeviceId']}", safe="")
    expiry = int(time.time()) + 3600
    key = base64.b64decode(parts["SharedAccessKey"])
    signature = base64.b64encode(hmac.digest(key, f"{resource}\n{expiry}".encode(), hashlib.sha256)).decode()
    return f"SharedAccessSignature sr={resource}&sig={quote(signature, safe='')}&se={expiry}"


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
