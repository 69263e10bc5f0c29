"""One attempt: configuration and credential in, a record out.

The steps, in the order of the house's one line: open the device as configured, see whether the earlier assignment is
bound to just this, and if not (or when forced) wait for the device's turn and for a right clock, register with DPS, and
try the assigned hub. At the end agents get of the credential what the owner asked for, in memory; nothing is written
to disk here.
"""

from __future__ import annotations

import os
from typing import NoReturn

from dpsd.configuration.settings import Network
from dpsd.credentials.credential import Certificate
from dpsd.errors import Problem, Retry
from dpsd.network.tunnel import choose_proxy
from dpsd.protocol.assignment import Assignment, check_hub_allowed
from dpsd.protocol.identifiers import DPS_PORT, Endpoint
from dpsd.protocol.login import HubLogin
from dpsd.protocol.transports import list_ways
from dpsd.provisioning.device import Device, open_device
from dpsd.provisioning.record_file import peek_renewed
from dpsd.provisioning.register import register
from dpsd.provisioning.release import asks, check_memory, release, release_again
from dpsd.state.connection import Connection, Mqtt
from dpsd.state.messages import Carry, Done, Orders, Registered, Renewed, Step, Watch
from dpsd.state.places import Places, State
from dpsd.state.record import Binding, Record, Validity, differences, same_board, updated
from dpsd.state.trial import PRESENT, Trial
from dpsd.system.clock import boot_clock, clock_offset, was_clock_set
from dpsd.system.deadline import Report
from dpsd.system.mounts import find_volatile_kind
from dpsd.system.time_sync import SYNCHRONIZED, explain_untrusted_clock, parse_moment

CLOCK_LOOK = 30
"""Seconds until an unsynchronised clock is judged again where nothing tells that it was set."""
TOKEN_PATIENCE = 60
"""Seconds that an attempt waits for a token's device."""
_BY_THE_CLOCK = {"tls-certificate-dates", "certificate-not-yet-valid", "certificate-expired"}
"""Problems that a wrong clock makes."""
_BY_THE_CLOCK_WITH_KEYS = {"dps-unauthorized", "mqtt-unauthorized", "hub-refused"}
"""What else it makes with symmetric keys, whose tokens expire by the clock."""


def attempt(places: Places, previous: Record | None, orders: Orders, report: Report) -> Done:
    """Make one attempt.

    previous: the earlier record, kept if its binding is the same and nothing forces a registration. Raises Problem.
    """
    try:
        device = _open_device(places, report, orders.trial)
        check_memory(device.config.outputs, places.runtime)
        previous = _renewed(places.state, device) or previous
        if previous is not None:
            device = device._replace(details=updated(previous.details, device.details))
        done = _attempt(device, places.state, previous, orders, report)
    except Problem as problem:
        if previous is not None and problem.kind.retry is Retry.CONFIGURATION:
            release_again(previous, places)
        raise _of_trial(problem, orders.trial) from None
    for sentence in differences(previous.details, device.details) if previous is not None else ():
        report(Step(sentence))
    release(device.credential, done.record, places.runtime)
    return done


def _attempt(device: Device, state: State, previous: Record | None, orders: Orders, report: Report) -> Done:
    """Keep the earlier assignment if it still holds, else ask the network for another."""
    if previous is None:
        return _contact(device, state, None, None, orders, report)
    _check_board(previous.binding, device)
    orders = orders._replace(carry=_with_transport(orders.carry, previous))
    kept = previous if _still_holds(previous, device) and not _is_asked_anew(orders) else None
    if kept is not None and not _owes_hub(device, orders):
        if orders.carry.check_hub:
            report(Carry(transport=orders.carry.transport))  # hub.check is off now: nothing is owed any more
        return Done(_record_again(device, kept, orders.carry.transport), registered=False)
    if _is_renewed(previous, device):
        report(Renewed())
    return _contact(device, state, previous, kept, orders, report)


def _contact(
    device: Device, state: State, previous: Record | None, kept: Record | None, orders: Orders, report: Report
) -> Done:
    """Try the hub of the assignment that is kept, or register, once turn and clock allow it."""
    _await_turn(state, device, orders)
    doubted = _doubt(previous, device)
    if doubted is not None:
        _await_clock(doubted, device, orders, report)
    offset = clock_offset()
    try:
        if kept is not None and not _is_refused_for_good(device, orders.carry):
            return _try_hub(device, _record_again(device, kept, orders.carry.transport), orders.carry, report)
        return _register(device, previous, orders, report)
    except Problem as problem:
        _raise_as_of_the_clock(problem.amend(window=_window(state, device)), doubted, device, offset)


