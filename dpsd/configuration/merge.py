"""How layers of TOML become one `Config`.

All faults are found in one pass and reported together, each with file, line where it is certain, key, what was
expected, and the nearest known name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from dpsd.configuration.proxy import ENVIRONMENT
from dpsd.configuration.settings import (
    MISSPELLINGS,
    REQUIRED,
    SETTINGS,
    Board,
    Clock,
    Config,
    CredentialSettings,
    Doors,
    Dps,
    Fleet,
    Hub,
    Import,
    Layer,
    Network,
    Outputs,
)
from dpsd.configuration.stores import RELEASES, STORES
from dpsd.errors import Problem
from dpsd.protocol.identifiers import check_template
from dpsd.text import printable, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Lines = dict[tuple[str, ...], list[int]]
FAULT_LIMIT = 50
"""Faults reported at once; a file with more is not a configuration."""
KEY_LIMIT = 64
"""Parts of a dotted key: tomllib takes memory by the square of their number, gigabytes for a file of 64 KiB."""
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?:\.[ \t]*{_PART}[ \t]*){{{KEY_LIMIT}}}")


class Value(NamedTuple):
    """An effective value and where it comes from: `FILE:LINE`, `FILE`, or `default`."""

    value: Any
    origin: str


class Effective(NamedTuple):
    """The configuration, and each setting's value with its origin, by dotted key."""

    config: Config
    values: dict[str, Value]


class Preparation(NamedTuple):
    """What a device is prepared for. rights: of bundles. configured: something says what to register. credential: what
    is said of it, which may be not all."""

    rights: Import
    configured: bool
    credential: CredentialSettings


def parse_config(layers: Iterable[Layer]) -> Effective:
    """Merge the layers, later ones winning key by key, and check everything.

    Raises Problem `configuration-invalid` whose sentence is the first fault and whose `also` are the others, and
    `configuration-missing` where nothing says what to register.
    """
    values, faults = read_layers(layers)
    if not faults and not _says_what_to_register(values):
        said = "no configuration file sets anything in [dps] or [credential]"
        hint = "set both, or bring them by an import bundle: /usr/share/doc/dpsd/import.md"
        raise Problem("configuration-missing", said, hint=hint)
    for key, setting in SETTINGS.items():
        if key not in values:
            if setting.default is REQUIRED:
                faults.append(f"{key}: is missing ({setting.meaning})")
            values[key] = Value(setting.default, "default")
    _raise_if(faults or _disagreements(values))
    return Effective(_record(values), values)


def parse_import(layers: Iterable[Layer]) -> Preparation:
    """Read what the layers say of bundles, which must not be a whole configuration.

    Raises Problem `configuration-invalid` for anything that is wrong alone.
    """
    values, faults = read_layers(layers)
    _raise_if(faults)
    whole = {key: values.get(key, Value(setting.default, "default")) for key, setting in SETTINGS.items()}
    credential = CredentialSettings(**_fields(whole, "credential"))
    return Preparation(Import(**_fields(whole, "import")), _says_what_to_register(values), credential)


def parse_tables(layer: Layer) -> dict[str, dict[str, Any]]:
    """Return the tables of one layer as TOML has them; raises Problem `configuration-invalid` as `parse_import`."""
    parse_import([layer])
    return _load_tables(layer)


def read_layers(layers: Iterable[Layer]) -> tuple[dict[str, Value], list[str]]:
    """Return what the layers set, by dotted key, and each fault that no other layer can mend."""
    values: dict[str, Value] = {}
    faults: list[str] = []
    for layer in layers:
        _read_layer(layer, values, faults)
    return values, faults


def _says_what_to_register(values: dict[str, Value]) -> bool:
    return any(key.startswith(("dps.", "credential.")) for key in values)


def _raise_if(faults: list[str]) -> None:
    if len(faults) > FAULT_LIMIT:
        faults[FAULT_LIMIT:] = ["there are more faults, not shown"]
    if faults:
        raise Problem("configuration-invalid", faults[0], also=tuple(faults[1:]))


def _read_layer(layer: Layer, values: dict[str, Value], faults: list[str]) -> None:
    path = printable(layer.path)
    try:
        tables = _load_tables(layer)
    except ValueError as error:
        faults.append(f"{path}: {error}")
        return
    lines = _lines(layer.text)
    for table, content in tables.items():
        if len(faults) > FAULT_LIMIT:
            return
        if not isinstance(content, dict) or table not in _tables():
            faults.append(f"{_origin(path, lines, '', table)}: {printable(table)}: {_unknown_table(table)}")
            continue
        for name, value in content.items():
            _read_value(_origin(path, lines, table, name), f"{table}.{name}", value, values, faults)


def _load_tables(layer: Layer) -> dict[str, Any]:
    """Raise ValueError with what is wrong, as what follows the path."""
    if _LONG_KEY.search(layer.text):
        raise ValueError(f"a key has more than {KEY_LIMIT} parts")
    try:
        return tomllib.loads(layer.text)
    except (ValueError, RecursionError) as error:  # a number of some thousand digits is a ValueError of int()
        raise ValueError(f"is not TOML: {printable(error)}") from None


def _read_value(origin: str, key: str, value: Any, values: dict[str, Value], faults: list[str]) -> None:
    if key not in SETTINGS:
        if len(faults) <= FAULT_LIMIT:
            faults.append(f"{origin}: {printable(key)}: is not a known key{_suggestion(key.partition('.')[2])}")
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
    return f"is not a known table{_suggestion(name) or suggest(name, sorted(_tables()))}"


