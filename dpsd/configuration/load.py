"""From the configuration's files to one checked `Config`, and what else its settings name that needs no credential."""

from __future__ import annotations

from typing import Any

from dpsd.configuration.files import check_writers, load_layers, writers
from dpsd.configuration.merge import Effective, parse_config
from dpsd.configuration.observed import Observer, configuration_files
from dpsd.configuration.settings import Dps, check_payload
from dpsd.errors import Problem
from dpsd.shape import ShapeError, parse_object
from dpsd.state.places import CONFIGURATION
from dpsd.system.files import load
from dpsd.text import printable

PAYLOAD_FILE_LIMIT = 64 * 1024


def load_config(configuration: tuple[str, ...], observer: Observer | None = None) -> Effective:
    """Load the effective configuration from its places; raises Problem `configuration-*`."""
    found = configuration_files(configuration, (observer or Observer()).by_text)
    if not found and configuration != CONFIGURATION:
        found = [*configuration]  # what --config names is missed by its name
    return parse_config(load_layers(found, writers(configuration)))


def check_roots(trusted_roots: str, configuration: tuple[str, ...], observer: Observer) -> None:
    """Check who may write the trusted roots: they can have the device trust anybody.

    Raises Problem `configuration-insecure`.
    """
    if not trusted_roots.startswith("/"):
        return
    try:
        check_writers(observer.by_stat(trusted_roots), writers(configuration))
    except Problem as problem:
        raise problem.amend(f"network.trusted_roots: {problem.sentence}") from None


def load_payload(dps: Dps, observer: Observer) -> dict[str, Any] | None:
    """Return what is sent along with the registration, None where nothing is; raises Problem `payload-invalid`."""
    if dps.payload_file is None:
        return dps.payload
    path = observer.by_stat(dps.payload_file)
    text = load(path, PAYLOAD_FILE_LIMIT)
    if text is None:
        said = f"{printable(path)} is not a readable file of at most {PAYLOAD_FILE_LIMIT} bytes"
        raise Problem("payload-invalid", said)
    try:
        payload = dict(parse_object(text, "payload").values)
        check_payload(payload)
    except (ShapeError, ValueError) as error:
        raise Problem("payload-invalid", f"{printable(path)}: {printable(error)}") from None
    return payload
