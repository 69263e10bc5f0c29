"""The settings: the record they end in, and one table that says what each may be.

Adding a setting is one row in `SETTINGS` and one field in a record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from dpsd.configuration.proxy import ENVIRONMENT, parse_proxy
from dpsd.configuration.stores import STORES
from dpsd.configuration.token_uri import parse_token_uri
from dpsd.protocol.assignment import PAYLOAD_DEPTH
from dpsd.protocol.identifiers import DPS_PORT, HOST_NAME_LIMIT, Endpoint, is_id_scope, parse_endpoint
from dpsd.protocol.transports import AUTO, MQTT, WEBSOCKET
from dpsd.shape import is_deeper
from dpsd.text import printable, suggest

PAYLOAD_LIMIT = 64 * 1024
"""Bytes of the largest payload, so that the register message stays below DPS's 96 KB."""

FIRMWARE_COMMAND = "/usr/bin/rpi-fw-crypto"
_DAY = 24 * 3600
_PADDED_BASE64 = re.compile(r"[A-Za-z0-9+/]+={1,2}")


class Dps(NamedTuple):
    id_scope: str
    global_endpoint: Endpoint
    registration_id: str | None
    payload: dict[str, Any] | None
    payload_file: str | None
    api_version: str


class CredentialSettings(NamedTuple):
    """Which credential, and where it is; what belongs to other stores is None, or has its default."""

    type: str
    store: str
    certificate_file: str | None
    private_key_file: str | None
    primary_key_file: str | None
    secondary_key_file: str | None
    token_uri: str | None = None
    module: str | None = None
    pin_file: str | None = None
    token_device: str | None = None
    firmware_command: str = FIRMWARE_COMMAND
    firmware_key_id: int = 1
    group_key_file: str | None = None
    allow_group_key: bool = False

    def secret_files(self) -> list[str]:
        """Return the paths that are configured of files that hold a secret."""
        return [path for name, path in self._asdict().items() if names_secret(name) and path is not None]

    def files(self) -> list[str]:
        """Return the paths of all files that are configured."""
        return [path for name, path in self._asdict().items() if names_file(name) and path is not None]


def names_secret(name: str) -> bool:
    """Tell whether a setting of [credential] is the path of a file that holds a secret."""
    return names_file(name) and name != "certificate_file"


def names_file(name: str) -> bool:
    """Tell whether a setting of [credential] is the path of a file."""
    return name.endswith("_file")


class Network(NamedTuple):
    """The settings of [network], each as dpsd.toml(5) describes it."""

    transport: str
    proxy: str | None
    proxy_password_file: str | None
    trusted_roots: str


class Hub(NamedTuple):
    """reprovision_after: seconds of refusals, 0: never."""

    check: str
    reprovision_after: int
    allow: tuple[str, ...]


class Fleet(NamedTuple):
    """Seconds over which first attempts are spread; volatile_window: where a reboot empties the state directory."""

    window: int
    volatile_window: int


class Clock(NamedTuple):
    """wait: seconds from the daemon's start."""

    wait: int


class Board(NamedTuple):
    """clone_guard: refuse | reprovision."""

    clone_guard: str


class Outputs(NamedTuple):
    """release_private_key, connection_string: the secret itself is given to agents, in memory."""

    environment: bool
    release_private_key: bool
    connection_string: bool


class Doors(NamedTuple):
    """Who may use the doors, besides root: whoever fits any entry; all empty: whoever the socket's mode lets in."""

    units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Import(NamedTuple):
    """usb: a stick may bring a bundle. replace: so may boot partition and stick where the device is configured."""

    usb: bool
    replace: bool
    fleet_key_file: str | None


class Layer(NamedTuple):
    """One configuration file: its path, for messages, and its text."""

    path: str
    text: str


class Config(NamedTuple):
    """The effective configuration; every value has passed its check."""

    dps: Dps
    credential: CredentialSettings
    network: Network
    hub: Hub
    fleet: Fleet
    clock: Clock
    board: Board
    outputs: Outputs
    imports: Import
    doors: Doors = Doors()


