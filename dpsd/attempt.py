"""One attempt: configuration and credential in, a record out. Floor 3.

The steps, in the order of the house's one line: load the configuration, open the credential, see whether the earlier
assignment is bound to just these, and if not (or when forced) register with DPS. Nothing is written to disk here.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dpsd import __version__
from dpsd.alarm import TimeUp, time_limit
from dpsd.clock import wall_clock
from dpsd.config import Effective, parse_config
from dpsd.configuration_files import load_layers
from dpsd.connection import Connection, Mqtt
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Credential, SymmetricKey
from dpsd.durable import load
from dpsd.errors import Problem
from dpsd.inputs import configuration_files, observe, signature
from dpsd.mqtt import Session
from dpsd.places import CONFIGURATION, Places
from dpsd.progress import Done, Event, Step, Watch
from dpsd.protocol import sas
from dpsd.protocol.assignment import Assignment, check_allowed
from dpsd.protocol.identifiers import DPS_PORT, check_registration_id
from dpsd.protocol.login import DpsLogin, HubLogin
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, Wait
from dpsd.record import Binding, Record
from dpsd.settings import Config, check_payload
from dpsd.shape import ShapeError, parse_object
from dpsd.text import printable
from dpsd.tls import make_context

STEP_LIMIT = 30
"""Seconds for one step: connecting, subscribing, or one answer."""
TIME_LIMIT = 240
"""Seconds for polling; with the steps around it this ends before the supervisor would end the attempt."""
TOKEN_LIFETIME = 3600
"""Seconds that a SAS token is valid, as in Microsoft's SDK for Python."""
PAYLOAD_FILE_LIMIT = 64 * 1024

Report = Callable[[Event], None]


class Device(NamedTuple):
    """Who is to be registered, by what, where, and what the files that said so looked like."""

    config: Config
    credential: Credential
    payload: dict[str, Any] | None
    binding: Binding
    inputs: dict[str, Any]


def attempt(
    places: Places, previous: Record | None, *, force: bool, operation_id: str | None, report: Report
) -> Done:
    """Make one attempt.

    previous: the earlier record, kept if its binding is the same and `force` is not set. operation_id: an operation of
    an earlier attempt to resume. Raises Problem.
    """
    device = open_device(places, report)
    if previous is not None and not force and _still_holds(previous, device):
        return Done(_record(device, _recorded_assignment(previous)), registered=False)
    assignment = _register(device, operation_id, report)
    if previous is not None and _same(previous, assignment):
        assignment = _recorded_assignment(previous)
    return Done(_record(device, assignment), registered=True)


def load_config(places: Places) -> Effective:
    """Load the effective configuration; raises Problem `configuration-*`."""
    own = places.configuration != CONFIGURATION
    writers = frozenset({os.geteuid()}) if own else frozenset[int]()
    return parse_config(load_layers(configuration_files(places.configuration), writers))


def open_device(places: Places, report: Report = lambda event: None) -> Device:
    """Load the configuration and open the credential; raises Problem, all of them of this device's own making."""
    report(Step("reading the configuration"))
    paths = [*places.configuration, *configuration_files(places.configuration)]
    inputs = {path: observe(path) for path in paths}
    config = load_config(places).config
    files = _credential_files(config)
    report(Watch({path: signature(path) for path in files}))
    inputs |= {path: observe(path, secret=path != config.credential.certificate_file) for path in files}
    report(Step("opening the credential"))
    credential = open_credential(config.credential)
    registration_id = _registration_id(config, credential)
    endpoint = str(config.dps.global_endpoint)
    binding = Binding(config.dps.id_scope, registration_id, endpoint, credential.fingerprint)
    return Device(config, credential, _payload(config), binding, inputs)


def _credential_files(config: Config) -> list[str]:
    named = [*config.credential[2:], config.dps.payload_file, config.network.trusted_roots]
    return [path for path in named if path is not None and path.startswith("/")]


def _registration_id(config: Config, credential: Credential) -> str:
    configured, common_name = config.dps.registration_id, credential.common_name
    if common_name is None:
        return configured or ""
    if configured is not None and configured != common_name.lower():
        said = f"dps.registration_id is '{printable(configured)}', the certificate's CN is '{printable(common_name)}'"
        raise Problem("registration-id-mismatch", said)
    check_registration_id(common_name.lower(), x509=True)
    return common_name.lower()


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


def _still_holds(previous: Record, device: Device) -> bool:
    try:
        check_allowed(previous.connection.iothub_hostname, device.config.hub.allow)
    except Problem:
        return False
    return previous.binding == device.binding


def _same(previous: Record, assignment: Assignment) -> bool:
    before = _recorded_assignment(previous)
    return (before.hub, before.device_id, before.payload) == (assignment.hub, assignment.device_id, assignment.payload)


