"""The configuration: one table of settings, and how layers of TOML become one `Config`. Floor 1.

Adding a setting is one row in `SETTINGS` and one field in a record. All faults are found in one pass and reported
together, each with file, line where it is certain, key, what was expected, and the nearest known name.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dpsd.errors import Problem
from dpsd.protocol.identifiers import DPS_PORT, Endpoint, check_registration_id, is_id_scope, parse_endpoint
from dpsd.text import printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAYLOAD_LIMIT = 64 * 1024
"""Bytes of the largest payload, so that the register message stays below DPS's 96 KB."""


class Dps(NamedTuple):
    id_scope: str
    global_endpoint: Endpoint
    registration_id: str | None
    payload: dict[str, Any] | None
    payload_file: str | None
    api_version: str


class CredentialFiles(NamedTuple):
    type: str
    store: str
    certificate_file: str | None
    private_key_file: str | None
    primary_key_file: str | None
    secondary_key_file: str | None


class Network(NamedTuple):
    transport: str
    proxy: str | None
    trusted_roots: str


class Hub(NamedTuple):
    check: str
    allow: tuple[str, ...]


class Outputs(NamedTuple):
    environment: bool
    connection_string: bool


class Config(NamedTuple):
    """The effective configuration; every value has passed its check."""

    dps: Dps
    credential: CredentialFiles
    network: Network
    hub: Hub
    outputs: Outputs


class Layer(NamedTuple):
    """One configuration file: its path, for messages, and its text."""

    path: str
    text: str


class Value(NamedTuple):
    """An effective value and where it comes from: `FILE:LINE`, `FILE`, or `default`."""

    value: Any
    origin: str


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


def _one_of(*allowed: str, later: tuple[str, ...] = ()) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        if text in later:
            raise ValueError(f"'{text}' is not available in this version; use {_or(allowed)}")
        if text not in allowed:
            raise ValueError(f"'{printable(text)}' is not one of {_or(allowed)}{_meant(text, allowed)}")
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
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(-preview)?", text):
        raise ValueError(f"'{printable(text)}' is not a version such as 2019-03-31")
    return text


def _payload(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {_noun(value)}")
    check_payload(value)
    return value


def _path(value: Any) -> str:
    text = _text(value)
    if not text.startswith("/") or "\0" in text:
        raise ValueError("is not an absolute path")
    return text


def _published_path(value: Any) -> str:
    path = _path(value)
    if not re.fullmatch(r"[!-~]+", path) or re.search(r"[\"'\\;]", path):
        raise ValueError(f"'{printable(path)}' has a character that connection.env cannot carry")
    return path


def _roots(value: Any) -> str:
    text = _text(value)
    return text if text in ("system", "azure") else _path(text)


def _not_yet(value: Any) -> None:
    raise ValueError("is not available in this version; leave it out")


def _not_yet_true(value: Any) -> bool:
    if _boolean(value):
        raise ValueError("true is not available in this version; leave it out")
    return False


def _patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError("expected a list of host name patterns")
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
        _one_of("files", later=("sealed", "pkcs11", "systemd", "rpi-firmware")), "files", "where the credential is"
    ),
    "credential.certificate_file": Setting(_published_path, None, "PEM: the leaf first, then its intermediates"),
    "credential.private_key_file": Setting(_published_path, None, "PEM, not encrypted"),
    "credential.primary_key_file": Setting(_path, None, "base64 of 16 to 64 bytes, one line"),
    "credential.secondary_key_file": Setting(_path, None, "tried once when the primary key is refused"),
    "network.transport": Setting(_one_of("mqtt", later=("websocket", "auto")), "mqtt", "mqtt is port 8883"),
    "network.proxy": Setting(_not_yet, None, "not available in this version"),
    "network.trusted_roots": Setting(_roots, "system", "system, azure, or a PEM file"),
    "hub.check": Setting(_one_of("before-ready", "after-ready", "off"), "before-ready", "accepted, not used yet"),
    "hub.allow": Setting(_patterns, (), "assignments to other hubs are refused"),
    "outputs.environment": Setting(_boolean, True, "write connection.env"),
    "outputs.connection_string": Setting(_not_yet_true, False, "not available in this version"),
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
}
"""Names that other DPS clients use, lower-cased and without their table."""


class Effective(NamedTuple):
    """The configuration, and each setting's value with its origin, by dotted key."""

    config: Config
    values: dict[str, Value]


def parse_config(layers: Iterable[Layer]) -> Effective:
    """Merge the layers, later ones winning key by key, and check everything.

    Raises Problem `configuration-invalid` whose sentence is the first fault and whose `also` are the others.
    """
    faults: list[str] = []
    values: dict[str, Value] = {}
    for layer in layers:
        _read_layer(layer, values, faults)
    for key, setting in SETTINGS.items():
        if key not in values:
            if setting.default is REQUIRED:
                faults.append(f"{key}: is missing ({setting.meaning})")
            values[key] = Value(setting.default, "default")
    if not faults:
        faults = _disagreements(values)
    if faults:
        raise Problem("configuration-invalid", faults[0], also=tuple(faults[1:]))
    return Effective(_record(values), values)


