"""What an import bundle may set, and the one file in which its settings stay.

Whoever can write to a card may bring a device its place in the world: which service, which credential, which way there.
What the device trusts, tells and sends of itself is its owner's: only a bundle that the fleet's key has signed sets it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dpsd.errors import Problem

Tables = Mapping[str, Mapping[str, Any]]
"""Settings by table and name, as TOML has them."""

FOR_ALL = frozenset({
    "dps.id_scope", "dps.global_endpoint", "dps.registration_id", "dps.payload", "dps.api_version",
    "credential.type", "credential.store", "credential.firmware_key_id",
    "network.transport", "network.proxy",
})  # fmt: skip
"""What a bundle without a signature may set: among it nothing that names a path on the device."""
_SENT = {
    "network.proxy_password_file": ("network.proxy",),
    "dps.payload_file": ("dps.id_scope", "dps.global_endpoint"),
}
"""By setting whose file is sent somewhere, the settings that say where to."""
_HEADER = "# From an import bundle, by dpsd: do not edit. What is in /etc/dpsd wins. See dpsd.toml(5).\n"


def check_allowed(tables: Tables, place: str) -> None:
    """Raise Problem `bundle-not-signed` if there is a setting that only a signed bundle may have."""
    refused = [key for key in _keys(tables) if key not in FOR_ALL]
    if refused:
        said = [f"{place} sets {key} and is not signed by the fleet's key" for key in refused]
        raise Problem("bundle-not-signed", said[0], also=tuple(said[1:]))


def check_leads_nothing_away(tables: Tables, effective: Mapping[str, Any], place: str) -> None:
    """Raise Problem `bundle-not-signed` if one of the device's files would be sent to where the bundle says.

    effective: what is in force then, by dotted key.
    """
    for path, keys in _SENT.items():
        for key in _keys(tables).intersection(keys) if effective[path] is not None else ():
            said = f"{place} sets {key}, to where {path} is sent, and is not signed by the fleet's key"
            raise Problem("bundle-not-signed", said)


def merge(old: Tables, new: Tables) -> dict[str, dict[str, Any]]:
    """Return what is set after `new` came: a table of it replaces the old one.

    Of the old one stays what needs a signature, but not the way to another credential: nobody takes back by leaving
    out what he could not have set.
    """
    merged = {table: dict(content) for table, content in old.items()}
    for table, content in new.items():
        before = merged.get(table, {}) if table != "credential" else {}
        kept = {name: value for name, value in before.items() if f"{table}.{name}" not in FOR_ALL}
        merged[table] = {**kept, **content}
    return merged


def with_credential(tables: Tables, kind: str, place: str) -> dict[str, dict[str, Any]]:
    """Return the tables as they are once the credential of type `kind` that came along is sealed.

    Raises Problem `bundle-invalid` if [credential] names another one.
    """
    said = {"type": kind, "store": "sealed", **tables.get("credential", {})}
    if said != {"type": kind, "store": "sealed"}:
        what = "a certificate" if kind == "x509" else "a symmetric key"
        raise Problem("bundle-invalid", f"{place} brings {what}, and its [credential] names another credential")
    return {**{table: dict(content) for table, content in tables.items()}, "credential": said}


def check_brings_credential(tables: Tables, place: str) -> None:
    """Raise Problem `bundle-invalid` if [credential] is about one that the bundle does not have."""
    credential = tables.get("credential", {"store": "kept"})
    if credential.get("store", "files") == "files" and not any(name.endswith("_file") for name in credential):
        said = "has [credential], but brings neither a certificate with its key nor a symmetric key"
        raise Problem("bundle-invalid", f"{place} {said}")


def render(tables: Tables) -> bytes:
    """Return the tables as a TOML file."""
    parts = [_HEADER]
    for table, content in tables.items():
        parts += [
            f"\n[{_encode(table)}]\n",
            *(f"{_encode(name)} = {_encode(value)}\n" for name, value in content.items()),
        ]
    return "".join(parts).encode()


def render_without_lines(tables: Tables) -> str:
    """Return the tables as TOML in which no setting has a line: for what has its lines elsewhere."""
    return "".join(f"{_encode(table)} = {_encode(content)}\n" for table, content in tables.items())


def _encode(value: Any) -> str:
    """Return a value of TOML as an expression; JSON has the same words but for tables and a few characters."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_encode(name)} = {_encode(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_encode, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _keys(tables: Tables) -> set[str]:
    return {f"{table}.{name}" for table, content in tables.items() for name in content}