def _recorded_assignment(record: Record) -> Assignment:
    known = record.connection
    return Assignment(
        known.iothub_hostname, known.device_id, known.substatus, known.assigned_at, known.etag, record.payload
    )


def _record(device: Device, assignment: Assignment) -> Record:
    login = HubLogin(assignment.hub, assignment.device_id)
    network = device.config.network
    connection = Connection(
        iothub_hostname=assignment.hub,
        device_id=assignment.device_id,
        registration_id=device.binding.registration_id,
        id_scope=device.binding.id_scope,
        authentication=device.credential.authentication,
        mqtt=Mqtt(assignment.hub, DPS_PORT, "mqtt", login.client_id(), login.encode(), network.trusted_roots, None),
        substatus=assignment.substatus,
        assigned_at=assignment.assigned_at,
        etag=assignment.etag,
    )
    environment = device.config.outputs.environment
    return Record(device.binding, device.inputs, connection, assignment.payload, environment)


def _register(device: Device, operation_id: str | None, report: Report) -> Assignment:
    """Register with the credential, and once with the secondary key when DPS does not take the primary one."""
    if device.credential.x509 is not None:
        device.credential.x509.check_dates(wall_clock())
    keys: tuple[SymmetricKey | None, ...] = device.credential.keys or (None,)
    for key in keys[:-1]:
        try:
            return _session(device, key, operation_id, report)
        except Problem as problem:
            if problem.code not in ("dps-unauthorized", "mqtt-unauthorized"):
                raise
            report(Step("the primary key is not accepted, trying the secondary key"))
    return _session(device, keys[-1], operation_id, report)


def _session(device: Device, key: SymmetricKey | None, operation_id: str | None, report: Report) -> Assignment:
    binding, endpoint = device.binding, device.config.dps.global_endpoint
    machine = Registration(binding.registration_id, device.payload, os.urandom(8).hex(), operation_id)
    context = make_context(device.config.network.trusted_roots)
    if device.credential.x509 is not None:
        device.credential.x509.arm(context)
    login = DpsLogin(binding.id_scope, binding.registration_id, device.config.dps.api_version, f"dpsd/{__version__}")
    session = Session(endpoint, context, binding.registration_id, login.encode(), _password(binding, key))
    try:
        with _step(f"connecting to {endpoint}", report):
            session.open()
        assignment = _drive(session, machine, report)
    except Problem as problem:
        problem.operation_id = machine.operation_id
        raise
    finally:
        session.close()
    check_allowed(assignment.hub, device.config.hub.allow)
    return assignment


def _password(binding: Binding, key: SymmetricKey | None) -> str | None:
    if key is None:
        return None
    resource = sas.dps_resource(binding.id_scope, binding.registration_id)
    return sas.encode_token(resource, int(wall_clock()) + TOKEN_LIFETIME, key.sign, sas.DPS_KEY_NAME)


def _drive(session: Session, machine: Registration, report: Report) -> Assignment:
    """Do what the machine says until the device is assigned, or the attempt's time is over."""
    deadline = time.monotonic() + TIME_LIMIT
    with _step("subscribing to the answers of DPS", report):
        session.subscribe(machine.start().topic_filter)
    action: Publish | Wait | Ignore | Finish = machine.subscribed()
    while not isinstance(action, Finish):
        if isinstance(action, Wait):
            _check_time(deadline, action.seconds)
            with _step(f"DPS is assigning an IoT Hub, asking again in {action.seconds} s", report, action.seconds):
                session.idle(action.seconds)
            action = machine.waited()
        elif isinstance(action, Publish):
            doing = "asking for the assignment" if machine.operation_id else f"registering with {session.endpoint}"
            with _step(doing, report):
                session.publish(action.topic, action.body)
                action = _answer(session, machine)
    return action.assignment


def _check_time(deadline: float, seconds: float) -> None:
    if time.monotonic() + seconds > deadline:
        raise Problem("attempt-deadline", f"DPS has not assigned an IoT Hub within {TIME_LIMIT} s")


def _answer(session: Session, machine: Registration) -> Publish | Wait | Finish:
    while True:
        action = machine.received(*session.receive())
        if not isinstance(action, Ignore):
            return action


@contextlib.contextmanager
def _step(text: str, report: Report, extra: float = 0) -> Iterator[None]:
    """Report a step and limit its time; `extra` seconds are added to the limit of a step that waits."""
    report(Step(text))
    try:
        with time_limit(STEP_LIMIT + extra):
            yield
    except TimeUp:
        raise Problem("no-answer", f"no answer within {STEP_LIMIT} s while {text}") from None