def check_payload(payload: dict[str, Any]) -> None:
    """Raise ValueError unless `payload` is JSON of at most PAYLOAD_LIMIT bytes."""
    try:
        size = len(json.dumps(payload, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise ValueError(f"is not JSON: {printable(error)}") from None
    if size > PAYLOAD_LIMIT:
        raise ValueError(f"has {size} bytes as JSON, {PAYLOAD_LIMIT} are allowed")


def _read_layer(layer: Layer, values: dict[str, Value], faults: list[str]) -> None:
    path = printable(layer.path)
    try:
        tables = tomllib.loads(layer.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        faults.append(f"{path}: is not TOML: {printable(error)}")
        return
    for table, content in tables.items():
        if not isinstance(content, dict) or table not in _tables():
            faults.append(f"{_origin(layer, '', table)}: {printable(table)}: {_unknown_table(table)}")
            continue
        for name, value in content.items():
            _read_value(layer, table, name, value, values, faults)


def _read_value(
    layer: Layer, table: str, name: str, value: Any, values: dict[str, Value], faults: list[str]
) -> None:
    key, origin = f"{table}.{name}", _origin(layer, table, name)
    if key not in SETTINGS:
        faults.append(f"{origin}: {printable(key)}: is not a known key{_suggestion(name)}")
        return
    try:
        values[key] = Value(SETTINGS[key].check(value), origin)
    except ValueError as error:
        faults.append(f"{origin}: {key}: {error}")
        values[key] = Value(None, origin)


def _tables() -> set[str]:
    return {key.partition(".")[0] for key in SETTINGS}


def _unknown_table(name: str) -> str:
    if name in _tables():
        return f"expected a table, written [{name}]"
    return f"is not a known table{_suggestion(name) or _meant(name, sorted(_tables()))}"


def _suggestion(name: str) -> str:
    lowered = name.lower()
    known = MISSPELLINGS.get(lowered)
    leaves = {key.partition(".")[2]: key for key in SETTINGS}
    nearest = difflib.get_close_matches(lowered, leaves, n=1, cutoff=0.6)
    found = known or (leaves[nearest[0]] if nearest else None)
    return f"; did you mean {found}?" if found else ""


def _meant(text: str, allowed: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(text.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _origin(layer: Layer, table: str, name: str) -> str:
    """Return FILE:LINE where exactly one line can be the key's, else FILE: the TOML parser tells no lines."""
    lines = [number for number, found in _keys(layer.text) if found == (table, name) or found == ("", table, name)]
    return f"{printable(layer.path)}:{lines[0]}" if len(lines) == 1 else printable(layer.path)


def _keys(text: str) -> Iterable[tuple[int, tuple[str, ...]]]:
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^]\[]+?)\s*\]", line)
        if header:
            table = header[1].strip("\"'")
            yield number, ("", table)
        key = re.match(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:\.\s*["']?([A-Za-z0-9_-]+)["']?\s*)?=""", line)
        if key:
            yield number, (table, key[1], key[2]) if key[2] else (table, key[1])


def _disagreements(values: dict[str, Value]) -> list[str]:
    """Check what no setting can check alone."""
    faults: list[str] = []
    if values["dps.payload"].value is not None and values["dps.payload_file"].value is not None:
        faults.append(f"{values['dps.payload_file'].origin}: dps.payload_file: set it or dps.payload, not both")
    x509 = values["credential.type"].value == "x509"
    needed = ("certificate_file", "private_key_file") if x509 else ("primary_key_file",)
    foreign = ("primary_key_file", "secondary_key_file") if x509 else ("certificate_file", "private_key_file")
    type_name = values["credential.type"].value
    for name in needed:
        if values[f"credential.{name}"].value is None:
            faults.append(f"credential.{name}: is missing, credential.type is {type_name}")
    for name in foreign:
        if values[f"credential.{name}"].value is not None:
            origin = values[f"credential.{name}"].origin
            faults.append(f"{origin}: credential.{name}: does not belong to credential.type {type_name}")
    faults += _registration_id_faults(values["dps.registration_id"], x509)
    return faults


def _registration_id_faults(registration_id: Value, x509: bool) -> list[str]:
    if registration_id.value is None:
        return [] if x509 else ["dps.registration_id: is missing, a symmetric key has no name of its own"]
    try:
        check_registration_id(registration_id.value, x509=x509)
    except Problem as problem:
        return [f"{registration_id.origin}: dps.registration_id: {problem.sentence}; {problem.hint}"]
    return []


def _record(values: dict[str, Value]) -> Config:
    def fields(table: str) -> dict[str, Any]:
        return {key.partition(".")[2]: value.value for key, value in values.items() if key.startswith(f"{table}.")}

    return Config(
        Dps(**fields("dps")),
        CredentialFiles(**fields("credential")),
        Network(**fields("network")),
        Hub(**fields("hub")),
        Outputs(**fields("outputs")),
    )


def _noun(value: object) -> str:
    nouns = {"dict": "a table", "list": "a list", "str": "a string", "bool": "a boolean", "int": "an integer"}
    return nouns.get(type(value).__name__, f"a {type(value).__name__}")


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
