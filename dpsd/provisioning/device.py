"""The device as configured: who is to be registered, by what, where."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from dpsd.configuration.files import check_writers, load_layers
from dpsd.configuration.merge import Effective, parse_config
from dpsd.configuration.observed import Observer, configuration_files
from dpsd.configuration.proxy import PASSWORD_LIMIT
from dpsd.configuration.settings import Config, check_payload
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Credential
from dpsd.credentials.secret_file import load_secret
from dpsd.errors import Problem
from dpsd.protocol.identifiers import check_registration_id, fill_template
from dpsd.provisioning.release import told
from dpsd.shape import ShapeError, parse_object
from dpsd.state.messages import Step, Watch
from dpsd.state.places import CONFIGURATION, Places
from dpsd.state.record import Binding, Details
from dpsd.state.trial import PRESENT, Trial
from dpsd.system.board import board_details, serial_number
from dpsd.system.deadline import Report
from dpsd.system.files import load
from dpsd.text import printable

PAYLOAD_FILE_LIMIT = 64 * 1024
GROUP_KEY_WARNING = "warning: using a group's key; whoever reads this card can impersonate every device of the group"


class Device(NamedTuple):
    """Who is to be registered, by what, where, and what the files that said so looked like."""

    config: Config
    credential: Credential
    payload: dict[str, Any] | None
    binding: Binding
    inputs: dict[str, Any]
    details: Details = Details()


def load_config(places: Places, observer: Observer | None = None) -> Effective:
    """Load the effective configuration; raises Problem `configuration-*`."""
    found = configuration_files(places.configuration, (observer or Observer()).by_text)
    if not found and places.configuration != CONFIGURATION:
        found = [*places.configuration]  # what --config names is missed by its name
    return parse_config(load_layers(found, writers(places)))


def writers(places: Places) -> frozenset[int]:
    """Return who may write the configuration besides root: nobody on a device, else who runs this."""
    own = places.configuration != CONFIGURATION
    return frozenset({os.geteuid()}) if own else frozenset[int]()


def open_device(
    places: Places,
    report: Report = lambda event: None,
    patience: float = 0,
    trial: Trial = PRESENT,
) -> Device:
    """Load the configuration and open the credential; raises Problem, all of them of this device's own making.

    patience: seconds to wait for a token's device. trial: which files to read; what is read is in `inputs` by the path
    that it is to have, and is reported to be watched, even where it cannot be used.
    """
    observer = Observer(trial)
    for path in (places.candidate_settings, places.candidate):
        observer.watch(path)  # once something waits there, it is to be tried
    try:
        return _open_device(places, observer, report, patience)
    finally:
        report(Watch(dict(observer.signatures)))


def _open_device(places: Places, observer: Observer, report: Report, patience: float) -> Device:
    report(Step("reading the configuration"))
    config = load_config(places, observer).config
    payload = _payload(config, observer)
    _check_network_files(config, places, observer)
    if config.credential.token_device is not None:
        _await_token(config.credential.token_device, patience, report)
    report(Step("opening the credential"))
    credential, registration_id = _credential(config, places, observer, report)
    endpoint = str(config.dps.global_endpoint)
    binding = Binding(config.dps.id_scope, registration_id, endpoint, credential.fingerprint, serial_number())
    return Device(config, credential, payload, binding, observer.inputs, board_details(places.state))


def _credential(config: Config, places: Places, observer: Observer, report: Report) -> tuple[Credential, str]:
    """Return the credential, opened, as agents will be told of it, and the id to register."""
    credential = open_credential(config.credential, places, observer)
    credential = credential._replace(authentication=told(credential, config.outputs, places))
    registration_id = registration_id_of(config, credential)
    if credential.of_group:
        report(Step(GROUP_KEY_WARNING))
        credential = credential.of_device(registration_id)
    return credential, registration_id


def _check_network_files(config: Config, places: Places, observer: Observer) -> None:
    """Check the files that connecting will read; raises Problem `configuration-insecure`, `credential-*`."""
    roots, password_file = config.network.trusted_roots, config.network.proxy_password_file
    try:
        if roots.startswith("/"):
            # Whoever may write the roots can have the device trust anybody.
            check_writers(observer.by_stat(roots), writers(places))
    except Problem as problem:
        raise problem.amended(f"network.trusted_roots: {problem.sentence}") from None
    if password_file is not None:
        load_secret(observer.by_stat(password_file), PASSWORD_LIMIT)


def _await_token(path: str, patience: float, report: Report) -> None:
    from dpsd.credentials.token_device import await_device  # only where a token is configured

    report(Step(f"waiting for the token's device {printable(path)}"))
    await_device(path, patience)


def registration_id_of(config: Config, credential: Credential) -> str:
    """Return the id to register, checked; with a certificate it must be its CN.

    Raises Problem `registration-id-*` and `interface-missing`.
    """
    common_name = credential.common_name

    def value(name: str, argument: str) -> str:
        from dpsd.system.board_names import value_of  # only where a template asks for one

        return common_name or "" if name == "cn" else value_of(name, argument)

    registration_id = fill_template(config.dps.registration_id or "{cn}", value)
    check_registration_id(registration_id, x509=common_name is not None)
    if common_name is not None and registration_id != common_name.lower():
        said = f"dps.registration_id gives '{printable(registration_id)}', the certificate's CN is"
        raise Problem("registration-id-mismatch", f"{said} '{printable(common_name)}'")
    return registration_id


def _payload(config: Config, observer: Observer) -> dict[str, Any] | None:
    if config.dps.payload_file is None:
        return config.dps.payload
    path = observer.by_stat(config.dps.payload_file)
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