def _is_asked_anew(orders: Orders) -> bool:
    """Tell whether DPS is to be asked whatever holds: what is new is tried even if it binds to the same."""
    return orders.force or orders.trial != PRESENT


def _owes_hub(device: Device, orders: Orders) -> bool:
    """Tell whether the hub of the recorded assignment is still to be tried."""
    return orders.carry.check_hub and device.config.hub.check != "off"


def _open_device(places: Places, report: Report, trial: Trial) -> Device:
    try:
        return open_device(places, report, TOKEN_PATIENCE, trial)
    except Problem as problem:
        if problem.code == "credential-mismatch" and trial == PRESENT and os.path.lexists(places.state.renewed):
            problem = problem.amend(hint="a renewal was cut short, finish it: sudo dpsctl renew")
        raise problem from None


def _of_trial(problem: Problem, trial: Trial) -> Problem:
    """Say of a problem that it is that of what waits, and how to drop that."""
    if not trial.description:
        return problem
    hint = f"{problem.hint}; or drop what is new: sudo dpsctl seal --discard"
    return problem.amend(f"the {trial.description}: {problem.sentence}", hint=hint)


def _renewed(state: State, device: Device) -> Record | None:
    """Return the record of a renewal that has just put the credential in its place."""
    found = peek_renewed(state)
    return found if found is not None and _still_holds(found, device) else None


def _with_transport(carry: Carry, previous: Record) -> Carry:
    """Add the transport that the earlier assignment was made by, where no earlier attempt has found another."""
    return carry if carry.transport else carry._replace(transport=previous.connection.mqtt.transport)


def _check_board(earlier: Binding, device: Device) -> None:
    """On another board the old identity is not used; raises Problem `board-changed`."""
    if same_board(earlier.board, device.binding.board) or device.config.board.clone_guard == "reprovision":
        return
    said = f"the assignment in the state directory was made on board {earlier.board}, this is {device.binding.board}"
    raise Problem("board-changed", said)


def _still_holds(previous: Record, device: Device) -> bool:
    return previous.binding.credential == device.binding.credential and _holds_by_any_credential(previous, device)


def _is_renewed(previous: Record, device: Device) -> bool:
    """Tell whether the credential alone differs, and is where agents know the old one to be."""
    before, now = previous.connection.authentication, device.credential.authentication
    is_other = previous.binding.credential != device.binding.credential
    return is_other and before._replace(thumbprint=now.thumbprint) == now and _holds_by_any_credential(previous, device)


def _holds_by_any_credential(previous: Record, device: Device) -> bool:
    try:
        check_hub_allowed(previous.connection.iothub_hostname, device.config.hub.allow)
    except Problem:
        return False
    before, now = previous.binding, device.binding
    same = before._replace(board=now.board, credential=now.credential) == now
    return same and same_board(before.board, now.board)


def _await_turn(state: State, device: Device, orders: Orders) -> None:
    """Spread the first attempts of a fleet that starts together; raises Problem `fleet-spread` to come back later."""
    window = _window(state, device)
    if not orders.first or orders.force or window == 0:
        return
    kind = find_volatile_kind(state)
    why = "" if kind is None else f"the state directory is on {kind}, so that every boot is a first boot; "
    raise Problem("fleet-spread", f"{why}first attempts are spread over {window} s", window=window)


def _window(state: State, device: Device) -> int:
    fleet = device.config.fleet
    return fleet.window if find_volatile_kind(state) is None else max(fleet.window, fleet.volatile_window)


def _doubt(previous: Record | None, device: Device) -> str | None:
    """Return why the clock cannot be trusted, if so, by all that is known of this device."""
    moments = [parse_moment(previous.connection.assigned_at)] if previous is not None else []
    if device.credential.x509 is not None:
        moments.append(device.credential.x509.leaf.not_before.timestamp())
    return explain_untrusted_clock([moment for moment in moments if moment is not None])


def _await_clock(doubted: str, device: Device, orders: Orders, report: Report) -> None:
    """Raise Problem `clock-not-synchronized` while there is time to wait for a right clock."""
    if orders.started is None:
        return
    left = orders.started + device.config.clock.wait - boot_clock()
    if left > 0:
        report(Watch({SYNCHRONIZED: None}))
        sentence = f"{doubted}; trying anyway in {round(left)} s"
        raise Problem("clock-not-synchronized", sentence, retry_after=min(left, CLOCK_LOOK))


