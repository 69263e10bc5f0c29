"""The device as configured: who is to be registered, by what, where."""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.configuration.load import check_roots, load_config, load_payload
from dpsd.configuration.observed import Observer
from dpsd.configuration.proxy import PASSWORD_LIMIT
from dpsd.configuration.settings import Config, Outputs
from dpsd.credentials import await_token, open_credential
from dpsd.credentials.credential import Credential
from dpsd.credentials.secret_file import load_secret
from dpsd.errors import Problem
from dpsd.protocol.identifiers import check_registration_id, fill_template
from dpsd.state.connection import Authentication
from dpsd.state.messages import Step, Watch
from dpsd.state.places import Places, Runtime
from dpsd.state.record import Binding, Details
from dpsd.state.trial import PRESENT, Trial
from dpsd.system.board import read_board_details, read_serial
from dpsd.system.deadline import Report
from dpsd.text import printable

GROUP_KEY_WARNING = "warning: using a group's key; whoever reads this card can impersonate every device of the group"


class Device(NamedTuple):
    """Who is to be registered, by what, where, and what the files that said so looked like."""

    config: Config
    credential: Credential
    payload: dict[str, Any] | None
    binding: Binding
    inputs: dict[str, Any]
    details: Details = Details()


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
    for path in (places.state.candidate_settings, places.state.candidate):
        observer.watch(path)  # once something waits there, it is to be tried
    try:
        return _open_device(places, observer, report, patience)
    finally:
        report(Watch(dict(observer.signatures)))


def _open_device(places: Places, observer: Observer, report: Report, patience: float) -> Device:
    report(Step("reading the configuration"))
    config = load_config(places.configuration, observer).config
    payload = load_payload(config.dps, observer)
    check_roots(config.network.trusted_roots, places.configuration, observer)
    if config.network.proxy_password_file is not None:
        load_secret(observer.by_stat(config.network.proxy_password_file), PASSWORD_LIMIT)
    await_token(config.credential, patience, report)
    report(Step("opening the credential"))
    credential = open_credential(config.credential, places, observer)
    details = read_board_details(places.state)
    credential = credential._replace(authentication=authentication_of(credential, config.outputs, places.runtime))
    registration_id = registration_id_of(config, credential)
    if credential.of_group:
        report(Step(GROUP_KEY_WARNING))
        credential = credential.of_device(registration_id)
    endpoint = str(config.dps.global_endpoint)
    binding = Binding(config.dps.id_scope, registration_id, endpoint, credential.fingerprint, read_serial())
    return Device(config, credential, payload, binding, observer.inputs, details)


def authentication_of(credential: Credential, outputs: Outputs, runtime: Runtime) -> Authentication:
    """Return how an agent proves itself, with the paths of what `release` puts there.

    A renewed certificate has another thumbprint, and so another connection.json, which restarts agents that ask for it.
    """
    authentication = credential.authentication
    if credential.x509 is not None:
        authentication = authentication._replace(thumbprint=credential.fingerprint.partition(":")[2])
    if outputs.release_private_key:
        paths = (runtime.released_certificate, runtime.released_private_key)
        return Authentication(authentication.type, *paths, thumbprint=authentication.thumbprint)
    if outputs.connection_string:
        return authentication._replace(connection_string_file=runtime.released_connection_string)
    return authentication


def registration_id_of(config: Config, credential: Credential) -> str:
    """Return the id to register, checked; with a certificate it must be its CN.

    Raises Problem `registration-id-*` and `interface-missing`.
    """
    common_name = credential.common_name

    def value(name: str, argument: str) -> str:
        from dpsd.system.board_names import read_board_name  # only where a template asks for one

        return common_name or "" if name == "cn" else read_board_name(name, argument)

    registration_id = fill_template(config.dps.registration_id or "{cn}", value)
    check_registration_id(registration_id, x509=common_name is not None)
    if common_name is not None and registration_id != common_name.lower():
        said = f"dps.registration_id gives '{printable(registration_id)}', the certificate's CN is"
        raise Problem("registration-id-mismatch", f"{said} '{printable(common_name)}'")
    return registration_id