def check_payload(payload: dict[str, Any]) -> None:
    """Raise ValueError unless `payload` is JSON of at most PAYLOAD_LIMIT bytes and PAYLOAD_DEPTH levels."""
    if is_deeper(payload, PAYLOAD_DEPTH):
        raise ValueError(f"has more than {PAYLOAD_DEPTH} levels")
    try:
        size = len(json.dumps(payload, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise ValueError(f"is not JSON: {printable(error)}") from None
    if size > PAYLOAD_LIMIT:
        raise ValueError(f"has {size} bytes as JSON, {PAYLOAD_LIMIT} are allowed")


class Setting(NamedTuple):
    """One key. check: takes the TOML value, returns what the record holds, raises ValueError with what is wrong."""

    check: Callable[[Any], Any]
    default: Any
    meaning: str


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, found {_noun(value)}")
    if not value:
        raise ValueError("is empty")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {_noun(value)}")
    return value


def _seconds(longest: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected a number of seconds, found {_noun(value)}")
        if not 0 <= value <= longest:
            raise ValueError(f"{printable(value, 20)} is not within 0 to {longest} seconds")
        return value

    return check


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        if text not in allowed:
            raise ValueError(f"'{printable(text)}' is not one of {_or(allowed)}{suggest(text, allowed)}")
        return text

    return check


def _id_scope(value: Any) -> str:
    text = _text(value)
    if not is_id_scope(text):
        raise ValueError(f"'{printable(text)}' is not an id scope; copy it from the DPS overview page (0ne...)")
    return text


def _endpoint(value: Any) -> Endpoint:
    return parse_endpoint(_text(value))


def _api_version(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?", text):
        raise ValueError(f"'{printable(text)}' is not a version such as 2019-03-31")
    return text


def _payload(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {_noun(value)}")
    check_payload(value)
    return value


def _path(value: Any) -> str:
    """Refuse a pasted key too, which may start with a slash: from here on a path is shown in messages."""
    text = _text(value)
    if not text.startswith("/") or "\0" in text or _PADDED_BASE64.fullmatch(text):
        raise ValueError("is not an absolute path")
    return text


def _published_path(value: Any) -> str:
    path = _path(value)
    if not re.fullmatch(r"[!-~]+", path) or re.search(r"[\"'\\;]", path):
        raise ValueError(f"'{printable(path)}' has a character that connection.env cannot carry")
    return path


def _key_id(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 255:
        raise ValueError(f"expected a number from 1 to 255, found {printable(value, 20)}")
    return value


def _token_uri(value: Any) -> str:
    return parse_token_uri(_text(value)).uri


def _roots(value: Any) -> str:
    text = _text(value)
    return text if text in ("system", "azure") else _path(text)


def _proxy(value: Any) -> str:
    text = _text(value)
    return text if text == ENVIRONMENT else str(parse_proxy(text))


def _patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError("expected a list of host name patterns")
    if any(len(one) > HOST_NAME_LIMIT for one in value):
        raise ValueError(f"a pattern has more than {HOST_NAME_LIMIT} characters, which no host name has")
    return tuple(value)


def _units(value: Any) -> tuple[str, ...]:
    names = _names(value)
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,247}\.service", name)]
    if wrong:
        raise ValueError(f"'{printable(wrong[0])}' is not the name of a service, such as telemetry.service")
    return names


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError("expected a list of names")
    return tuple(value)


REQUIRED = object()

SETTINGS: dict[str, Setting] = {
    "dps.id_scope": Setting(_id_scope, REQUIRED, "the id scope of the Device Provisioning Service"),
    "dps.global_endpoint": Setting(
        _endpoint, Endpoint("global.azure-devices-provisioning.net", DPS_PORT), "host, host:port or [v6]:port"
    ),
    "dps.registration_id": Setting(_text, None, "default: the certificate's CN, lower-cased"),
    "dps.payload": Setting(_payload, None, "a table for the custom allocation policy"),
    "dps.payload_file": Setting(_path, None, "a JSON file instead of payload"),
    "dps.api_version": Setting(_api_version, "2019-03-31", "the DPS device API version"),
    "credential.type": Setting(_one_of("x509", "symmetric_key"), REQUIRED, "x509 or symmetric_key"),
    "credential.store": Setting(
        _one_of(*dict.fromkeys(store for _, store in STORES)), "files", "where the credential is"
    ),
    "credential.certificate_file": Setting(_published_path, None, "PEM: the leaf first, then its intermediates"),
    "credential.private_key_file": Setting(_published_path, None, "PEM, not encrypted"),
    "credential.primary_key_file": Setting(_path, None, "base64 of 16 to 64 bytes, one line"),
    "credential.secondary_key_file": Setting(_path, None, "tried once when the primary key is refused"),
    "credential.token_uri": Setting(_token_uri, None, "of the private key, RFC 7512, without a PIN"),
    "credential.module": Setting(_published_path, None, "the PKCS#11 module, a shared library"),
    "credential.pin_file": Setting(_path, None, "the token's user PIN, one line"),
    "credential.token_device": Setting(_path, None, "wait for this device node before the token is used"),
    "credential.firmware_command": Setting(_path, FIRMWARE_COMMAND, "the Raspberry Pi's command that signs"),
    "credential.firmware_key_id": Setting(_key_id, 1, "the number of the key in the firmware"),
    "credential.group_key_file": Setting(_path, None, "instead of primary_key_file: the device's key is derived"),
    "credential.allow_group_key": Setting(_boolean, False, "a group's key may be on this device"),
    "network.transport": Setting(_one_of(MQTT, WEBSOCKET, AUTO), MQTT, "mqtt (8883), websocket (443), or auto"),
    "network.proxy": Setting(_proxy, None, "http:// or socks5:// [user@]host:port, or environment"),
    "network.proxy_password_file": Setting(_path, None, "the password of the user in proxy, one line"),
    "network.trusted_roots": Setting(_roots, "system", "system, azure, or a PEM file"),
    "hub.check": Setting(_one_of("before-ready", "after-ready", "off"), "before-ready", "log in at a new hub once"),
    "hub.reprovision_after": Setting(_seconds(_DAY), 900, "refused by the hub for so long: register again"),
    "hub.allow": Setting(_patterns, (), "assignments to other hubs are refused"),
    "fleet.window": Setting(_seconds(_DAY), 0, "first attempts are spread over it"),
    "fleet.volatile_window": Setting(_seconds(_DAY), 60, "the same, where every boot is a first boot"),
    "clock.wait": Setting(_seconds(_DAY), 90, "how long the first attempt waits for a right clock"),
    "board.clone_guard": Setting(_one_of("refuse", "reprovision"), "refuse", "on another board than before"),
    "outputs.environment": Setting(_boolean, True, "write connection.env"),
    "outputs.release_private_key": Setting(_boolean, False, "give agents the certificate and its key, in memory"),
    "outputs.connection_string": Setting(_boolean, False, "give agents a connection string with the key, in memory"),
    "doors.units": Setting(_units, (), "services that may use the doors; see also users and groups"),
    "doors.users": Setting(_names, (), "users that may"),
    "doors.groups": Setting(_names, (), "groups whose members may"),
    "import.usb": Setting(_boolean, False, "a USB stick labelled DPSD may bring a bundle"),
    "import.replace": Setting(_boolean, False, "a bundle found at boot or on a stick may replace what there is"),
    "import.fleet_key_file": Setting(_path, None, "PEM: the public key that signs what bundles else may not set"),
}

MISSPELLINGS = {
    "idscope": "dps.id_scope",
    "scope_id": "dps.id_scope",
    "scopeid": "dps.id_scope",
    "scope": "dps.id_scope",
    "registrationid": "dps.registration_id",
    "device_id": "dps.registration_id",
    "deviceid": "dps.registration_id",
    "endpoint": "dps.global_endpoint",
    "globalendpoint": "dps.global_endpoint",
    "provisioning_host": "dps.global_endpoint",
    "method": "credential.type",
    "attestation": "credential.type",
    "certificate": "credential.certificate_file",
    "cert_file": "credential.certificate_file",
    "identity_cert": "credential.certificate_file",
    "key_file": "credential.private_key_file",
    "private_key": "credential.private_key_file",
    "identity_pk": "credential.private_key_file",
    "symmetric_key": "credential.primary_key_file",
    "primary_key": "credential.primary_key_file",
    "secondary_key": "credential.secondary_key_file",
    "group_key": "credential.group_key_file",
    "enrollment_group_key": "credential.group_key_file",
}
"""Names that other DPS clients use, lower-cased and without their table."""


def _noun(value: object) -> str:
    nouns = {"dict": "a table", "list": "a list", "str": "a string", "bool": "a boolean", "int": "an integer"}
    return nouns.get(type(value).__name__, f"a {type(value).__name__}")


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
