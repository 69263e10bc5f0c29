"""Where a device's credential comes from: a module for each store that `dpsd.configuration.stores` lists."""

from __future__ import annotations

from importlib import import_module

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.configuration.stores import STORES
from dpsd.credentials.credential import Credential, Opener
from dpsd.state.messages import Step
from dpsd.state.places import Places
from dpsd.system.deadline import Report
from dpsd.text import printable


def open_credential(
    settings: CredentialSettings,
    places: Places = Places(),  # noqa: B008 - a constant
    observer: Observer | None = None,
) -> Credential:
    """Open the configured credential; raises the Problems of its store.

    observer: says where the files are, and remembers which ones were read.
    """
    module, _, name = STORES[(settings.type, settings.store)].opener.partition(":")
    open_it: Opener = getattr(import_module(f"{__name__}.{module}"), name)
    return open_it(settings, places, observer or Observer())


def await_token(settings: CredentialSettings, patience: float, report: Report) -> None:
    """Wait up to `patience` seconds for a token's device, where one is configured; raises Problem `token-missing`."""
    if settings.token_device is None:
        return
    from dpsd.credentials.token_device import await_device  # pyudev costs memory

    report(Step(f"waiting for the token's device {printable(settings.token_device)}"))
    await_device(settings.token_device, patience)
