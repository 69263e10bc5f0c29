"""Sealing a credential to this device.

A new seal is opened again before it replaces anything, and compared with what the disk gives back after that. A
credential that has provisioned the device stays until the new one has done so too; until then the new one is a
candidate, see `dpsd.provisioning.candidate`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from dpsd.credentials.credential import Material
from dpsd.credentials.material import open_material
from dpsd.credentials.sealed import Unsealed, derive_seal_secret, load_seal, parts_of, unseal
from dpsd.errors import Problem
from dpsd.keys.cipher import encrypt
from dpsd.keys.client import ask_service
from dpsd.keys.request import SALT_SIZE, SOURCES, Derive
from dpsd.keys.seal import NONCE_SIZE, SIZE_LIMIT, Header, parse_seal, render_body, render_header
from dpsd.keys.sources import FILES, prepare_secret
from dpsd.provisioning.candidate import drop, exchanging, has_seal, place_for
from dpsd.provisioning.publish import prepare_folders
from dpsd.shape import ShapeError
from dpsd.state.places import Keys, Places, State
from dpsd.system.board import read_serial
from dpsd.system.files import commit, list_kept_aside, load, remove
from dpsd.system.owner import as_owner, is_owner
from dpsd.text import printable


class Sealed(NamedTuple):
    """A new seal. path: the candidate's if it is to be tried first. passed: by source, why it was passed over."""

    path: str
    header: Header
    passed: dict[str, Problem]


def seal(places: Places, material: Material, source: str | None = None, *, beside: bool = False) -> Sealed:
    """Seal a credential by the named key source, or else by the strongest one that works.

    beside: as a candidate whenever there is an assignment, since the settings that come with it may have to wait.
    Raises Problem `not-permitted`, `credential-*`, `key-*`, `firmware-*`, `state-unwritable`, `state-locked`.
    """
    if not _may_ask_sources(places.state):
        raise Problem("not-permitted", "only root may seal a credential")
    fingerprint = open_material(material, "the credential").fingerprint
    with as_owner(places.state):
        prepare_folders(places.state, places.runtime)
    present = _read_present_source(places.state)
    with _act_as_keys_owner(places.state):
        chosen, passed = _choose_source(places.keys, source)
        if present in passed:  # a weaker source takes the present one's place only when it is named
            raise passed[present].amend(hint=f"{passed[present].hint}; or name a weaker one: --source {chosen}")
        header, data = _render_seal(places.keys, material, chosen, fingerprint)
        unseal(data, "the new seal", places.keys)
    with as_owner(places.state), exchanging(places.state):
        path = place_for(fingerprint, places, beside=beside)
        commit(path, data, 0o600)
        if load_seal(path) != data:
            raise Problem("seal-damaged", f"{printable(path)} is not what was just written")
    return Sealed(path, header, passed)


def reseal(places: Places, source: str | None = None) -> Sealed:
    """Seal the present credential again, without plaintext on the disk; raises as `seal`, and Problem `seal-*`."""
    data = _load_seal(places.state.sealed, places.state)
    with _act_as_keys_owner(places.state):
        present = unseal(data, places.state.sealed, places.keys).credential
    assert present.material is not None, "it was opened from memory"
    return seal(places, present.material, source)


def forget_keys(places: Places) -> Iterator[str]:
    """Remove the key sources' secrets that no seal needs, and yield each path; raises Problem `state-unwritable`."""
    # Without this lock, a candidate promoted now would be seen nowhere.
    with as_owner(places.state), exchanging(places.state):
        texts = [load(path, SIZE_LIMIT) for path in (places.state.sealed, places.state.candidate)]
        others = [*list_kept_aside(places.state.sealed), *list_kept_aside(places.state.candidate)]
    try:
        used = {parse_seal(text).header.source for text in texts if text is not None}
    except ShapeError:
        return
    with _act_as_keys_owner(places.state):
        for source, name in () if others else FILES.items():
            path = f"{places.keys}/{name}"
            if source not in used and os.path.lexists(path):
                remove(path)
                yield path


def open_seals(places: Places) -> Iterator[tuple[str, Unsealed]]:
    """Open each seal by its key source, and in the daemon's way as well, and yield its path and contents.

    Raises Problem `not-permitted`, `seal-*`, `key-*`, `firmware-*`, `credential-*`.
    """
    if not _may_ask_sources(places.state):
        raise Problem("not-permitted", "only root may open a sealed credential")
    with as_owner(places.state):
        paths = [places.state.sealed, *([places.state.candidate] if has_seal(places.state) else [])]
    for path in paths:
        data = _load_seal(path, places.state)
        with _act_as_keys_owner(places.state):
            unsealed = unseal(data, path, places.keys)
        if places.state.of_device:
            ask_service(Derive(unsealed.header.source, unsealed.header.salt), 2)
        yield path, unsealed


def discard_candidate(places: Places) -> str:
    """Drop the candidate; return what it was, in words. Raises Problem `not-permitted`, `state-unwritable`."""
    if not is_owner(places.state):
        raise Problem("not-permitted", "only root may drop what waits to be tried")
    with as_owner(places.state):
        prepare_folders(places.state, places.runtime)
        return drop(places)


def _load_seal(path: str, state: State) -> bytes:
    with as_owner(state):  # the folder is the daemon's, whose user can let it lead anywhere
        return load_seal(path)


def _may_ask_sources(state: State) -> bool:
    """Tell whether this process may ask the key sources itself."""
    return os.geteuid() == 0 if state.of_device else is_owner(state)


def _choose_source(keys: Keys, source: str | None) -> tuple[str, dict[str, Problem]]:
    """Return the source to seal by, and the Problems of the sources that were tried before it."""
    # Sources that belong to the device as a whole are not used for somebody's own state directory, unless named.
    passed: dict[str, Problem] = {}
    *stronger, last = (source,) if source is not None else SOURCES if keys.of_device else SOURCES[-1:]
    for one in stronger:
        try:
            _try_source(one, keys)
        except Problem as problem:
            passed[one] = problem
        else:
            return one, passed
    _try_source(last, keys)
    return last, passed


def _read_present_source(state: State) -> str | None:
    """Return the key source of the present seal, None without one."""
    with as_owner(state):
        try:
            return parse_seal(load(state.sealed, SIZE_LIMIT) or b"").header.source
        except ShapeError:
            return None


def _try_source(source: str, keys: Keys) -> None:
    prepare_secret(source, keys)
    derive_seal_secret(source, bytes(SALT_SIZE), keys)


def _render_seal(keys: Keys, material: Material, source: str, fingerprint: str) -> tuple[Header, bytes]:
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    secret, key = derive_seal_secret(source, salt, keys)
    header = Header(source, key.hex(), read_serial(), material.type, fingerprint, salt, nonce)
    clear = render_header(header)
    return header, clear + encrypt(secret, salt, nonce, clear, render_body(parts_of(material)))


def _act_as_keys_owner(state: State) -> AbstractContextManager[None]:
    """Become the owner of the key sources: root for the device's, else the owner of the state directory."""
    return nullcontext() if state.of_device else as_owner(state)
