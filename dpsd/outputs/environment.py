"""The format of connection.env: systemd's EnvironmentFile= and a shell read single quotes alike."""

from __future__ import annotations

from dpsd.errors import Problem
from dpsd.state.connection import Connection

_FORBIDDEN = frozenset("'\"\\` ")


def render_environment(connection: Connection) -> bytes:
    """Return NAME='value' lines; raises Problem `assignment-invalid` for a value that one of the two would change."""
    values = {
        "IOTHUB_HOSTNAME": connection.iothub_hostname,
        "IOTHUB_DEVICE_ID": connection.device_id,
        "IOTHUB_AUTH": connection.authentication.type,
        "X509_CERT_FILE": connection.authentication.certificate_file,
        "X509_KEY_FILE": connection.authentication.private_key_file,
        "X509_KEY_URI": connection.authentication.private_key_uri,
        "X509_PKCS11_MODULE": connection.authentication.pkcs11_module,
        "IOTHUB_IDENTITY_SOCKET": connection.authentication.identity_socket,
        "IOTHUB_CONNECTION_STRING_FILE": connection.authentication.connection_string_file,
        "IOTHUB_CREDENTIAL_STORE": connection.authentication.store,
        "IOTHUB_MQTT_TRANSPORT": connection.mqtt.transport,
        "IOTHUB_MQTT_PORT": str(connection.mqtt.port),
        "IOTHUB_MQTT_USERNAME": connection.mqtt.username,
    }
    return "".join(_line(name, value) for name, value in values.items() if value is not None).encode()


def _line(name: str, value: str) -> str:
    if any(character in _FORBIDDEN or not "!" <= character <= "~" for character in value):
        raise Problem("assignment-invalid", f"{name} has a character that connection.env cannot carry")
    return f"{name}='{value}'\n"
