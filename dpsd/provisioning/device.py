"""The device as configured: who is to be registered, by what, where."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from dpsd.configuration.files import check_writers, load_layers
from dpsd.configuration.merge import Effective, parse_config
from dpsd.configuration.observed import configuration_files, observe, signature
from dpsd.configuration.settings import Config, check_payload
from dpsd.credentials import open_candidate, open_credential
from dpsd.credentials.credential import Credential
from dpsd.credentials.systemd import observed_files, public_file
from dpsd.errors import Problem
from dpsd.protocol.identifiers import check_registration_id, fill_template
from dpsd.provisioning.candidate import has_seal, has_settings
from dpsd.provisioning.release import told
from dpsd.shape import ShapeError, parse_object
from dpsd.state.messages import Step, Watch
from dpsd.state.places import CONFIGURATION, Places
from dpsd.state.record import Binding, Details
from dpsd.system.board import board_details, serial_number
from dpsd.system.deadline import Report
from dpsd.system.files import load
from dpsd.text import printable

SEALED, FIRMWARE = "sealed", "rpi-firmware"
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


def load_config(places: Places, configuration: tuple[str, ...] = ()) -> Effective:
    """Load the effective configuration; raises Problem `configuration-*`. configuration: its places, if they differ."""
    found = configuration_files(configuration or places.configuration)
    if not found and places.configuration != CONFIGURATION:
        found = [*places.configuration]  # what --config names is missed by its name
    return parse_config(load_layers(found, writers(places)))


def candidate_configuration(places: Places) -> tuple[str, ...]:
    """Return the configuration's places with the settings that wait in the place of the imported ones, if any wait."""
    if not has_settings(places):
        return places.configuration
    return tuple(places.candidate_settings if path == places.imported else path for path in places.configuration)


def writers(places: Places) -> frozenset[int]:
    """Return who may write the configuration besides root: nobody on a device, else who runs this."""
    own = places.configuration != CONFIGURATION
    return frozenset({os.geteuid()}) if own else frozenset[int]()


def open_device(
    places: Places,
    report: Report = lambda event: None,
    patience: float = 0,
    *,
    candidate: bool = False,
    pair: tuple[str, str] | None = None,
) -> Device:
    """Load the configuration and open the credential; raises Problem, all of them of this device's own making.

    patience: seconds to wait for a token's device. candidate: with the settings and the sealed credential that are to
    take the place of the present ones, whose places they then have in `inputs`. pair: a certificate and its key in
    other files.
    """
    report(Step("reading the configuration"))
    report(Watch({places.candidate_settings: signature(places.candidate_settings)}))
    config, inputs = _configuration(places, candidate, pair)
    files = _credential_files(config, places)
    report(Watch({path: signature(path) for path in [*files, *_programs(config)]}))
    _check_roots(config, places)
    public = (config.credential.certificate_file, public_file())
    inputs |= {path: observe(path, secret=path not in public) for path in files if path != places.candidate}
    new_seal = candidate and config.credential.store == SEALED and has_seal(places)
    if new_seal:
        inputs[places.sealed] = observe(places.candidate, secret=True)
    if config.credential.token_device is not None:
        _await_token(config.credential.token_device, patience, report)
    report(Step("opening the credential"))
    credential, registration_id = _credential(config, places, new_seal, report)
    endpoint = str(config.dps.global_endpoint)
    binding = Binding(config.dps.id_scope, registration_id, endpoint, credential.fingerprint, serial_number())
    return Device(config, credential, _payload(config), binding, inputs, board_details(places.state))


def _configuration(places: Places, candidate: bool, pair: tuple[str, str] | None) -> tuple[Config, dict[str, Any]]:
    """Return the configuration, and what its files looked like before they were read."""
    configuration = candidate_configuration(places) if candidate else places.configuration
    paths = [*places.configuration, *configuration_files(places.configuration)]
    inputs = {path: observe(path) for path in paths}
    if places.candidate_settings in configuration:
        inputs[places.imported] = observe(places.candidate_settings)
    config = load_config(places, configuration).config
    if pair is not None:
        files_of = config.credential._replace(certificate_file=pair[0], private_key_file=pair[1])
        config = config._replace(credential=files_of)
    return config, inputs


def _credential(config: Config, places: Places, new_seal: bool, report: Report) -> tuple[Credential, str]:
    """Return the credential, opened, as agents will be told of it, and the id to register."""
    credential = (open_candidate if new_seal else open_credential)(config.credential, places)
    credential = credential._replace(authentication=told(credential, config.outputs, places))
    registration_id = registration_id_of(config, credential)
    if credential.of_group:
        report(Step(GROUP_KEY_WARNING))
        credential = credential.of_device(registration_id)
    return credential, registration_id


def _check_roots(config: Config, places: Places) -> None:
    """Who may write the roots can have the device trust anybody; raises Problem `configuration-insecure`."""
    roots = config.network.trusted_roots
    try:
        if roots.startswith("/"):
            check_writers(roots, writers(places))
    except Problem as problem:
        raise problem.amended(f"network.trusted_roots: {problem.sentence}") from None


def _await_token(path: str, patience: float, report: Report) -> None:
    from dpsd.credentials.token_device import await_device  # only where a token is configured

    report(Step(f"waiting for the token's device {printable(path)}"))
    await_device(path, patience)


def _credential_files(config: Config, places: Places) -> list[str]:
    credential, network = config.credential, config.network
    secrets = (*credential.secret_files(), network.proxy_password_file)
    named = [credential.certificate_file, *secrets, config.dps.payload_file, network.trusted_roots]
    sealed = [places.sealed, places.candidate] if credential.store == SEALED else []
    return [path for path in named if path is not None and path.startswith("/")] + observed_files(credential) + sealed


def _programs(config: Config) -> list[str]:
    """Return what must be installed: when it is, an attempt that missed it is worth another one."""
    credential = config.credential
    return [credential.firmware_command] if credential.store in (SEALED, FIRMWARE) else []


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


def _payload(config: Config) -> dict[str, Any] | None:
    path = config.dps.payload_file
    if path is None:
        return config.dps.payload
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
