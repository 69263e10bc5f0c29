"""Where a device's credential comes from: a module for each store that `dpsd.configuration.stores` lists."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from dpsd.configuration.settings import CredentialSettings
from dpsd.configuration.stores import STORES
from dpsd.credentials.credential import Credential
from dpsd.state.places import Places


def open_candidate(settings: CredentialSettings, places: Places) -> Credential:
    """Open the sealed credential that is to take the place of the present one; raises the Problems of that store."""
    from dpsd.credentials.sealed import open_seal

    return open_seal(places.candidate, settings.type, places)


def open_credential(settings: CredentialSettings, places: Places = Places()) -> Credential:  # noqa: B008 - a constant
    """Open the configured credential; raises the Problems of its store."""
    module, _, name = STORES[(settings.type, settings.store)].opener.partition(":")
    opener: Callable[[CredentialSettings, Places], Credential] = getattr(import_module(f"{__name__}.{module}"), name)
    return opener(settings, places)