def _is_refused_for_good(device: Device, carry: Carry) -> bool:
    """Tell whether the hub has refused the device for so long that DPS should be asked again."""
    patience = device.config.hub.reprovision_after
    return carry.refused_since is not None and 0 < patience <= boot_clock() - carry.refused_since


def _register(device: Device, previous: Record | None, orders: Orders, report: Report) -> Done:
    assignment, transport, secondary = register(device, orders.carry, report)
    if previous is not None and _same(previous, assignment):
        assignment = _recorded_assignment(previous)
    record = _record(device, assignment, transport, secondary)
    check = device.config.hub.check
    report(Carry(check_hub=check != "off"))
    if check != "before-ready":
        return Done(record, registered=True)
    if orders.trial == PRESENT:  # until its hub takes it, the record of the present credential is the one that counts
        report(Registered(record))
    return _try_hub(device, record, Carry(check_hub=True), report)._replace(registered=True)


def _try_hub(device: Device, record: Record, carry: Carry, report: Report) -> Done:
    """Try the recorded hub, and record by which transport it was reached.

    A refusal is dated, so that a later attempt can tell for how long it has lasted.
    """
    from dpsd.provisioning.hub_check import check_hub  # only where a hub is to be tried

    begun = boot_clock()
    try:
        transport = check_hub(device, record.connection, report)
    except Problem as problem:
        if problem.code == "hub-refused" and carry.refused_since is None:
            carry = carry._replace(refused_since=begun)
        report(carry)
        raise
    report(Carry())
    return Done(_record_again(device, record, transport), registered=False)


def _raise_as_of_the_clock(problem: Problem, doubted: str | None, device: Device, offset: float) -> NoReturn:
    """Raise what a clock that was set, or is not trusted, makes of a problem."""
    if was_clock_set(offset):
        raise Problem("clock-changed", f"the clock was set during the attempt ({problem.code})") from None
    suspects = _BY_THE_CLOCK | (_BY_THE_CLOCK_WITH_KEYS if device.credential.keys else set())
    if doubted is not None and problem.code in suspects:
        raise Problem("clock-wrong", f"{doubted}; {problem.code}: {problem.sentence}") from None
    raise problem


def _same(previous: Record, assignment: Assignment) -> bool:
    before = _recorded_assignment(previous)
    return (before.hub, before.device_id, before.payload) == (assignment.hub, assignment.device_id, assignment.payload)


def _recorded_assignment(record: Record) -> Assignment:
    known = record.connection
    return Assignment(
        known.iothub_hostname, known.device_id, known.substatus, known.assigned_at, known.etag, record.payload
    )


def _record_again(device: Device, previous: Record, transport: str | None) -> Record:
    return _record(device, _recorded_assignment(previous), transport, previous.secondary)


def _record(device: Device, assignment: Assignment, transport: str | None, secondary: bool) -> Record:
    """Make a record. transport: the one that works, where the configuration leaves it open."""
    connection = Connection(
        iothub_hostname=assignment.hub,
        device_id=assignment.device_id,
        registration_id=device.binding.registration_id,
        id_scope=device.binding.id_scope,
        authentication=device.credential.authentication,
        mqtt=_mqtt(device.config.network, assignment, transport),
        substatus=assignment.substatus,
        assigned_at=assignment.assigned_at,
        etag=assignment.etag,
    )
    environment = device.config.outputs.environment
    store = device.config.credential._asdict() if asks(device.config.outputs) else None
    dates, payload, details = _validity(device.credential.x509), assignment.payload, device.details
    return Record(device.binding, device.inputs, connection, payload, environment, secondary, store, dates, details)


def _validity(x509: Certificate | None) -> Validity | None:
    return None if x509 is None else Validity(x509.leaf.not_before.timestamp(), x509.leaf.not_after.timestamp())


def _mqtt(network: Network, assignment: Assignment, transport: str | None) -> Mqtt:
    first, *_ = list_ways(network.transport, Endpoint(assignment.hub, DPS_PORT), transport)
    login = HubLogin(assignment.hub, assignment.device_id)
    proxy = choose_proxy(network.proxy, assignment.hub)
    return Mqtt(
        host=assignment.hub,
        port=first.endpoint.port,
        transport=first.transport,
        client_id=login.client_id(),
        username=login.encode(),
        trusted_roots=network.trusted_roots,
        proxy=None if proxy is None else str(proxy),
        path=first.path,
    )
