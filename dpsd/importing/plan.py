"""What an import bundle would come to here: everything is checked, nothing is changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from dpsd.configuration.files import SIZE_LIMIT, load_layers, writers
from dpsd.configuration.merge import Effective, Preparation, parse_config, parse_import, parse_tables
from dpsd.configuration.settings import Layer
from dpsd.credentials.credential import Credential, Material
from dpsd.credentials.material import open_material
from dpsd.errors import Problem, Retry
from dpsd.importing.bundle import PASSPHRASE, SIGNATURE, SUMS, Bundle, layer_of, material_of, tables_of
from dpsd.importing.in_force import layers_with, settings_in
from dpsd.importing.settings import (
    Tables,
    check_allowed,
    check_brings_credential,
    check_leads_nothing_away,
    merge,
    render,
    render_without_lines,
    with_credential,
)
from dpsd.importing.signature import Signed, check_signature, check_sums
from dpsd.provisioning.candidate import has_settings
from dpsd.provisioning.device import registration_id_of
from dpsd.state.places import Places, State
from dpsd.system.clock import wall_clock
from dpsd.system.owner import as_owner
from dpsd.system.time_sync import explain_untrusted_clock
from dpsd.text import printable

T = TypeVar("T")
FAULTS = "correct the named settings, a bundle's own in its dpsd.toml, and bring the bundle again"
FLEET_KEY = "put the fleet's public key into that file, or correct import.fleet_key_file"


class Note(NamedTuple):
    """bundle: its files' checksums. credential: the new one's fingerprint, or empty. settings: for imported.toml."""

    bundle: dict[str, str]
    credential: str
    settings: str


class Plan(NamedTuple):
    """What a bundle comes to on this device, all of it checked."""

    note: Note
    material: Material | None


def make_plan(bundle: Bundle, places: Places) -> Plan:
    """Check everything about the bundle on this device; raises Problem.

    Problems: `bundle-*`, `configuration-*`, `credential-*`, `certificate-*`, `registration-id-*`.
    """
    in_force = settings_in(places.state.imported, places)
    waiting = settings_in(places.state.candidate_settings, places) if has_settings(places) else None
    is_signed = _check_signature(bundle, parse_import(layers_with(places, in_force)), places)
    earlier = waiting or in_force or Layer(places.state.imported, "")
    brought = _of_bundle(lambda: tables_of(bundle))
    if not is_signed:
        check_allowed(brought, bundle.place)
    tables, material = brought, material_of(bundle)
    if material is not None:
        tables = with_credential(tables, material.type, bundle.place)
    if not tables:
        raise Problem("bundle-invalid", f"{printable(bundle.place)} sets nothing and brings no credential")
    check_brings_credential(tables, bundle.place)
    merged = merge(parse_tables(earlier), tables)
    _of_bundle(lambda: _check_together(bundle, brought, merged, places))
    settings = render(merged)
    if len(settings) > SIZE_LIMIT:
        raise Problem("bundle-invalid", f"{printable(bundle.place)} sets more than {SIZE_LIMIT} bytes hold")
    effective = parse_config(layers_with(places, Layer(places.state.imported, settings.decode())))
    _check_wins(tables, effective, places.state)
    if not is_signed:
        check_leads_nothing_away(tables, {key: value.value for key, value in effective.values.items()}, bundle.place)
    credential = None if material is None else open_material(material, bundle.place)
    if credential is not None:
        _check_fits(credential, effective)
    return Plan(Note(checksums(bundle), credential.fingerprint if credential else "", settings.decode()), material)


def preparation(places: Places) -> Preparation:
    """Return what this device lets bundles do; raises Problem `configuration-*`.

    Settings that are damaged make it a configured one, too: what they said is not known.
    """
    found = settings_in(places.state.imported, places)
    prepared = parse_import(layers_with(places, found))
    return prepared._replace(configured=prepared.configured or found is None)


def checksums(bundle: Bundle) -> dict[str, str]:
    """Return what tells its files from any others, kept where secrets are; a passphrase could be guessed by its own."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in bundle.files.items() if name != PASSPHRASE}


def signed_part(bundle: Bundle) -> Signed:
    """Return what a signature is about: all files but itself and the sums that it signs."""
    others = {name: data for name, data in bundle.files.items() if name not in (SUMS, SIGNATURE)}
    return Signed(bundle.place, bundle.files.get(SUMS), bundle.files.get(SIGNATURE), others)


def _check_signature(bundle: Bundle, preparation: Preparation, places: Places) -> bool:
    """Tell whether the fleet's key has signed the bundle; raises Problem if it should have."""
    path = preparation.rights.fleet_key_file
    signed = signed_part(bundle)
    if path is None or signed.signature is None:
        if signed.sums is not None:
            check_sums(signed)
        return False
    try:
        with as_owner(places.state):
            public_key = load_layers([path], writers(places.configuration))[0].text
    except Problem as problem:
        said = f"import.fleet_key_file: {problem.sentence}"
        if problem.code == "configuration-missing":
            raise Problem("bundle-signature-invalid", said, hint=FLEET_KEY) from None
        raise problem.amend(said) from None
    check_signature(signed, public_key, path)
    return True


def _of_bundle(check: Callable[[], T]) -> T:
    """Return what a check of the bundle's settings does; whose faults they are, its Problem's hint says."""
    try:
        return check()
    except Problem as problem:
        raise (problem.amend(hint=FAULTS) if problem.code == "configuration-invalid" else problem) from None


def _check_together(bundle: Bundle, brought: Tables, merged: Tables, places: Places) -> None:
    """Check the bundle's settings with those of the device, each where it stands: a fault names the bundle's line."""
    others = {
        table: {name: value for name, value in content.items() if name not in brought.get(table, {})}
        for table, content in merged.items()
    }
    place = places.state.imported if os.path.lexists(places.state.imported) else bundle.place
    parse_config(layers_with(places, Layer(place, render_without_lines(others)), layer_of(bundle)))


def _check_wins(tables: Tables, effective: Effective, state: State) -> None:
    """What the device's owner set in /etc wins: then the bundle would not do what it says."""
    for table, content in tables.items():
        for name in content:
            origin = effective.values[f"{table}.{name}"].origin
            if origin.partition(":")[0] != printable(state.imported):
                raise Problem("bundle-overridden", f"{origin} sets {table}.{name}, as the bundle does")


def _check_fits(credential: Credential, effective: Effective) -> None:
    """Check who the device would be, as far as it can be known now, and the dates if the clock is right."""
    try:
        registration_id_of(effective.config, credential)
    except Problem as problem:
        if problem.kind.retry is Retry.CONFIGURATION:
            raise
    if credential.x509 is not None and explain_untrusted_clock([credential.x509.leaf.not_before.timestamp()]) is None:
        credential.x509.leaf.check_dates(wall_clock())