def _suggestion(name: str) -> str:
    lowered = name.lower()
    known = MISSPELLINGS.get(lowered)
    leaves = {key.partition(".")[2]: key for key in SETTINGS}
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(lowered, leaves, n=1, cutoff=0.6)
    found = known or (leaves[close[0]] if close else None)
    return f"; did you mean {found}?" if found else ""


def _origin(path: str, lines: Lines, table: str, name: str) -> str:
    """Return FILE:LINE where exactly one line can be the key's, else FILE: the TOML parser tells no lines."""
    found = [*lines.get((table, name), []), *lines.get(("", table, name), [])]
    return f"{path}:{found[0]}" if len(found) == 1 else path


def _lines(text: str) -> Lines:
    """Return the lines on which each key and each table's header seems to stand."""
    lines: Lines = {}
    for number, key in _keys(text):
        lines.setdefault(key, []).append(number)
    return lines


def _keys(text: str) -> Iterable[tuple[int, tuple[str, ...]]]:
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        header = re.match(r"\s*\[([^]\[]+)\]", line)
        if header:
            table = header[1].strip().strip("\"'")
            yield number, ("", table)
        key = re.match(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:\.\s*["']?([A-Za-z0-9_-]+)["']?\s*)?=""", line)
        if key:
            yield number, (table, key[1], key[2]) if key[2] else (table, key[1])


def _disagreements(values: dict[str, Value]) -> list[str]:
    """Check what no setting can check alone."""
    faults: list[str] = []
    if values["dps.payload"].value is not None and values["dps.payload_file"].value is not None:
        faults.append(f"{values['dps.payload_file'].origin}: dps.payload_file: set it or dps.payload, not both")
    faults += _credential_faults(values) + _group_key_faults(values) + _release_faults(values)
    faults += _registration_id_faults(values["dps.registration_id"], values["credential.type"].value == "x509")
    faults += _password_faults(values["network.proxy"], values["network.proxy_password_file"])
    return faults


def _credential_faults(values: dict[str, Value]) -> list[str]:
    """Say which keys are missing, and which belong to another credential than the configured one."""
    kind, store = values["credential.type"].value, values["credential.store"].value
    if (kind, store) not in STORES:
        stores = " or ".join(store for one, store in STORES if one == kind)
        return [f"{values['credential.store'].origin}: credential.store: with credential.type {kind} use {stores}"]
    decides, said = ("type", kind) if store == "files" else ("store", store)
    needed, possible = STORES[kind, store].needs, STORES[kind, store].may
    group_key_file = values["credential.group_key_file"].value
    if "group_key_file" in possible and group_key_file is not None:
        decides, said, needed, possible = "group_key_file", group_key_file, ("group_key_file",), ("allow_group_key",)
    faults = []
    for key, value in values.items():
        table, _, name = key.partition(".")
        if table != "credential" or name in ("type", "store", *possible):
            continue
        if name in needed and value.origin == "default":
            faults.append(f"{key}: is missing, credential.{decides} is {said}")
        elif name not in needed and value.origin != "default":
            faults.append(f"{value.origin}: {key}: does not belong to credential.{decides} {said}")
    return faults


def _group_key_faults(values: dict[str, Value]) -> list[str]:
    """A group's key on a device is never taken by mistake."""
    found = values["credential.group_key_file"]
    if found.value is None or values["credential.allow_group_key"].value:
        return []
    why = "whoever reads one card can impersonate every device of the group"
    instead = "derive this device's key on the bench with dpsctl derive-key, or set credential.allow_group_key = true"
    return [f"{found.origin}: credential.group_key_file: is refused: {why}; {instead}"]


def _release_faults(values: dict[str, Value]) -> list[str]:
    """Say which secret is to be given to agents that the store does not have."""
    kind, store = values["credential.type"].value, values["credential.store"].value
    faults = []
    for name, belongs_to in RELEASES.items():
        asked = values[f"outputs.{name}"]
        known = STORES.get((kind, store))
        why = known and known.withheld if kind == belongs_to else f"does not belong to credential.type {kind}"
        if asked.value and why is not None:
            faults.append(f"{asked.origin}: outputs.{name}: {why}")
    return faults


def _password_faults(proxy: Value, password_file: Value) -> list[str]:
    needs_user = proxy.value != ENVIRONMENT and "@" not in (proxy.value or "")
    if password_file.value is None or not needs_user:
        return []
    return [f"{password_file.origin}: network.proxy_password_file: is for the user in network.proxy, which has none"]


def _registration_id_faults(registration_id: Value, x509: bool) -> list[str]:
    if registration_id.value is None:
        return [] if x509 else ["dps.registration_id: is missing, a symmetric key has no name of its own"]
    try:
        check_template(registration_id.value, x509=x509)
    except Problem as problem:
        return [f"{registration_id.origin}: dps.registration_id: {problem.sentence}; {problem.hint}"]
    return []


def _record(values: dict[str, Value]) -> Config:
    return Config(
        Dps(**_fields(values, "dps")),
        CredentialSettings(**_fields(values, "credential")),
        Network(**_fields(values, "network")),
        Hub(**_fields(values, "hub")),
        Fleet(**_fields(values, "fleet")),
        Clock(**_fields(values, "clock")),
        Board(**_fields(values, "board")),
        Outputs(**_fields(values, "outputs")),
        Import(**_fields(values, "import")),
        Doors(**_fields(values, "doors")),
    )


def _fields(values: dict[str, Value], table: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value.value for key, value in values.items() if key.startswith(f"{table}.")}
